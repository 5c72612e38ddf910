"""Runs in a PostgreSQL database, which many receivers may share."""
