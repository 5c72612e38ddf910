"""Many runs in PostgreSQL: what a job's pages ask for, and sizing over 1,000 runs and over a year.

    python -m bench.history_load [RUNS [QUESTIONS]]

A server of its own with PostgreSQL's own settings (fsync off: only questions are timed), whose data lie below $TMPDIR
and are removed at the end. Runs of a year, made for this purpose: 4,000 jobs of which few have most runs, a summary
with one container, at most 1 KB a row, loaded by COPY, with what a receiver makes of them for history and sizing; the
indexes of runs are made afterwards, as when a dump is restored, and all of it is on the disk before anything is asked.
Then each question is asked about jobs that are drawn as their runs are, one after the other over one connection, and
timed as the receiver sees it: a first round, whose p99 stands in a column of its own, since it finds pages that nobody
has read since they were loaded, and with other jobs and moments the round that counts. The CPU time of our process and
that of the server's are means of this: they tell something on a busy machine, too.

A run takes some 2.3 KB of disk, its loading 0.3 ms on a quiet machine, and the server's and our memory 1 GB.
"""

import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec
import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from bench.ingest import cpu_seconds
from bench.support import table
from jobmeter.model.history.usage import usage_of
from jobmeter.model.sizing import observation, period
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver import bookkeeping
from jobmeter.receiver.api import histories
from jobmeter.receiver.api.sizing import advice_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.history import RunQuestion
from jobmeter.receiver.store.months import month_of
from jobmeter.receiver.store.postgresql import partitions
from jobmeter.receiver.store.queries import RunFilter, find_run, newest_runs, runs_of_job
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.sizing_days import observed
from jobmeter.receiver.store.usage_days import DAY
from jobmeter.receiver.store.usage_tables import sizing_days, usages
from jobmeter.receiver.store.usages import Names, Taken, names_of, row_of
from tests.support.postgresql import running_postgresql

RUNS, QUESTIONS = 1_000_000, 1000
JOBS = 4000
YEAR_MILLISECONDS = 365 * 86_400_000
_DAYS_IN_MEMORY = 20_000
_COLUMNS = (
    "run_uid", "state", "forge", "organization", "repository", "workflow", "job", "run_id", "ref",
    "start_time", "received_at", "heard_at", "next_sequence", "pushed", "job_json", "summary",
)  # fmt: skip
_TYPES: dict[type, str] = {
    BigInteger: "int8", Integer: "int4", Float: "float8", Boolean: "bool", LargeBinary: "bytea", String: "text",
}  # fmt: skip
_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index WHERE indrelid = 'runs'::regclass AND NOT indisprimary ORDER BY 1
"""


class Job(NamedTuple):
    """Names, and what its runs are like."""

    organization: str
    repository: str
    workflow: str
    job: str
    seconds: float
    cores: float
    memory_bytes: int


def jobs(draw: random.Random) -> list[Job]:
    """Some organizations with repositories, each with some jobs."""
    words = ("build", "test", "lint", "package", "deploy", "e2e", "docs", "bench")
    found = []
    for number in range(JOBS):
        organization = f"team-{number % 40}"
        found.append(
            Job(
                organization, f"{organization}/service-{number // 8}", f"ci-{number % 3}.yml", words[number % 8],
                draw.lognormvariate(5, 1), draw.lognormvariate(0.3, 0.6), int(draw.lognormvariate(20, 1)),
            )
        )  # fmt: skip
    return found


def uuid7(milliseconds: int, draw: random.Random) -> str:
    """A key that begins with its time (RFC 9562)."""
    digits = f"{milliseconds:012x}7{draw.getrandbits(12):03x}{0x8 | draw.getrandbits(2):x}{draw.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def rows(count: int, now: int, draw: random.Random) -> Iterator[tuple[Any, ...]]:
    """Runs in the order in which they came; the first jobs have most of them."""
    known = jobs(draw)
    for number in range(count):
        job = known[chosen(draw)]
        received = now - YEAR_MILLISECONDS + YEAR_MILLISECONDS * number // count
        seconds = job.seconds * draw.uniform(0.8, 1.3)
        names = {
            "organization": job.organization, "repository": job.repository, "workflow": job.workflow,
            "job": job.job, "run_id": str(number), "ref": "refs/heads/main",
        }  # fmt: skip
        uid = uuid7(received, draw)
        summary = summary_of(job, uid, received, seconds, number % 50 == 0, draw)
        started = received - int(seconds * 1000)
        yield (
            uid, "finished", "forgejo", *list(names.values())[:4], str(number), "refs/heads/main",
            started, received, received, 0, True, json.dumps(names).encode(), summary,
        )  # fmt: skip


def chosen(draw: random.Random) -> int:
    """One of the jobs, as runs are spread over them: a tenth of the jobs has nine tenths of the runs."""
    return int(JOBS * draw.random() ** 5)


def summary_of(job: Job, uid: str, received: int, seconds: float, failed: bool, draw: random.Random) -> bytes:
    """What `jobmeter collector` pushes, as far as sizing and lists read it."""
    cores = job.cores * draw.uniform(0.8, 1.2)
    memory = int(job.memory_bytes * draw.uniform(0.7, 1.1))
    told = {
        "schema": "jobmeter.summary/1",
        "run_uid": uid,
        "start_time": rfc3339_of(received / 1000 - seconds),
        "end_time": rfc3339_of(received / 1000),
        "duration_seconds": round(seconds, 3),
        "sample_count": int(seconds),
        "containers": [
            {
                "name": "build",
                "cpu_cores": {
                    name: round(cores * share, 3)
                    for name, share in (("peak", 1.6), ("p95", 1.4), ("p50", 0.9), ("avg", 1))
                },
                "cpu_seconds": round(cores * seconds, 3),
                "memory_source": "working_set",
                "memory_working_set_peak_bytes": memory,
                "memory_high_water_bytes": memory // 2,
                "memory_limit_bytes": 2 * job.memory_bytes,
            }
        ],
        "exit": {"reason": "failure" if failed else "success", "code": int(failed)},
        "host": {"cpus": 8, "memory_bytes": 2**35},
    }
    return json.dumps(told, separators=(",", ":")).encode()


def load(url: str, count: int) -> Database:
    """A database that has been in use for a year."""
    now = int(time.time() * 1000)
    began = now - YEAR_MILLISECONDS
    with patch("time.time", return_value=began / 1000):
        database = Database.open(url)
    with psycopg.connect(url, autocommit=True) as connection:
        month = month_of(began)
        while month <= month_of(now):
            partitions.make_ahead(connection, int(month.first_uid.replace("-", ""), 16))
            month = month.after()
        indexes = connection.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        _copy(url, connection, count, now)
        for _, made in indexes:
            connection.execute(made.replace(" ON ONLY ", " ON ").encode())
        connection.execute("VACUUM ANALYZE")
        connection.execute(f"UPDATE usage_progress SET heard_at = {now}".encode())
        connection.execute("CHECKPOINT")
    os.sync()
    return database


def _copy(url: str, connection: psycopg.Connection[Any], count: int, now: int) -> None:
    """The runs, and what the receiver keeps of each and of each day of a job."""
    known = jobs(random.Random(1))
    ids: dict[Names, int] = {}
    for number, job in enumerate(known, 1):
        names = names_of(*job[:4])
        ids[names] = number
        connection.execute(
            "INSERT INTO jobs (organization, repository, workflow, job) VALUES (%s, %s, %s, %s)", names
        )
    with ExitStack() as stack:
        copies = {
            into.name: stack.enter_context(_copying(url, into, names))
            for into, names in (
                (runs, _COLUMNS),
                (usages, usages.columns.keys()),
                (sizing_days, sizing_days.columns.keys()),
            )
        }
        days: dict[tuple[int, int], list[Observation]] = {}
        for row in rows(count, now, random.Random(1)):
            copies["runs"].write_row(row)
            run = dict(zip(_COLUMNS, row, strict=True))
            taken = _taken(run)
            job_id, day = ids[taken.names], taken.begun_at // DAY
            values = row_of(taken, job_id)
            copies["usages"].write_row([values.get(column.name, False) for column in usages.columns])
            days.setdefault((job_id, day), []).append(observation.decode(taken.observation or b""))
            if len(days) > _DAYS_IN_MEMORY:
                # Runs come in the order of their time; none lasts for days.
                _write_days(copies["sizing_days"], days, before=day - 3)
        _write_days(copies["sizing_days"], days, before=2**31)


def _taken(run: dict[str, Any]) -> Taken:
    return Taken(
        run["run_uid"],
        names_of(run["organization"], run["repository"], run["workflow"], run["job"]),
        run["start_time"],
        run["heard_at"],
        usage_of(run["summary"], run["job_json"]),
        observed(run["run_uid"], run["received_at"], run["summary"]),
    )


def _write_days(copy: psycopg.Copy, days: dict[tuple[int, int], list[Observation]], *, before: int) -> None:
    for key in [key for key in days if key[1] < before]:
        copy.write_row((*key, period.encode(period.parts_of(days.pop(key)))))


@contextmanager
def _copying(url: str, into: Table, names: Sequence[str]) -> Iterator[psycopg.Copy]:
    """Takes rows of a table over a connection of its own."""
    asked = f"COPY {into.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)".encode()
    with (
        psycopg.connect(url, autocommit=True) as connection,
        connection.cursor() as cursor,
        cursor.copy(asked) as copy,
    ):
        types = [into.columns[name].type for name in names]
        copy.set_types([next(name for kind, name in _TYPES.items() if isinstance(of, kind)) for of in types])
        yield copy


def questions() -> dict[str, Callable[[Connection, Job, random.Random], object]]:
    """What is asked about one job."""

    def of_job(job: Job) -> RunFilter:
        return RunFilter(
            organization=job.organization, repository=job.repository, workflow=job.workflow, job=job.job
        )

    def listed(connection: Connection, job: Job, draw: random.Random) -> object:
        return list(newest_runs(connection, of_job(job), None, 50))

    def one(connection: Connection, job: Job, draw: random.Random) -> object:
        newest = next(newest_runs(connection, of_job(job), None, 1), None)
        return newest and find_run(connection, newest.run_uid)

    def older(connection: Connection, job: Job, draw: random.Random) -> object:
        return list(newest_runs(connection, of_job(job), draw.randrange(1, RUNS), 50))

    def of_repository(connection: Connection, job: Job, draw: random.Random) -> object:
        return list(newest_runs(connection, RunFilter(repository=job.repository), None, 50))

    def seed_rows(connection: Connection, job: Job, draw: random.Random) -> object:
        return runs_of_job(connection, *job[:4], None, 100)

    def sizing(connection: Connection, job: Job, draw: random.Random) -> object:
        return msgspec.json.encode(advice_of(connection, job[:4], Parameters()))

    def sizing_of(days: int) -> Callable[[Connection, Job, random.Random], object]:
        def ask(connection: Connection, job: Job, draw: random.Random) -> object:
            return msgspec.json.encode(advice_of(connection, job[:4], Parameters(days=days)))

        return ask

    def history(connection: Connection, job: Job, draw: random.Random) -> object:
        return histories.job_history(connection, names_of(*job[:4]), None, RunQuestion(), 100)

    def anything_new(connection: Connection, job: Job, draw: random.Random) -> object:
        return bookkeeping._changed(connection, None)

    return {
        "the newest 50 runs of a job": listed,
        "50 older runs of a job": older,
        "the newest 50 runs of a repository": of_repository,
        "one run of a job": one,
        "the newest 100 rows as seed 000 asks for them": seed_rows,
        "whether a run is to be taken into history": anything_new,
        "the page of a job, 100 runs, without drawing": history,
        "sizing over up to 1,000 runs": sizing,
        "sizing over a day": sizing_of(1),
        "sizing over a year": sizing_of(366),
    }


def main() -> None:
    """Print the table."""
    count, asked = (int(one) for one in (*sys.argv[1:], *map(str, (RUNS, QUESTIONS)[len(sys.argv) - 1 :])))
    with running_postgresql() as server, server.database() as url:
        began = time.monotonic()
        database = load(url, count)
        took = time.monotonic() - began
        size = server.ask("SELECT pg_database_size(current_database())", database=url.rpartition("/")[2])[0][
            0
        ]
        print(f"{count:,} runs loaded in {took:.0f} s, {size / count:.0f} bytes a run with its indexes\n")
        known = jobs(random.Random(1))
        gc.collect()
        gc.freeze()  # As the receiver does when it starts: the garbage of loading is not that of a question.
        found = []
        for name, question in questions().items():
            first, counted = (timed(database, known, question, asked, seed) for seed in (3, 2))
            found.append((name, first[1], *counted))
            print(*found[-1], sep="; ", flush=True)
        database.close()
    table(
        ("question", "first p99 ms", "median ms", "p99 ms", "most ms", "our CPU ms", "server's CPU ms"), found
    )


def timed(
    database: Database,
    known: list[Job],
    question: Callable[[Connection, Job, random.Random], object],
    count: int,
    seed: int,
) -> tuple[str, ...]:
    """Median, p99, longest, and the two means of CPU time, in milliseconds."""
    draw = random.Random(seed)
    server = database.read_here(lambda asked: asked.execute(text("SELECT pg_backend_pid()")).scalar_one())
    ours, theirs = time.process_time(), cpu_seconds(server)
    times = []
    for _ in range(count):
        job = known[chosen(draw)]
        began = time.perf_counter()
        database.read_here(lambda connection, job=job: question(connection, job, draw))  # type: ignore[misc]
        times.append(time.perf_counter() - began)
    times.sort()
    means = (time.process_time() - ours) / count, (cpu_seconds(server) - theirs) / count
    shares = times[len(times) // 2], times[len(times) * 99 // 100], times[-1]
    return tuple(f"{seconds * 1e3:.1f}" for seconds in (*shares, *means))


if __name__ == "__main__":
    main()
