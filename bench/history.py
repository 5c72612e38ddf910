"""What history costs to keep and to ask, with many runs.

    python -m bench.history [--db postgresql://…] [runs]

A million runs of 500 jobs over 60 days in a new database, where no number is given. It prints how fast summaries are
read, and of each question, page included, the median and worst time and our mean CPU time, of 20 after the first.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

from jobmeter.model.history.usage import usage_of
from jobmeter.receiver.api import histories
from jobmeter.receiver.api.job_items import JobItems
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.fleet import fleet_body
from jobmeter.receiver.pages.history import history_body
from jobmeter.receiver.pages.repositories import repository_body
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.history import RunQuestion
from jobmeter.receiver.store.known_jobs import JobOrder, OfRepository
from jobmeter.receiver.store.usage_days import DAY, make_days
from jobmeter.receiver.store.usages import Names
from tests.support.histories import story

_JOBS, _DAYS, _REPEATS = 500, 60, 20
_BIG = 10  # Of all runs so many parts are of one job.
_NAMES: Names = ("acme", "engine-0", "ci.yaml", "job-0")
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last) ",
    "postgresql": "WITH numbers AS (SELECT n FROM generate_series(0, :last) AS all_of(n)) ",
}
_INSERT = """
INSERT INTO usages (run_uid, job, begun_at, heard_at, whole, exit_reason, duration_seconds, cpu_seconds, memory_bytes,
    lower_bounds, memory_total_bytes, cores_reserved, cores_reserved_used, cores_reserved_unused, cores_partial,
    memory_reserved, memory_reserved_used, memory_reserved_unused, memory_partial, ref, sha, run_id, leg, labels)
"""
_SELECT = """
SELECT 'run-' || n, CASE WHEN n % :big = 0 THEN 1 ELSE 1 + n % :jobs END, :now - :step * n, :now, n % 17 <> 0,
    CASE WHEN n % 17 = 0 THEN 'failure' ELSE 'success' END, 300.0 + n % 41, 500.0 + n % 97,
    800000000 + (n % 101) * 1000000, '', 800000000, 4.0, 1.6, 2.4, false, 4.0e9, 8.0e8, 3.2e9, false,
    CASE WHEN n % 3 = 0 OR n % :jobs BETWEEN 100 AND 199 THEN 'refs/heads/main'
    ELSE 'refs/heads/b' || (n % 700) END, 'c0ffee', 'r' || n, '', 'linux'
FROM numbers
"""


def main() -> None:
    """Fill a database and ask it."""
    words = sys.argv[1:]
    place = words[1] if words[:1] == ["--db"] else str(Path(tempfile.mkdtemp()) / "history.db")
    runs = int(words[-1]) if words and words[-1].isdigit() else 1_000_000
    _taking_in()
    database = Database.open(place)
    try:
        begun = time.monotonic()
        with database.writer.begin() as connection:
            _fill(connection, runs)
        print(f"{runs:,} runs made in {time.monotonic() - begun:.0f} s")
        drawing = Drawing()
        until = datetime.now(UTC).date()
        for name, question in _questions(drawing).items():
            _time(database, name, question)
        for days in (30, _DAYS):
            since = until - timedelta(days - 1)
            ask = partial(histories.fleet, scopes=None, prices=None, since=since, until=until, limit=20)
            _time(database, f"fleet, {days} days", lambda connection: fleet_body(ask(connection), drawing))  # noqa: B023
    finally:
        database.close()


def _questions(drawing: Drawing) -> dict[str, Callable[[Connection], object]]:
    def job(limit: int, **wanted: object) -> Callable[[Connection], object]:
        def ask(connection: Connection) -> object:
            question = RunQuestion(**wanted)  # type: ignore[arg-type]
            found = histories.job_history(connection, _NAMES, None, question, limit)
            assert len(found.runs) == limit
            return history_body(found, [], [], {}, drawing)

        return ask

    def repository(order: JobOrder, items: JobItems | None) -> Callable[[Connection], object]:
        def ask(connection: Connection) -> object:
            of = OfRepository(None, "acme", "engine-1")
            found = histories.repository(connection, of, order, 0, 100, items or JobItems())
            assert found is not None
            assert len(found.jobs) == 100
            return repository_body(found, {})

        return ask

    return {
        "page of a job, 200 runs": job(200),
        "page of a job, 1,000 runs": job(1000),
        "20 whole runs of a branch, as for check": job(20, ref="refs/heads/main", ended="whole"),
        "repository, 100 jobs of which nothing is kept": repository("last", None),
        "repository, 100 jobs, all kept": repository("last", JobItems()),
        "the same by memory": repository("memory", JobItems()),
        "repositories": lambda asked: histories.repositories(asked, None, "", "last", 0, 100),
    }


def _taking_in() -> None:
    summaries = [msgspec.json.encode(summary) for _, summary in zip(range(300), story(), strict=False)]
    begun = time.process_time()
    for content in summaries:
        usage_of(content, b'{"ref":"refs/heads/main"}')
    taken = (time.process_time() - begun) / len(summaries)
    print(
        f"a summary of {sum(map(len, summaries)) // len(summaries):,} bytes is read in {taken * 1e6:.0f} us of CPU"
    )


def _fill(connection: Connection, runs: int) -> None:
    now = int(time.time() * 1000)
    for number in range(_JOBS):
        connection.execute(
            text(
                "INSERT INTO jobs (organization, repository, workflow, job) VALUES ('acme', :r, 'ci.yaml', :j)"
            ),
            {"r": f"engine-{number // 100}", "j": f"job-{number}"},
        )
    numbers = _NUMBERS[connection.dialect.name]
    connection.execute(
        text(_INSERT + numbers + _SELECT),
        {"last": runs - 1, "now": now, "step": _DAYS * DAY // runs, "jobs": _JOBS, "big": _BIG},
    )
    days = range(now // DAY - _DAYS, now // DAY + 1)
    make_days(connection, {(job, day) for job in range(1, _JOBS + 1) for day in days})
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE usages, usage_days, jobs"))


def _time(database: Database, name: str, question: Callable[[Connection], object]) -> None:
    database.read_here(question)
    took, used = [], time.process_time()
    for _ in range(_REPEATS):
        begun = time.monotonic()
        database.read_here(question)
        took.append((time.monotonic() - begun) * 1000)
    used = (time.process_time() - used) * 1000 / _REPEATS
    took.sort()
    print(
        f"{name}: {took[len(took) // 2]:.0f} ms, at worst {took[-1]:.0f} ms, {used:.0f} ms of CPU", flush=True
    )


if __name__ == "__main__":
    main()
