"""What PostgreSQL knows of the names of jobs.

A workflow is one of few repositories and a repository is of one organization. Taken as independent, four names seem to
have one run, so that all runs of a job were read and sorted for the newest of them. A month that is made later has the
same from its table (`LIKE … INCLUDING ALL`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_PARTITIONS = sa.text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'runs'::regclass"
)


def upgrade() -> None:
    """Have it found out, now and with each ANALYZE; SQLite asks one index and needs no estimate."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for table in ("runs", *connection.execute(_PARTITIONS).scalars().all()):
        op.execute(
            f"CREATE STATISTICS {table}_names (dependencies) ON organization, repository, workflow, job FROM {table}"
        )
    op.execute("ANALYZE runs")
