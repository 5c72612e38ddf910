"""The tables of what runs used: made from the runs, and made again from those that are there at any time.

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
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from jobmeter.receiver.store.schema import metadata, runs

NAMES = ("organization", "repository", "workflow", "job")

_Id = BigInteger().with_variant(Integer, "sqlite")
_Uid = String(64).with_variant(String(64, collation="C"), "postgresql")

_OVER = text("state <> 'running'")
_FAILED = text("NOT whole AND NOT gone")
runs_by_hearing = Index("runs_by_hearing", runs.c.heard_at, sqlite_where=_OVER, postgresql_where=_OVER)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    *(Column(name, Text, nullable=False) for name in NAMES),
    Column("runs", BigInteger, nullable=False, server_default=text("0"), doc="as many as days tell of"),
    Column("last_begun_at", BigInteger, doc="of all runs there ever were"),
    Column(
        "version",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        doc="a number that the job never had before, drawn whenever what its runs tell changes",
    ),
    Column(
        "path_folded", Text, nullable=False, server_default="", doc="organization/repository, as ``folded``"
    ),
    Column("name_folded", Text, nullable=False, server_default="", doc="workflow/job, the same"),
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
        "gone",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="the run was removed; its numbers stay, for the sums of its day",
    ),
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
    Column("cores_reserved_unused", Float, doc="of each container what it did not use, together"),
    Column("cores_partial", Boolean, nullable=False, doc="other containers reserved some too"),
    Column("memory_reserved", Float),
    Column("memory_reserved_used", Float),
    Column("memory_reserved_unused", Float, doc="the same"),
    Column("memory_partial", Boolean, nullable=False, doc="the same"),
    Column("ref", Text),
    Column("sha", Text),
    Column("run_id", Text),
    Column("leg", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("observation", LargeBinary, doc="what sizing learns of it; null where that is nothing"),
    Index("usages_by_job", "job", "gone", "begun_at", "run_uid"),
    Index("usages_by_ref", "job", "ref", "begun_at", "run_uid"),
    Index("usages_failed", "job", "begun_at", "run_uid", sqlite_where=_FAILED, postgresql_where=_FAILED),
)

SUMS = (
    "duration_seconds", "core_seconds", "byte_seconds",
    "reserved_core_seconds", "reserved_used_core_seconds", "reserved_unused_core_seconds",
    "reserved_byte_seconds", "reserved_used_byte_seconds", "reserved_unused_byte_seconds",
)  # fmt: skip
COUNTS = (
    "runs", "failed_runs", "core_lower_bounds", "byte_lower_bounds",
    "cores_told_runs", "cores_partial_runs", "memory_told_runs", "memory_partial_runs",
)  # fmt: skip

usage_days = Table(
    "usage_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("job", BigInteger, primary_key=True, autoincrement=False, doc="jobs.id"),
    Column("labels", Text, primary_key=True, doc="of the runners, separated by commas, as ``labels``"),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    *(Column(name, Float, doc="null where no run tells it") for name in SUMS),
    Index("usage_days_by_job", "job", "day"),
)

sizing_days = Table(
    "sizing_days",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False, doc="jobs.id"),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("told", LargeBinary, nullable=False, doc="what all its runs tell together of the job's needs"),
)

usage_progress = Table(
    "usage_progress",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("heard_at", BigInteger, nullable=False, doc="runs that were heard of before are all taken in"),
)
