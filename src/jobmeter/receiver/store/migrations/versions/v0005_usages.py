"""What runs used, by run and by day; a receiver fills them from the runs there are."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_UID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_OVER = sa.text("state <> 'running'")
_NAMES = ("organization", "repository", "workflow", "job")
_COUNTS = ("runs", "failed_runs", "cores_told_runs", "memory_told_runs")
_SUMS = (
    "duration_seconds", "core_seconds", "byte_seconds",
    "reserved_core_seconds", "reserved_used_core_seconds",
    "reserved_byte_seconds", "reserved_used_byte_seconds",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables, empty, and the index by which runs that changed are found."""
    op.create_index("runs_by_hearing", "runs", ["heard_at"], sqlite_where=_OVER, postgresql_where=_OVER)
    op.create_table(
        "jobs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _NAMES),
        sa.Column("runs", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("last_begun_at", sa.BigInteger),
        sa.UniqueConstraint(*_NAMES, name="jobs_by_name"),
    )
    op.create_table("usages", *_about_usages())
    op.create_index("usages_by_job", "usages", ["job", "begun_at", "run_uid"])
    op.create_index("usages_by_ref", "usages", ["job", "ref", "begun_at", "run_uid"])
    op.create_table(
        "usage_days",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("job", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("labels", sa.Text, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Float) for name in _SUMS),
    )
    op.create_index("usage_days_by_job", "usage_days", ["job", "day"])
    op.create_table(
        "usage_progress",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO usage_progress (id, heard_at) VALUES (1, 0)")


def _about_usages() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("run_uid", _UID, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("job", "begun_at", "heard_at")),
        sa.Column("whole", sa.Boolean),
        sa.Column("exit_reason", sa.Text),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("cpu_seconds", sa.Float),
        sa.Column("memory_bytes", sa.BigInteger),
        sa.Column("network_bytes", sa.BigInteger),
        sa.Column("lower_bounds", sa.Text, nullable=False),
        sa.Column("memory_total_bytes", sa.BigInteger),
        sa.Column("throttled_seconds", sa.Float),
        sa.Column("oom_kills", sa.BigInteger),
        *(
            sa.Column(name, sa.Float)
            for name in ("cores_reserved", "cores_reserved_used", "memory_reserved", "memory_reserved_used")
        ),
        *(sa.Column(name, sa.Text) for name in ("ref", "sha", "run_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("leg", "labels")),
    )
