"""The tables of what runs used: made from the runs, and made again from them at any time.

Times are whole milliseconds since 1970, days are whole days since then (UTC, of a run's begin). Names that a run does
not have are empty; ``jobs.repository`` is without its organization.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from jobmeter.receiver.store.schema import metadata, runs

NAMES = ("organization", "repository", "workflow", "job")

_Id = BigInteger().with_variant(Integer, "sqlite")
_Uid = String(64).with_variant(String(64, collation="C"), "postgresql")

_OVER = text("state <> 'running'")
runs_by_hearing = Index("runs_by_hearing", runs.c.heard_at, sqlite_where=_OVER, postgresql_where=_OVER)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    *(Column(name, Text, nullable=False) for name in NAMES),
    Column("runs", BigInteger, nullable=False, server_default=text("0"), doc="as many as days tell of"),
    Column("last_begun_at", BigInteger),
    UniqueConstraint(*NAMES, name="jobs_by_name"),
)

usages = Table(
    "usages",
    metadata,
    Column("run_uid", _Uid, primary_key=True),
    Column("job", BigInteger, nullable=False, doc="jobs.id"),
    Column("begun_at", BigInteger, nullable=False, doc="the start, or when it was first heard of"),
    Column("heard_at", BigInteger, nullable=False, doc="runs.heard_at when this was made"),
    Column(
        "whole", Boolean, doc="it went to its end, as far as is known; null where nothing tells how it ended"
    ),
    Column("exit_reason", Text),
    Column("duration_seconds", Float),
    Column("cpu_seconds", Float),
    Column("memory_bytes", BigInteger),
    Column("network_bytes", BigInteger),
    Column("lower_bounds", Text, nullable=False),
    Column("memory_total_bytes", BigInteger),
    Column("throttled_seconds", Float),
    Column("oom_kills", BigInteger),
    Column("cores_reserved", Float),
    Column("cores_reserved_used", Float),
    Column("memory_reserved", Float),
    Column("memory_reserved_used", Float),
    Column("ref", Text),
    Column("sha", Text),
    Column("run_id", Text),
    Column("leg", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Index("usages_by_job", "job", "begun_at", "run_uid"),
    Index("usages_by_ref", "job", "ref", "begun_at", "run_uid"),
)

SUMS = (
    "duration_seconds", "core_seconds", "byte_seconds",
    "reserved_core_seconds", "reserved_used_core_seconds",
    "reserved_byte_seconds", "reserved_used_byte_seconds",
)  # fmt: skip
COUNTS = ("runs", "failed_runs", "cores_told_runs", "memory_told_runs")

usage_days = Table(
    "usage_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("job", BigInteger, primary_key=True, autoincrement=False, doc="jobs.id"),
    Column("labels", Text, primary_key=True, doc="of the runners, separated by commas"),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    *(Column(name, Float, doc="null where no run tells it") for name in SUMS),
    Index("usage_days_by_job", "job", "day"),
)

usage_progress = Table(
    "usage_progress",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("heard_at", BigInteger, nullable=False, doc="runs that were heard of before are all taken in"),
)
