"""What sizing learns of each run, and of the days of a job; a receiver fills it from the runs there are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make room for it, and have all runs taken in again."""
    op.add_column("usages", sa.Column("observation", sa.LargeBinary))
    op.create_table(
        "sizing_days",
        sa.Column("job", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("told", sa.LargeBinary, nullable=False),
    )
    op.execute("UPDATE usages SET heard_at = -1")
    op.execute("UPDATE usage_progress SET heard_at = 0")
