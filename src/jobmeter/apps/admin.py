"""`jobmeter admin`: what an operator does with the receiver's database, a task a row."""

import os

from jobmeter.apps.extras import required
from jobmeter.config.admin import AdminSettings, BackupSettings, ExportSettings, ImportSettings, TokenSettings
from jobmeter.model.wire import encodable


def admin(settings: AdminSettings) -> int:
    """Do the task that the settings are for."""
    match settings:
        case BackupSettings():
            return backup(settings)
        case ExportSettings():
            from jobmeter.apps.admin_export import export

            return export(settings)
        case ImportSettings():
            from jobmeter.apps.admin_import import import_

            return import_(settings)
        case TokenSettings():
            from jobmeter.apps.admin_token import token

            return token(settings)


def backup(settings: BackupSettings) -> int:
    """Copy the database; the receiver goes on meanwhile."""
    with required("receiver"):
        from jobmeter.receiver.store.database import backup
    backup(settings.db, settings.target)
    print(f"{encodable(settings.target)}: {os.path.getsize(settings.target)} bytes")
    return 0
