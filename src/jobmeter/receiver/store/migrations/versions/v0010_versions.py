"""A number of each job that changes whenever what its runs tell does, so that what was made of them can be kept."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """All that is known so far is the first version of a job."""
    op.add_column("jobs", sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")))
