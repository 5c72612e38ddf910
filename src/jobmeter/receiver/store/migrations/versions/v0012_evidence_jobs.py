"""Of which time and of which task a document of evidence is, so that another one's does not take its place."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Of what is there it is not known."""
    for name, of_type in (("begun_at", sa.BigInteger), ("ended_at", sa.BigInteger), ("task", sa.Text)):
        op.add_column("evidence", sa.Column(name, of_type))
