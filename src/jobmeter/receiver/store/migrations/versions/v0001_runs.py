"""Runs, and what was streamed of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_RUNNING = sa.text("state = 'running'")
_WITH_REF = sa.text("ref IS NOT NULL")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "runs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("run_uid", sa.String(64), nullable=False, unique=True),
        sa.Column("state", sa.String(8), nullable=False),
        *(
            sa.Column(name, sa.Text)
            for name in ("forge", "organization", "repository", "workflow", "job", "run_id", "ref")
        ),
        sa.Column("start_time", sa.BigInteger),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.Column("next_sequence", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("pushed", sa.Boolean, nullable=False),
        sa.Column("job_json", sa.LargeBinary, nullable=False),
        sa.Column("summary", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("runs_by_job", "runs", ["organization", "repository", "workflow", "job", "id"])
    op.create_index("runs_by_repository", "runs", ["repository", "workflow", "job", "id"])
    op.create_index("runs_by_start", "runs", ["start_time", "id"])
    op.create_index("runs_by_ref", "runs", ["ref", "id"], sqlite_where=_WITH_REF, postgresql_where=_WITH_REF)
    op.create_index("runs_running", "runs", ["heard_at"], sqlite_where=_RUNNING, postgresql_where=_RUNNING)
    op.create_table(
        "parts",
        sa.Column("run", _ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("first_sequence", sa.BigInteger, primary_key=True),
        sa.Column("next_sequence", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
