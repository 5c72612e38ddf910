"""How long a summary takes to be stored while many long runs end, beside how long it takes when none does.

    python -m bench.endings [RUNS [TICKS [OTHER_CHECKOUT]]]

A hundred runs of 1,000 ticks of two containers, where no numbers are given, are streamed to a receiver on SQLite; then
all of them end at once, and their records are laid out as columns. Meanwhile a summary is posted every 10 ms, whatever
became of the one before. With another checkout that one's receiver and ours take turns.
"""

import asyncio
import os
import sqlite3
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from msgspec.structs import replace

import bench.ingest
from bench.ingest import bodies, cpu_seconds, receiver, serving
from bench.support import ROOT, table
from jobmeter.model import wire
from jobmeter.model.exits import Exit

RUNS, TICKS = 100, 1000
ROUNDS = 3
QUIET_SECONDS = 5.0
EVERY_SECONDS = 0.01
_PROBES = 16
_PART = 100
_PATIENCE_SECONDS = 300.0


class Client:
    """A connection over which one request after the other is made."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.partition(":")
        self._alone = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, encoding: str = "identity") -> None:
        """Send it, and see that it is taken."""
        async with self._alone:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, int(self._port))
            reader, writer = self._streams
            head = (
                f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Encoding: {encoding}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            headers = (await reader.readuntil(b"\r\n\r\n")).lower()
            answer = await reader.readexactly(int(headers.partition(b"content-length:")[2].split()[0]))
            assert headers.split()[1] in (b"200", b"201"), answer

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()


class Probes:
    """Summaries that are posted at their times; how long each took from then on."""

    def __init__(self, address: str) -> None:
        self._clients = [Client(address) for _ in range(_PROBES)]
        self._body = bodies()["seed"]
        self._count = 0
        self.seconds: list[float] = []

    async def go_on(self) -> None:
        """For ever."""
        begun = time.perf_counter()
        for number in range(sys.maxsize):
            due = begun + number * EVERY_SECONDS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._post(due))
            task.add_done_callback(lambda done: done.cancelled() or done.result())

    async def _post(self, due: float) -> None:
        self._count += 1
        body = self._body.replace("@@@", f"probe-{self._count}")
        await self._clients[self._count % _PROBES].post("/api/v1/metrics", body.encode())
        self.seconds.append(time.perf_counter() - due)

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients:
            client.close()


def main() -> None:
    """Print the table."""
    words = sys.argv[1:]
    runs, ticks = (int(word) for word in (*words[:2], *map(str, (RUNS, TICKS)[len(words[:2]) :])))
    roots = {"ours": ROOT} | ({"the other": Path(words[2])} if len(words) > 2 else {})
    rows = []
    for number in range(ROUNDS):
        for name in list(roots)[:: -1 if number % 2 else 1]:
            with (
                TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as directory,
                sources(roots[name]),
            ):
                database = Path(directory) / "endings.db"
                with serving(receiver(database)) as (address, process):
                    rows.append((name, *asyncio.run(measured(address, process, database, runs, ticks))))
    print(f"{runs} runs of {ticks:,} ticks end at once\n")
    names = ("quiet p50 ms", "quiet p99 ms", "ending p50 ms", "ending p99 ms", "p99 ratio", "most ms")
    table(("receiver", *names, "s", "CPU s"), rows)


@contextmanager
def sources(root: Path) -> Iterator[None]:
    """The receiver is that of this checkout."""
    with patch.object(bench.ingest, "ROOT", root):
        yield


async def measured(address: str, process: int, database: Path, runs: int, ticks: int) -> tuple[str, ...]:
    """The times in quiet, those while runs end and are laid out, and how long that takes."""
    await streamed(address, runs, ticks)
    probes = Probes(address)
    posting = asyncio.create_task(probes.go_on())
    await asyncio.sleep(1.0)
    probes.seconds.clear()
    await asyncio.sleep(QUIET_SECONDS)
    quiet = sorted(probes.seconds)
    probes.seconds.clear()
    begun, used = time.monotonic(), cpu_seconds(process)
    await ended(address, runs, ticks)
    while laid_out(database) < runs:
        assert time.monotonic() - begun < _PATIENCE_SECONDS, "runs are not laid out"
        await asyncio.sleep(0.5)
    took, used = time.monotonic() - begun, cpu_seconds(process) - used
    busy = sorted(probes.seconds)
    posting.cancel()
    probes.close()
    ratio = share(busy, 0.99) / share(quiet, 0.99)
    shares = [f"{share(times, part) * 1e3:.1f}" for times in (quiet, busy) for part in (0.5, 0.99)]
    return *shares, f"{ratio:.1f}", f"{busy[-1] * 1e3:.0f}", f"{took:.1f}", f"{used:.1f}"


def share(ascending: Sequence[float], part: float) -> float:
    """The value below which this part of all lies."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * part))]


async def streamed(address: str, runs: int, ticks: int) -> None:
    """All but the ends of the runs."""
    beginning, tick = golden()
    client = Client(address)
    for number in range(runs):
        records = [*beginning, *_ticks(tick, ticks, number)]
        for place in range(0, len(records), _PART):
            await client.post(*_part(number, place, records[place : place + _PART]))
    client.close()


async def ended(address: str, runs: int, ticks: int) -> None:
    """All runs end at once, over a connection each."""
    clients = [Client(address) for _ in range(runs)]
    first = len(golden()[0]) + ticks
    success = Exit(reason="success", code=0)
    end = wire.End(v=wire.VERSION, run_uid="", sequence=0, elapsed_seconds=float(ticks), exit=success)
    await asyncio.gather(
        *(client.post(*_part(number, first, [end])) for number, client in enumerate(clients))
    )
    for client in clients:
        client.close()


def golden() -> tuple[list[wire.AnyRecord], wire.Tick]:
    """What a run begins with, and a tick of its two containers."""
    lines = (ROOT / "tests/golden/journal_v1.jsonl").read_bytes().splitlines()
    decoded = [record for record in map(wire.decode, lines) if record is not None]
    run = [record for record in decoded if record.run_uid == decoded[0].run_uid]
    beginning: list[wire.AnyRecord] = [
        record for record in run if isinstance(record, wire.Start | wire.Declare)
    ]
    return beginning, next(record for record in run if isinstance(record, wire.Tick))


def _ticks(tick: wire.Tick, count: int, number: int) -> Iterator[wire.AnyRecord]:
    used = 0.0
    for place in range(count):
        used += 0.7 + (31 * number + 17 * place) % 97 / 100
        memory = 10**8 + 4096 * ((31 * place) % 9973)
        grown = tuple(
            replace(one, cpu_seconds=(one.cpu_seconds or 0.0) + used, memory_bytes=memory)
            for one in tick.sample.containers
        )
        sample = replace(
            tick.sample, elapsed_seconds=place + 0.0013, due_seconds=float(place), containers=grown
        )
        yield replace(tick, sample=sample)


def _part(number: int, first: int, records: Sequence[wire.AnyRecord]) -> tuple[str, bytes, str]:
    uid = f"ending-{number}"
    lines = [
        wire.encode(replace(record, run_uid=uid, sequence=sequence)) + b"\n"
        for sequence, record in enumerate(records, first)
    ]
    return f"/api/v1/runs/{uid}/parts", zlib.compress(b"".join(lines), wbits=31), "gzip"


def laid_out(database: Path) -> int:
    """How many runs have a block, and nothing but that."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute(
            "SELECT count(*) FROM (SELECT run FROM parts WHERE first_sequence >= 0 GROUP BY run HAVING count(*) = 1)"
        ).fetchone()
    return int(found)


if __name__ == "__main__":
    main()
