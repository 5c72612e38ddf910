"""`jobmeter admin import`: the runs of an export into a database."""

import sys
from contextlib import closing
from pathlib import Path

from jobmeter.apps.extras import required
from jobmeter.apps.progress import Progress
from jobmeter.config.admin import ImportSettings
from jobmeter.model.wire import encodable
from jobmeter.report.text import plural

_NAMED = 5


def import_(settings: ImportSettings) -> int:
    """Take them in; receivers of that database go on meanwhile."""
    with required("receiver"):
        from jobmeter.receiver.store.database import Database, in_use
        from jobmeter.receiver.store.moving.importing import import_
        from jobmeter.receiver.store.place import is_address
    with (
        in_use(settings.db),
        required("postgresql" if is_address(settings.db) else "receiver"),
        closing(Database.open(settings.db)) as database,
        closing(Progress("imported")) as progress,
    ):
        found = import_(database, Path(settings.source), progress, with_tokens=settings.with_tokens)
    tokens = f", {found.tokens:,} tokens" if settings.with_tokens else ""
    print(
        f"{encodable(settings.source)}: {plural(found.stored, 'run')} stored, {found.known:,} there before{tokens}"
    )
    if found.refused:
        named = ", ".join(map(encodable, found.refused[:_NAMED]))
        more = f" and {len(found.refused) - _NAMED:,} more" if len(found.refused) > _NAMED else ""
        print(f"jobmeter: the database takes no such names as those of {named}{more}", file=sys.stderr)
        return 1
    return 0
