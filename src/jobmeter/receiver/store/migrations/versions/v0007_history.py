"""What runs used, with what no sum over a day can be made of later: what each run left unused, and which are removed.

The tables are made anew and empty, and a receiver fills them from the runs there are, whatever was in them before.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_UID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NAMES = ("organization", "repository", "workflow", "job")
_COUNTS = (
    "runs", "failed_runs", "core_lower_bounds", "byte_lower_bounds",
    "cores_told_runs", "cores_partial_runs", "memory_told_runs", "memory_partial_runs",
)  # fmt: skip
_SUMS = (
    "duration_seconds", "core_seconds", "byte_seconds",
    "reserved_core_seconds", "reserved_used_core_seconds", "reserved_unused_core_seconds",
    "reserved_byte_seconds", "reserved_used_byte_seconds", "reserved_unused_byte_seconds",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables anew, and have all runs taken in again."""
    for table in ("usage_days", "usages", "jobs"):
        op.drop_table(table)
    op.create_table(
        "jobs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _NAMES),
        sa.Column("runs", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("last_begun_at", sa.BigInteger),
        *(
            sa.Column(name, sa.Text, nullable=False, server_default="")
            for name in ("path_folded", "name_folded")
        ),
        sa.UniqueConstraint(*_NAMES, name="jobs_by_name"),
    )
    op.create_table("usages", *_about_usages())
    op.create_index("usages_by_job", "usages", ["job", "gone", "begun_at", "run_uid"])
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
    op.execute("UPDATE usage_progress SET heard_at = 0")


def _about_usages() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("run_uid", _UID, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("job", "begun_at", "heard_at")),
        sa.Column("gone", sa.Boolean, nullable=False, server_default=sa.false()),
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
        *_about_reserved("cores"),
        *_about_reserved("memory"),
        *(sa.Column(name, sa.Text) for name in ("ref", "sha", "run_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("leg", "labels")),
    )


def _about_reserved(resource: str) -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(f"{resource}_reserved", sa.Float),
        sa.Column(f"{resource}_reserved_used", sa.Float),
        sa.Column(f"{resource}_partial", sa.Boolean, nullable=False),
    )
