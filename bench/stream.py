"""Streaming over TLS from 5 busy containers: memory of the collector, bytes on the wire, CPU time a tick.

    python -m bench.stream [kept [TICKS]]

Two real collectors tick every 2 s side by side, one of them streams; then one streams at 50 ms. Bytes are those of
HTTP, request line and headers included; TLS adds 22 to each record of up to 16 KiB. "CPU and memory alone" is what the
same parts would be if a container's sample held nothing else. What a receiver keeps of a run that is over is told of
300 ticks, quicker ones; every container has worked in each.
"""

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from bench.sidecar import CONTAINERS, Sidecar, containers, sidecar
from bench.support import in_own_pid_namespace, installation, table
from jobmeter.model import wire
from jobmeter.model.sample import ContainerSample, Sample
from jobmeter.receiver.store.block.coding import Encoder
from tests.support.receivers import Asked, FlakyReceiver, certificate, serving

TICKS, QUICK_TICKS, KEPT_TICKS = 30, 600, 300
BURN = """
import random, time
kept = bytearray()
while True:
    until = time.process_time() + random.uniform(0.01, 0.1)
    while time.process_time() < until:
        pass
    kept = bytearray(random.randrange(1, 64) << 18)
    time.sleep(random.uniform(0.05, 0.3))
"""


@contextmanager
def receiver(directory: Path) -> Iterator[FlakyReceiver]:
    """A receiver that speaks TLS; its authority is the one that collectors are told of."""
    place, key = certificate(directory)
    os.environ["SSL_CERT_FILE"] = str(place)
    made = FlakyReceiver()
    made.secure(place, key)
    with serving(made):
        yield made


def main() -> None:
    """Start the benchmark where nothing else is seen."""
    in_own_pid_namespace("bench.stream", benchmark)


def benchmark() -> None:
    """Print memory, CPU time and bytes."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        python = stack.enter_context(installation())
        for cgroup in stack.enter_context(containers(2)):
            burning = stack.enter_context(cgroup.spawn([sys.executable, "-c", BURN]))
            stack.callback(burning.kill)
        if sys.argv[1:2] == ["kept"]:
            kept(python, directory, ticks=int((sys.argv[2:3] or [str(KEPT_TICKS)])[0]), interval="1s")
            return
        with receiver(directory) as streamed:
            slow(python, directory, streamed)
        with receiver(directory) as streamed:
            quick(python, directory, streamed)
        kept(python, directory, ticks=KEPT_TICKS, interval="200ms")


def slow(python: Path, directory: Path, streamed: FlakyReceiver) -> None:
    """Two collectors at 2 s: with and without the stream."""
    rows = []
    with (
        sidecar(python, directory / "alone", "--interval=2s") as alone,
        sidecar(python, directory / "sends", "--interval=2s", f"--receiver={streamed.url}") as sends,
    ):
        for name, one in (("without", alone), ("with a stream", sends)):
            one.wait_for_samples(TICKS)
            cost = one.cpu_seconds() / one.sample_count() * 1e3
            rows.append((name, f"{one.pss_bytes() / 2**20:.2f}", f"{cost:.2f}", str(one.threads())))
    print(f"{CONTAINERS} busy containers, {TICKS} ticks of 2 s, the start included\n")
    table(("collector", "PSS MiB", "CPU ms a tick", "threads"), rows)
    show_bytes(sends, streamed)


def show_bytes(sends: Sidecar, streamed: FlakyReceiver) -> None:
    """What a container's sample takes on the wire."""
    ticks = [record for record in read(streamed) if isinstance(record, wire.Tick)]
    samples = sum(len(tick.sample.containers) for tick in ticks)
    bodies, heads = sum(len(one.body) for one in streamed.asked), sum(map(head_bytes, streamed.asked))
    parts = [list(zlib.decompress(one.body, wbits=31).splitlines()) for one in streamed.asked]
    lean = [leaned(part) for part in parts]
    rows = [
        ("whole records, as journal lines", sum(len(line) + 1 for part in parts for line in part)),
        ("whole records, in gzipped parts", bodies),
        ("request lines and headers", heads),
        ("CPU and memory alone, in the same parts", sum(map(zipped, lean))),
        ("CPU and memory alone, in one part", zipped([line for part in lean for line in part])),
    ]
    print(f"\n{len(ticks)} ticks, {samples} container samples, {len(parts)} parts\n")
    table(("", "bytes", "per container tick"), [(a, str(b), f"{b / samples:.1f}") for a, b in rows])


def read(streamed: FlakyReceiver) -> Iterator[wire.AnyRecord]:
    """The records that arrived."""
    for run in streamed.runs.values():
        for record in run:
            decoded = wire.decode(msgspec.json.encode(record))
            if decoded is not None:
                yield decoded


def head_bytes(asked: Asked) -> int:
    """Request line and headers, each with its end of line."""
    return len(f"POST {asked.path} HTTP/1.1") + 4 + sum(len(a) + len(b) + 4 for a, b in asked.headers.items())


def leaned(part: list[bytes]) -> list[bytes]:
    """The samples of a part, with nothing but CPU time and memory of each container."""
    ticks = (record for line in part if isinstance(record := wire.decode(line), wire.Tick))
    return [wire.encode(msgspec.structs.replace(tick, sample=lean_sample(tick.sample))) for tick in ticks]


def lean_sample(sample: Sample) -> Sample:
    """CPU time and memory alone."""
    return Sample(
        elapsed_seconds=sample.elapsed_seconds,
        due_seconds=sample.due_seconds,
        containers=tuple(
            ContainerSample(key=one.key, cpu_seconds=one.cpu_seconds, memory_bytes=one.memory_bytes)
            for one in sample.containers
        ),
        unattributed_cpu_seconds=None,
        cpu_complete=True,
    )


def zipped(lines: list[bytes]) -> int:
    """Bytes of a gzipped part."""
    return len(zlib.compress(b"\n".join(lines) + b"\n", wbits=31))


def kept(python: Path, directory: Path, *, ticks: int, interval: str) -> None:
    """What is stored of a run once it is over."""
    with sidecar(python, directory / "kept", f"--interval={interval}") as collector:
        collector.wait_for_samples(ticks)
    lines = (directory / "kept").read_bytes().splitlines()
    samples = sum(
        len(record.sample.containers) for line in lines if isinstance(record := wire.decode(line), wire.Tick)
    )
    rows = []
    for name, records in (("whole records", lines), ("CPU and memory alone", leaned(lines))):
        encoder = Encoder()
        encoder.add(b"".join(line + b"\n" for line in records))
        size = len(encoder.block())
        rows.append((name, str(size), f"{size / samples:.2f}"))
    print(f"\nstored of {ticks} ticks of {interval}, {samples} container samples, once the run is over\n")
    table(("", "bytes", "per container tick"), rows)


def quick(python: Path, directory: Path, streamed: FlakyReceiver) -> None:
    """One collector at 50 ms: memory after many ticks."""
    rows = []
    with sidecar(python, directory / "quick", "--interval=50ms", f"--receiver={streamed.url}") as collector:
        for ticks in (QUICK_TICKS // 3, QUICK_TICKS):
            collector.wait_for_samples(ticks)
            rows.append((str(ticks), f"{collector.pss_bytes() / 2**20:.2f}", str(collector.descriptors())))
    print("\nstreaming over TLS, a tick every 50 ms\n")
    table(("ticks", "PSS MiB", "descriptors"), rows)


if __name__ == "__main__":
    main()
