"""`jobmeter admin`: what an operator does with the receiver's database."""

import os

from jobmeter.apps.extras import required
from jobmeter.config.receiver import AdminSettings
from jobmeter.model.wire import encodable


def admin(settings: AdminSettings) -> int:
    """Copy the database; the receiver goes on meanwhile."""
    with required("receiver"):
        from jobmeter.receiver.store.database import backup
    backup(settings.db, settings.target)
    print(f"{encodable(settings.target)}: {os.path.getsize(settings.target)} bytes")
    return 0
