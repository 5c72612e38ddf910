"""Summaries stored a second on PostgreSQL, durably, beside SQLite.

    python -m bench.ingest_postgresql [SECONDS [ROUNDS]]

As `bench.ingest`, over 64 connections, with a server of its own on the same cores, whose settings are PostgreSQL's: a
commit waits for the disk. Keys begin with their time, as those of collectors do. Receivers take turns; medians, and
the best round in parentheses. The CPU time of the server is that of all its processes.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sqlalchemy import Connection, text

from bench.ingest import bodies, cpu_seconds, load, receiver, serving
from bench.support import ROOT, table
from jobmeter.receiver.store.database import Database
from tests.support.postgresql import PostgresqlServer, running_postgresql

CONNECTIONS = 64
Place = Callable[[], AbstractContextManager[str]]
"""An empty database, by the address that ``--db`` takes."""


class Round(NamedTuple):
    """What one receiver did; milliseconds of CPU time for each summary."""

    per_second: float
    receiver_ms: float
    server_ms: float


def main() -> None:
    """Print the table."""
    seconds, rounds = (int(text) for text in (*sys.argv[1:], "10", "5")[:2])
    subprocess.run([ROOT / "scripts/install-packages", "wrk=wrk"], check=True)
    found: dict[tuple[str, str], list[Round]] = {}
    with TemporaryDirectory(dir="/var/tmp") as name, running_postgresql() as server:
        directory = Path(name)
        _wait_for_the_disk(server)
        places: dict[str, Place] = {"PostgreSQL": server.database, "SQLite": lambda: _file(directory)}
        for kind, body in bodies().items():
            (directory / kind).write_text(body)
            for number in range(rounds):
                for store in list(places)[:: -1 if number % 2 else 1]:
                    measured = _measured(server, places[store], directory / kind, seconds)
                    found.setdefault((store, kind), []).append(measured)
    table(
        ("stored in", "summary", "stored/s", "receiver's CPU ms each", "server's CPU ms each"),
        [(*key, *_row(each)) for key, each in found.items()],
    )


def _wait_for_the_disk(server: PostgresqlServer) -> None:
    """The tests' server does not."""
    server.ask("ALTER SYSTEM SET fsync = on")
    server.ask("SELECT pg_reload_conf()")
    while server.ask("SHOW fsync") != [("on",)]:
        time.sleep(0.05)


@contextmanager
def _file(directory: Path) -> Iterator[str]:
    path = directory / "runs.db"
    yield str(path)
    for file in directory.glob("runs.db*"):
        file.unlink()


def _measured(server: PostgresqlServer, place: Place, body: Path, seconds: int) -> Round:
    """An empty database under load; counts what is stored."""
    key = f"{time.time_ns() // 1_000_000:012x}"
    key = f"{key[:8]}-{key[8:]}-7000-8000"
    with place() as url:
        with serving(receiver(Path(url)) if "://" not in url else _receiver_on(url)) as (address, process):
            load(address, body, CONNECTIONS, 1, f"{key}-0")
            ours, theirs = cpu_seconds(process), _server_seconds(server)
            found = load(address, body, CONNECTIONS, seconds, f"{key}-1")
            used = cpu_seconds(process) - ours, _server_seconds(server) - theirs
        database = Database.open(url)
        stored = database.read_here(_count)
        database.close()
    assert stored >= found.accepted > 0, f"{found.accepted} were acknowledged, {stored} are stored"
    return Round(found.per_second, *(1000 * each / found.accepted for each in used))


def _count(connection: Connection) -> int:
    found: int = connection.execute(text("SELECT count(*) FROM runs")).scalar_one()
    return found


def _receiver_on(url: str) -> tuple[str, ...]:
    return *(word for word in receiver(Path()) if not word.startswith("--db=")), f"--db={url}"


def _server_seconds(server: PostgresqlServer) -> float:
    """CPU time of the server's processes that live; those of a receiver's connections live as long as it does."""
    postmaster = server.pid
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return sum(map(cpu_seconds, map(int, children)))


def _row(rounds: Sequence[Round]) -> tuple[str, ...]:
    middle = Round(*map(median, zip(*rounds, strict=True)))
    best = max(one.per_second for one in rounds)
    return f"{middle.per_second:,.0f} ({best:,.0f})", f"{middle.receiver_ms:.3f}", f"{middle.server_ms:.3f}"


if __name__ == "__main__":
    main()
