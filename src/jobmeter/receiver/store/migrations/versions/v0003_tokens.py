"""Tokens that an operator gives out, and sessions of people who have shown one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_VALID = sa.text("revoked_at IS NULL")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "tokens",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("allows", sa.String(8), nullable=False),
        *(sa.Column(name, sa.Text) for name in ("organization", "repository", "workflow", "job")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "tokens_by_name", "tokens", ["name"], unique=True, sqlite_where=_VALID, postgresql_where=_VALID
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("token_digest", sa.LargeBinary),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("scopes", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("sessions_by_end", "sessions", ["expires_at"])
