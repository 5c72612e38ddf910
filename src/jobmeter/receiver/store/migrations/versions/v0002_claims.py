"""When a receiver took up a silent run to finish it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; nothing is rewritten."""
    op.add_column("runs", sa.Column("claimed_at", sa.BigInteger))
