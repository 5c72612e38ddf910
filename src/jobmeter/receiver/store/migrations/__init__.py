"""Migrations of the database, by Alembic; a receiver runs them when it starts."""
