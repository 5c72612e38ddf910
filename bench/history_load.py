"""Many runs in PostgreSQL: what a job's page asks for, and sizing over 1,000 runs.

    python -m bench.history_load [RUNS [QUESTIONS]]

A server of its own with PostgreSQL's own settings (fsync off: only questions are timed). Runs of a year, made for this
purpose: 4,000 jobs of which few have most runs, a summary with one container, at most 1 KB a row, loaded by COPY; the
indexes are made afterwards, as when a dump is restored. Then each question is asked about jobs that are drawn as their
runs are, one after the other over one connection, and timed as the receiver sees it.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest.mock import patch

import psycopg
from sqlalchemy import Connection

from bench.support import table
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.summarize import rfc3339_of
from jobmeter.receiver.api.sizing import advice_of
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.months import month_of
from jobmeter.receiver.store.postgresql import partitions
from jobmeter.receiver.store.queries import RunFilter, find_run, newest_runs, runs_of_job
from tests.support.postgresql import running_postgresql

RUNS, QUESTIONS = 1_000_000, 1000
JOBS = 4000
YEAR_MILLISECONDS = 365 * 86_400_000
_COLUMNS = (
    "run_uid", "state", "forge", "organization", "repository", "workflow", "job", "run_id", "ref",
    "start_time", "received_at", "heard_at", "next_sequence", "pushed", "job_json", "summary",
)  # fmt: skip
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
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY runs ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)".encode()) as copy,
        ):
            copy.set_types(["text"] * 9 + ["int8"] * 4 + ["bool", "bytea", "bytea"])
            for row in rows(count, now, random.Random(1)):
                copy.write_row(row)
        for _, made in indexes:
            connection.execute(made.replace(" ON ONLY ", " ON ").encode())
        connection.execute("VACUUM ANALYZE runs")
    return database


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
        return advice_of(connection, job[:4], Parameters())

    return {
        "the newest 50 runs of a job": listed,
        "50 older runs of a job": older,
        "the newest 50 runs of a repository": of_repository,
        "one run of a job": one,
        "the newest 100 rows as seed 000 asks for them": seed_rows,
        "sizing over up to 1,000 runs": sizing,
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
        found = []
        for name, question in questions().items():
            times = timed(database, known, question, asked if "sizing" not in name else asked // 5)
            found.append(
                (name, *(f"{times[len(times) * share // 100]:.1f}" for share in (50, 99)), f"{times[-1]:.1f}")
            )
        database.close()
    table(("question", "median ms", "p99 ms", "most ms"), found)


def timed(
    database: Database,
    known: list[Job],
    question: Callable[[Connection, Job, random.Random], object],
    count: int,
) -> list[float]:
    """Milliseconds of each, the shortest first."""
    draw = random.Random(2)
    times = []
    for _ in range(count):
        job = known[chosen(draw)]
        began = time.perf_counter()
        database.read_here(lambda connection, job=job: question(connection, job, draw))  # type: ignore[misc]
        times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)


if __name__ == "__main__":
    main()
