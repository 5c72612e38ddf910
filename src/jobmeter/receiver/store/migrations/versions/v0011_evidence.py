"""What a referee has attached to a run.

On PostgreSQL the table has the partitions that parts have, so that a month goes with all that is of it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_UID = sa.String(64, collation="C")
_PARTITIONS = """
    SELECT relname, pg_get_expr(relpartbound, pg_class.oid)
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass('parts')
"""


def upgrade() -> None:
    """Make the table."""
    if op.get_context().dialect.name != "postgresql":
        op.create_table(
            "evidence",
            sa.Column("run", _ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
            *_about_evidence(),
        )
        return
    op.create_table(
        "evidence",
        sa.Column("run", _UID, primary_key=True),
        *_about_evidence(),
        postgresql_partition_by="RANGE (run)",
    )
    # It is compressed already.
    op.execute("ALTER TABLE evidence ALTER COLUMN body SET STORAGE EXTERNAL")
    for name, bound in op.get_bind().execute(sa.text(_PARTITIONS)).all():
        op.execute(f"CREATE TABLE {name.replace('parts', 'evidence', 1)} PARTITION OF evidence {bound}")


def _about_evidence() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
        sa.Column("tail_open", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
