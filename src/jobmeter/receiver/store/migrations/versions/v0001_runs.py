"""Runs, and what was streamed of them.

On PostgreSQL both tables are partitioned by ranges of the run's key. One that is a UUIDv7 begins with its time, so a
month is a range; `postgresql.partitions` makes the months ahead. A run has a place whatever its key is and whenever it
began: in ``early`` is what sorts before the first month, in ``late`` what sorts after all UUIDv7 until 2039, as names
and most random keys do, and in ``default`` what is between and has no month.
There is no foreign key: it would cost a look-up for each part, and a month could not be dropped at once.
"""

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

from jobmeter.receiver.store.months import LATE, month_of

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_UID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_RUNNING = sa.text("state = 'running'")
_WITH_REF = sa.text("ref IS NOT NULL")


def upgrade() -> None:
    """Make both tables."""
    if op.get_context().dialect.name == "postgresql":
        _make_partitioned()
    else:
        _make_plain()
    op.create_index("runs_by_job", "runs", ["organization", "repository", "workflow", "job", "id"])
    op.create_index("runs_by_repository", "runs", ["repository", "workflow", "job", "id"])
    op.create_index("runs_by_start", "runs", ["start_time", "id"])
    op.create_index("runs_by_ref", "runs", ["ref", "id"], sqlite_where=_WITH_REF, postgresql_where=_WITH_REF)
    op.create_index("runs_running", "runs", ["heard_at"], sqlite_where=_RUNNING, postgresql_where=_RUNNING)


def _make_plain() -> None:
    op.create_table(
        "runs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("run_uid", _UID, nullable=False, unique=True),
        *_about_runs(),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "parts",
        sa.Column("run", _ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        *_about_parts(),
    )


def _make_partitioned() -> None:
    op.execute("CREATE SEQUENCE runs_id AS bigint")
    op.create_table(
        "runs",
        sa.Column("id", _ID, nullable=False, server_default=sa.text("nextval('runs_id')")),
        sa.Column("run_uid", _UID, primary_key=True),
        *_about_runs(),
        postgresql_partition_by="RANGE (run_uid)",
    )
    op.create_index("runs_by_id", "runs", ["id"])
    op.create_table(
        "parts",
        sa.Column("run", _UID, primary_key=True),
        *_about_parts(),
        postgresql_partition_by="RANGE (run)",
    )
    # They are compressed already.
    op.execute("ALTER TABLE parts ALTER COLUMN body SET STORAGE EXTERNAL")
    first = month_of(int(time.time() * 1000)).before().first_uid
    for table in ("runs", "parts"):
        op.execute(
            f"CREATE TABLE {table}_early PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO ('{first}')"
        )
        op.execute(f"CREATE TABLE {table}_late PARTITION OF {table} FOR VALUES FROM ('{LATE}') TO (MAXVALUE)")
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")


def _about_runs() -> tuple[sa.Column[Any], ...]:
    names = ("forge", "organization", "repository", "workflow", "job", "run_id", "ref")
    return (
        sa.Column("state", sa.String(8), nullable=False),
        *(sa.Column(name, sa.Text) for name in names),
        sa.Column("start_time", sa.BigInteger),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.Column("next_sequence", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("pushed", sa.Boolean, nullable=False),
        sa.Column("job_json", sa.LargeBinary, nullable=False),
        sa.Column("summary", sa.LargeBinary),
    )


def _about_parts() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("first_sequence", sa.BigInteger, primary_key=True),
        sa.Column("next_sequence", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
