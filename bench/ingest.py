"""Summaries stored a second, and the newest 100 of a job with a million runs: our receiver and one in Go with GORM.

    python -m bench.ingest [SECONDS [ROUNDS]]

wrk, on the same cores, makes each request another run with a summary of 3 containers: the fields of seed 000 (1.6 kB),
or all of ours (6 kB). What was acknowledged is counted in the database afterwards. Receivers take turns; medians, and
the best round in parentheses. Ours is there a second time without history: meanwhile the first one takes runs into it,
of which more come than it takes. The peer (bench/peers) stores as durably: a commit waits for the disk. It is left out
where Go or its modules cannot be had. Two floors: our server and our writer with nothing looked at between them
(bench/peers/bare.py), and the same rows inserted one after the other without HTTP.
"""

import itertools
import json
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from math import isnan, nan
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.support import ROOT, plain_environ, table

STORED_RUNS = 1_000_000
ALONE = "floor: inserts alone"
NAMES = {
    "organization": "acme",
    "repository": "acme/engine",
    "workflow": "ci.yml",
    "job": "build",
    "run_id": "815",
}
_SEED_FIELDS = (
    "start_time", "end_time", "duration_seconds", "sample_count", "cpu_total_percent", "mem_used_bytes",
)  # fmt: skip
_SEED_CONTAINER = ("name", "cpu_cores", "memory_bytes")


class Load(NamedTuple):
    """What wrk saw."""

    accepted: int
    per_second: float


class Round(NamedTuple):
    """What one receiver did under one load."""

    per_second: float
    cpu_ms: float
    peak_mib: float


Contestant = Callable[[str, int, int], Round]
"""Measures one under a kind of summary, so many connections, and so many seconds."""


def main() -> None:
    """Print both tables."""
    seconds, rounds = (int(text) for text in (*sys.argv[1:], "10", "5")[:2])
    subprocess.run([ROOT / "scripts/install-packages", "wrk=wrk"], check=True)
    with TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        directory = Path(name)
        for kind, body in bodies().items():
            (directory / kind).write_text(body)
        found = race(contestants(directory), seconds, rounds)
        print(f"Python {platform.python_version()} of {sys.base_prefix}\n")
        table(
            ("receiver", "summary", "connections", "stored/s", "CPU ms each", "peak RSS MiB"),
            [(who, kind, str(connections), *row(of)) for (who, kind, connections), of in found.items()],
        )
        print()
        table(("asked", "p50 ms", "p99 ms", "peak RSS MiB"), [newest(directory)])


def contestants(directory: Path) -> dict[str, Contestant]:
    """Who stores summaries, by name."""
    bare = (sys.executable, str(ROOT / "bench/peers/bare.py"), "ADDRESS")
    peer = build_peer(directory)
    return {
        "jobmeter": partial(over_http, directory, receiver, "runs"),
        "jobmeter without history": partial(over_http, directory, forgetful, "runs"),
        **({"Go, GORM, WAL, FULL": partial(over_http, directory, lambda db: (str(peer), "ADDRESS", str(db)), "metrics")}
           if peer else {}),
        "floor: server and writer": partial(over_http, directory, lambda db: (*bare, str(db)), "runs"),
        ALONE: partial(inserts, directory),
    }  # fmt: skip


def race(
    contestants: Mapping[str, Contestant], seconds: int, rounds: int
) -> dict[tuple[str, str, int], list[Round]]:
    """All rounds by contestant, summary and connections; there and back, so that no one is always after another."""
    found: dict[tuple[str, str, int], list[Round]] = {}
    for kind, connections in itertools.product(bodies(), (64, 1)):
        for number in range(rounds):
            for who in list(contestants)[:: -1 if number % 2 else 1]:
                if who == ALONE and connections > 1:
                    continue
                measured = contestants[who](kind, connections, seconds)
                found.setdefault((who, kind, connections), []).append(measured)
    return found


def row(rounds: Sequence[Round]) -> tuple[str, ...]:
    """Medians as they are shown, and the best rate."""
    middle = Round(*map(median, zip(*rounds, strict=True)))
    best = max(one.per_second for one in rounds)
    return (
        f"{middle.per_second:,.0f} ({best:,.0f})",
        f"{middle.cpu_ms:.3f}",
        "" if isnan(middle.peak_mib) else f"{middle.peak_mib:.0f}",
    )


def bodies() -> dict[str, str]:
    """The two posts; "@@@" stands where the key of the run belongs."""
    summary: dict[str, Any] = json.loads((ROOT / "tests/golden/summary_v1.json").read_text())
    build, service = summary["containers"]
    summary |= {"run_uid": "@@@", "containers": [build, service, service | {"name": "redis", "id": "7aa1"}]}
    seed = {field: summary[field] for field in _SEED_FIELDS} | {"run_uid": "@@@"}
    seed["containers"] = [{field: one[field] for field in _SEED_CONTAINER} for one in summary["containers"]]
    for field in ("top_cpu_processes", "top_mem_processes"):
        seed[field] = summary[field][:2]
    sent = {"seed": seed, "whole": summary}
    return {
        kind: json.dumps({"execution": NAMES, "run_summary": one}, separators=(",", ":"))
        for kind, one in sent.items()
    }


def build_peer(directory: Path) -> Path | None:
    """The Go receiver, or None with a sentence that says why not."""
    if shutil.which("go") is None:
        print("The peer is left out: Go is not installed.", file=sys.stderr)
        return None
    built = subprocess.run(
        ["go", "build", "-o", directory / "peer", "."],
        cwd=ROOT / "bench/peers", env=os.environ | {"CGO_ENABLED": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode:
        print(f"The peer is left out, it cannot be built: {built.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return directory / "peer"


def over_http(
    directory: Path, command: Callable[[Path], Sequence[str]], rows: str, kind: str, connections: int, seconds: int
) -> Round:  # fmt: skip
    """A receiver with an empty database under load; counts what it stored."""
    database = directory / "runs.db"
    for file in directory.glob("runs.db*"):
        file.unlink()
    with serving(command(database)) as (address, process):
        load(address, directory / kind, connections, 1, "warm")
        before = cpu_seconds(process)
        found = load(address, directory / kind, connections, seconds, "run")
        used, peak = cpu_seconds(process) - before, peak_bytes(process)
    with closing(sqlite3.connect(database)) as connection:
        (stored,) = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    # The warm-up is stored too, and what was under way when wrk stopped was not counted by it.
    assert stored >= found.accepted > 0, f"{found.accepted} were acknowledged, {stored} are stored"
    return Round(found.per_second, 1000 * used / found.accepted, peak / 2**20)


def inserts(directory: Path, kind: str, _connections: int, seconds: int) -> Round:
    """The same rows in a loop, each in a commit that waits for the disk."""
    from jobmeter.receiver import ingest
    from jobmeter.receiver.store.database import Database

    for file in directory.glob("runs.db*"):
        file.unlink()
    one = ingest.parse((directory / kind).read_bytes().replace(b"@@@", b"x"))
    database = Database.open(str(directory / "runs.db"))
    stored, used = 0, time.process_time()
    with database.writer.connect() as connection:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            assert (
                database.backend.insert_alone(connection, [one._replace(run_uid=f"run-{stored}")], 1)
                is not None
            )
            stored += 1
    used = time.process_time() - used
    database.close()
    return Round(stored / seconds, 1000 * used / stored, nan)


def receiver(database: Path) -> tuple[str, ...]:
    """The command of our receiver; ADDRESS is filled in."""
    return (
        sys.executable,
        "-m",
        "jobmeter",
        "receiver",
        "--listen=ADDRESS",
        f"--db={database}",
        "--log-level=warn",
    )


def forgetful(database: Path) -> tuple[str, ...]:
    """The command of ours without history."""
    python, _, _, *words = receiver(database)
    return python, str(ROOT / "bench/peers/forgetful.py"), *words


def free_address() -> str:
    """Where nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def serving(command: Sequence[str], address: str | None = None) -> Iterator[tuple[str, int]]:
    """A server: where it listens, ADDRESS in its command if no address is given, and its process."""
    address = address or free_address()
    environ = plain_environ(PYTHONPATH=str(ROOT / "src"))
    process = subprocess.Popen([word.replace("ADDRESS", address) for word in command], env=environ)
    try:
        while not answers(address):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} has ended with {process.returncode}")
            time.sleep(0.1)
        yield address, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def answers(address: str) -> bool:
    """Whether something listens there."""
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port))).close()
    except OSError:
        return False
    return True


def load(address: str, body: Path, connections: int, seconds: int, prefix: str, *token: str) -> Load:
    """Post with wrk for so long, with a token if there is one."""
    done = subprocess.run(
        ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=30s",
         f"--script={ROOT / 'bench/ingest.lua'}", f"http://{address}", "--", body, f"{prefix}-", *token],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    accepted, microseconds = map(int, line.split()[1:])
    return Load(accepted, accepted / microseconds * 1e6)


def newest(directory: Path) -> tuple[str, ...]:
    """The newest 100 of the one job there is, again and again over one connection."""
    database = directory / "million.db"
    fill(database)
    path = "/api/v1/metrics/repo/acme/acme%2Fengine/ci.yml/build?limit=100"
    with serving(receiver(database)) as (address, process):
        with urllib.request.urlopen(f"http://{address}{path}") as answer:
            assert len(json.load(answer)) == 100
        done = subprocess.run(
            ["wrk", "--threads=1", "--connections=1", "--duration=5s", "--latency", f"http://{address}{path}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = dict(
            line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["50%"], ["99%"])
        )
        peak = peak_bytes(process)
    return f"newest 100 of {STORED_RUNS:,} runs of one job", found["50%"], found["99%"], f"{peak / 2**20:.0f}"


def fill(path: Path) -> None:
    """A million runs of one job, through the receiver's own store."""
    from jobmeter.receiver import ingest
    from jobmeter.receiver.store.database import Database

    one = ingest.parse(bodies()["seed"].replace("@@@", "x").encode())
    database = Database.open(str(path))
    for begin in range(0, STORED_RUNS, 10_000):
        with database.writer.begin() as connection:
            uids = (f"run-{number}" for number in range(begin, begin + 10_000))
            database.backend.store_summaries(connection, [one._replace(run_uid=uid) for uid in uids], begin)
    database.close()


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(process: int) -> int:
    """Its largest resident set."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("there is no VmHWM in /proc")


if __name__ == "__main__":
    main()
