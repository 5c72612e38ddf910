"""Brings the tables of a database up to date."""

from pathlib import Path

from sqlalchemy import Connection

from jobmeter.model.errors import NewerSchema

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, place: str, to: str = "head") -> None:
    """Migrate within the transaction of this connection. Raises NewerSchema when a later release has been there."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise NewerSchema(
                f"{place} was changed by a later release of jobmeter (schema {revision}, known here are up to "
                f"{max(known)}); use that release or a backup from before"
            )
    command.upgrade(config, to)
