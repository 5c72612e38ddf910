"""The tables. Migrations make them; this is what queries are written with.

Times are whole milliseconds since 1970. ``runs.summary`` is JSON as it was sent, or as it was folded from the
parts; it is null while nothing is known but what streams in.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

# SQLite numbers rows itself only in a column of exactly this type.
_Id = BigInteger().with_variant(Integer, "sqlite")
# Compared byte by byte, so that keys which begin with a time are in its order.
_UidOfPostgresql = String(64, collation="C")
_Uid = String(64).with_variant(_UidOfPostgresql, "postgresql")
_RunKey = _Id.with_variant(_UidOfPostgresql, "postgresql")
_RUNNING = text("state = 'running'")
_WITH_REF = text("ref IS NOT NULL")

runs = Table(
    "runs",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("run_uid", _Uid, nullable=False, unique=True),
    Column("state", String(8), nullable=False, doc="running, finished or lost"),
    Column("forge", Text),
    Column("organization", Text),
    Column("repository", Text),
    Column("workflow", Text),
    Column("job", Text, doc="the job's name"),
    Column("run_id", Text),
    Column("ref", Text),
    Column("start_time", BigInteger, doc="when the run began, by the clock of who metered it"),
    Column("received_at", BigInteger, nullable=False, doc="when the run was first heard of"),
    Column("heard_at", BigInteger, nullable=False, doc="when something of it was last stored"),
    Column("next_sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("pushed", Boolean, nullable=False, doc="the summary was sent, not folded from the parts"),
    Column("job_json", LargeBinary, nullable=False, doc="the whole job, design 5.1"),
    Column("summary", LargeBinary),
    Column("claimed_at", BigInteger, doc="when a receiver took it up to finish it as lost"),
    Index("runs_by_job", "organization", "repository", "workflow", "job", "id"),
    Index("runs_by_repository", "repository", "workflow", "job", "id"),
    Index("runs_by_ref", "ref", "id", sqlite_where=_WITH_REF, postgresql_where=_WITH_REF),
    Index("runs_by_start", "start_time", "id"),
    Index(
        "runs_running",
        "heard_at",
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    ),
    sqlite_autoincrement=True,
)

parts = Table(
    "parts",
    metadata,
    # The id of the run on SQLite; on PostgreSQL its run_uid, which chooses the partition, and no foreign key.
    Column("run", _RunKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "first_sequence",
        BigInteger,
        primary_key=True,
        doc="-1: no records, but the course of a run that is over",
    ),
    Column("next_sequence", BigInteger, nullable=False),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        doc="records, one JSON line each: a zlib, gzip or xz stream, or a block",
    ),
)

evidence = Table(
    "evidence",
    metadata,
    # As of parts.
    Column("run", _RunKey, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("asked_at", BigInteger, nullable=False, doc="when the questions were asked"),
    Column("answered", Integer, nullable=False, doc="how many of them have data"),
    Column("points", Integer, nullable=False),
    Column("tail_open", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False, doc="the document as it was sent: a zlib or gzip stream"),
    Column("begun_at", BigInteger, doc="when the job began, as the document says"),
    Column("ended_at", BigInteger, doc="when it ended"),
    Column("task", Text, doc="the forge's own number of the task or job"),
)

_VALID = text("revoked_at IS NULL")

tokens = Table(
    "tokens",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, doc="SHA-256 of the token"),
    Column("allows", String(8), nullable=False, doc="read, push or mint"),
    Column("organization", Text, doc="what it is limited to; null is no limit, here and below"),
    Column("repository", Text),
    Column("workflow", Text),
    Column("job", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger, doc="not more exact than a minute"),
    Index("tokens_by_name", "name", unique=True, sqlite_where=_VALID, postgresql_where=_VALID),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True, doc="SHA-256 of what the browser keeps"),
    Column("token_digest", LargeBinary, doc="the token that was shown; the session ends with it"),
    Column("who", Text, nullable=False),
    Column("scopes", LargeBinary, doc="what may be seen, JSON; null is everything"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("sessions_by_end", "expires_at"),
)
