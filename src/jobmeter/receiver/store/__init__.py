"""The only door to SQL: schema and migrations, one writer, queries."""
