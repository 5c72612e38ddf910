"""What Alembic runs around migrations: they all happen in the transaction of the connection it was given."""

from alembic import context

from jobmeter.receiver.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
