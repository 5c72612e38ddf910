"""What each container left unused, summed by run; and the runs of a job that failed, found without the others.

Runs are taken in again; of those that were removed the numbers stay, with what their containers together left unused.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_FAILED = sa.text("NOT whole AND NOT gone")


def upgrade() -> None:
    """Make room for it, and have all runs taken in again."""
    for kind in ("cores", "memory"):
        reserved, used = f"{kind}_reserved", f"{kind}_reserved_used"
        op.add_column("usages", sa.Column(f"{reserved}_unused", sa.Float))
        op.execute(
            f"UPDATE usages SET {reserved}_unused ="
            f" CASE WHEN {reserved} > {used} THEN {reserved} - {used} WHEN {reserved} IS NOT NULL THEN 0.0 END"
        )
    op.create_index(
        "usages_failed",
        "usages",
        ["job", "begun_at", "run_uid"],
        sqlite_where=_FAILED,
        postgresql_where=_FAILED,
    )
    op.execute("DELETE FROM jobs WHERE NOT EXISTS (SELECT 1 FROM usages WHERE usages.job = jobs.id)")
    op.execute(
        "DELETE FROM sizing_days WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = sizing_days.job)"
    )
    op.execute(
        "UPDATE usages SET heard_at = -1"
        " WHERE NOT gone AND EXISTS (SELECT 1 FROM runs WHERE runs.run_uid = usages.run_uid)"
    )
    op.execute("UPDATE usage_progress SET heard_at = 0")
