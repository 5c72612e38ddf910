"""Many jobs stream to one receiver, a tick every 2 s and a part every 5 s: its CPU and memory; then all of them end.

    python -m bench.receiver_streams [SECONDS [JOBS]]

A real receiver over loopback; every job has a connection of its own and sends what a collector with two containers
sends. It is measured once all have begun. Afterwards every record and every summary must be there.
"""

import asyncio
import os
import sqlite3
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec.structs import replace

from bench.ingest import cpu_seconds, receiver, serving
from bench.support import ROOT, table
from jobmeter.linux.descriptors import raise_descriptor_limit
from jobmeter.model import wire
from jobmeter.model.exits import Exit
from jobmeter.spool.delivery import PART_INTERVAL_SECONDS

SECONDS = 60
JOBS = 500
TICK_SECONDS = 2.0


class Answer(msgspec.Struct):
    """What the receiver has of a run."""

    next_sequence: int


class Job:
    """One run: its records, and the connection they go over."""

    def __init__(self, number: int, whole: Sequence[wire.AnyRecord], jobs: int) -> None:
        self.run_uid = f"bench-{number:04d}"
        self._number = number
        self.latencies: list[float] = []
        self._delay = PART_INTERVAL_SECONDS * number / jobs
        self._beginning = [record for record in whole if isinstance(record, wire.Start | wire.Declare)]
        self._tick = next(record for record in whole if isinstance(record, wire.Tick))
        self._sequence = self._ticks = 0

    async def stream(self, address: str, until: float) -> None:
        """Send a part every 5 s until then, and the end."""
        await asyncio.sleep(self._delay)
        begun = time.monotonic()
        host, port = address.split(":")
        async with connection(host, int(port)) as (reader, writer):
            await self._post(self._beginning, reader, writer)
            while time.monotonic() < until:
                await asyncio.sleep(PART_INTERVAL_SECONDS)
                await self._post(self._new_ticks(time.monotonic() - begun), reader, writer)
            await asyncio.sleep(self._delay)
            ended = wire.End(
                v=wire.VERSION, run_uid="", sequence=0,
                elapsed_seconds=time.monotonic() - begun, exit=Exit(reason="success", code=0),
            )  # fmt: skip
            await self._post([ended], reader, writer)

    def _new_ticks(self, elapsed: float) -> list[wire.AnyRecord]:
        found: list[wire.AnyRecord] = []
        while (due := self._ticks * TICK_SECONDS) <= elapsed:
            self._ticks += 1
            sample = self._tick.sample
            used = due * 0.7 + (31 * self._number + self._ticks) % 97 / 100
            grown = tuple(
                replace(one, cpu_seconds=(one.cpu_seconds or 0.0) + used) for one in sample.containers
            )
            sample = replace(sample, elapsed_seconds=due + 0.0013, due_seconds=due, containers=grown)
            found.append(replace(self._tick, sample=sample))
        return found

    async def _post(
        self, found: Sequence[wire.AnyRecord], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        lines = [
            wire.encode(replace(record, run_uid=self.run_uid, sequence=number)) + b"\n"
            for number, record in enumerate(found, self._sequence)
        ]
        self._sequence += len(lines)
        body = zlib.compress(b"".join(lines), wbits=31)
        head = (
            f"POST /api/v1/runs/{self.run_uid}/parts HTTP/1.1\r\nHost: bench\r\nContent-Encoding: gzip\r\n"
            f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        begun = time.perf_counter()
        writer.write(head.encode() + body)
        headers = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(headers.partition(b"content-length:")[2].split()[0])
        answer = msgspec.json.decode(await reader.readexactly(length), type=Answer)
        self.latencies.append(time.perf_counter() - begun)
        assert answer.next_sequence == self._sequence, (self.run_uid, headers, answer)

    @property
    def records(self) -> int:
        """How many were acknowledged."""
        return self._sequence


@asynccontextmanager
async def connection(
    host: str, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is closed at the end."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()


def main() -> None:
    """Print the table."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    golden = (ROOT / "tests/golden/journal_v1.jsonl").read_bytes().splitlines()
    decoded = [record for record in map(wire.decode, golden) if record is not None]
    first = [record for record in decoded if record.run_uid == decoded[0].run_uid]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else JOBS
    raise_descriptor_limit()
    jobs = [Job(number, first, count) for number in range(count)]
    with TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        database = Path(name) / "streams.db"
        with serving(receiver(database)) as (address, process):
            rows = asyncio.run(measured(jobs, address, process, seconds))
        check(jobs, database)
    print(f"{count} jobs, a tick every {TICK_SECONDS:g} s, a part every {PART_INTERVAL_SECONDS:g} s\n")
    table(("", "s", "CPU of the receiver, cores", "PSS MiB", "records/s", "part p99 ms"), rows)


async def measured(jobs: Sequence[Job], address: str, process: int, seconds: int) -> list[tuple[str, ...]]:
    """A row of the time in which all stream, and one of that in which all end."""
    until = time.monotonic() + 2 * PART_INTERVAL_SECONDS + seconds
    streams = asyncio.gather(*(job.stream(address, until) for job in jobs))
    await asyncio.sleep(2 * PART_INTERVAL_SECONDS)
    return [
        ("all stream", *await costs(jobs, process, asyncio.sleep(seconds))),
        ("all end", *await costs(jobs, process, streams)),
    ]


async def costs(jobs: Sequence[Job], process: int, period: Awaitable[object]) -> tuple[str, ...]:
    """What the receiver used in a period, and what it did."""
    began, used, had = time.monotonic(), cpu_seconds(process), sum(job.records for job in jobs)
    for job in jobs:
        job.latencies.clear()
    await period
    took = time.monotonic() - began
    cores = (cpu_seconds(process) - used) / took
    rate = (sum(job.records for job in jobs) - had) / took
    latencies = sorted(one for job in jobs for one in job.latencies)
    p99 = latencies[len(latencies) * 99 // 100] * 1e3
    return f"{took:.0f}", f"{cores:.3f}", f"{pss_bytes(process) / 2**20:.1f}", f"{rate:.0f}", f"{p99:.1f}"


def pss_bytes(process: int) -> int:
    """Its proportional set."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("there is no Pss in /proc")


def check(jobs: Sequence[Job], database: Path) -> None:
    """What was acknowledged is there, and every run is over."""
    with closing(sqlite3.connect(database)) as connected:
        stored = connected.execute("SELECT run_uid, next_sequence, state FROM runs").fetchall()
        whole = connected.execute("SELECT sum(next_sequence - first_sequence) FROM parts").fetchone()
    assert sorted(stored) == [(job.run_uid, job.records, "finished") for job in jobs]
    assert whole == (sum(job.records for job in jobs),)


if __name__ == "__main__":
    main()
