"""What asking a Prometheus about one job costs: QUERIES queries of an hour at ten seconds, from one on the loopback.

    python -m bench.referee

A real Prometheus is filled beforehand by promtool with the series that the queries ask for. Each run is a process of
`jobmeter referee` from its start to its end, which writes the whole document. Wall-clock time, CPU time, and the
largest resident set of that process, beside those of `jobmeter --version`; medians of RUNS.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.support import table
from tests.support.receivers import closed_port

QUERIES = 50
SERIES = (1, 10)
"""Of each query."""
HOUR_SECONDS = 3600
INTERVAL_SECONDS = 10
RUNS = 5
_EARLIER_SECONDS = 7200


class Cost(NamedTuple):
    """Of one process."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def main() -> None:
    """Print the table."""
    end = int(time.time()) - _EARLIER_SECONDS
    rows = [("jobmeter --version", *_row([cost("--version") for _ in range(RUNS)]), "")]
    for series in SERIES:
        with TemporaryDirectory() as directory, serving(Path(directory), end, series) as address:
            config, out = Path(directory) / "referee.toml", Path(directory) / "evidence.json"
            config.write_text(configuration(address))
            argv = (
                "referee",
                f"--config={config}",
                f"--start={end - HOUR_SECONDS}",
                f"--end={end}",
                f"--out={out}",
            )
            costs = [cost(*argv) for _ in range(RUNS)]
            document = json.loads(out.read_bytes())
            states = {query["state"] for query in document["queries"]}
            assert states == {"data"}, document["queries"][0]
            rows.append(
                (f"{QUERIES} queries, {series} series each", *_row(costs), f"{out.stat().st_size / 1e6:.1f}")
            )
    table(("", "s", "CPU s", "MiB", "MB of JSON"), rows)


def configuration(address: str) -> str:
    """Queries as they are asked: a rate of each."""
    queries = "\n".join(
        f'q{number} = "rate(bench_{number}_total{{{{selector}}}}[{{rate_interval}}])"'
        for number in range(QUERIES)
    )
    selector = "selector = 'instance=\"a\"'"
    return f'[referee]\nprometheus_address = "{address}"\n{selector}\n[referee.queries]\n{queries}\n'


@contextmanager
def serving(directory: Path, end: int, series: int) -> Iterator[str]:
    """The address of a Prometheus that has the series of an hour and a bit."""
    text = directory / "series.txt"
    with text.open("w") as file:
        for number in range(QUERIES):
            file.write(f"# TYPE bench_{number} counter\n")
            for one in range(series):
                # A rate that is the same again and again would take less room than real ones do.
                chance, value = Random(f"{number} {one}"), 0.0
                for moment in range(end - HOUR_SECONDS - 120, end + 60, INTERVAL_SECONDS):
                    value += chance.random()
                    file.write(f'bench_{number}_total{{instance="a",n="{one}"}} {value:.6f} {moment}\n')
        file.write("# EOF\n")
    data = directory / "data"
    command: list[str | Path] = ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, data]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    config = directory / "prometheus.yaml"
    config.write_text("{}")
    address = f"127.0.0.1:{closed_port()}"
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}",
             f"--web.listen-address={address}", "--storage.tsdb.retention.time=10y"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait(f"http://{address}/-/ready")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


def cost(*argv: str) -> Cost:
    """Of one process of `jobmeter`."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobmeter", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Cost(time.perf_counter() - begun, _cpu(used), used.ru_maxrss / 1024)


def _cpu(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def _row(costs: Sequence[Cost]) -> tuple[str, str, str]:
    wall, cpu, peak = (statistics.median(column) for column in zip(*costs, strict=True))
    return f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.0f}"


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)


if __name__ == "__main__":
    main()
