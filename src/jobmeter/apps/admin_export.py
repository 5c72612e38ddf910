"""`jobmeter admin export`: the runs of a database as files."""

from contextlib import closing
from pathlib import Path

from jobmeter.apps.extras import required
from jobmeter.apps.progress import Progress
from jobmeter.config.admin import ExportSettings
from jobmeter.model.errors import StoreError
from jobmeter.model.wire import encodable
from jobmeter.report.text import plural


def export(settings: ExportSettings) -> int:
    """Write them; receivers go on meanwhile."""
    with required("receiver"):
        from jobmeter.receiver.store.database import Database, in_use
        from jobmeter.receiver.store.moving.exporting import export
        from jobmeter.receiver.store.place import is_address
    if not is_address(settings.db) and not Path(settings.db).exists():
        raise StoreError(f"{settings.db} does not exist; --db names the database of the receiver")
    with (
        in_use(settings.db),
        required("postgresql" if is_address(settings.db) else "receiver"),
        closing(Database.open(settings.db)) as database,
        closing(Progress("exported")) as progress,
    ):
        written = 0

        def told(done: int, total: int) -> None:
            nonlocal written
            written = done
            progress(done, total)

        found = export(database, Path(settings.target), told, with_tokens=settings.with_tokens)
    # A run that went on is in the files of several rounds: all that they hold are more than there are runs.
    size = sum(file.size for file in found.files)
    print(
        f"{encodable(settings.target)}: {plural(written, 'run')} written now; the export is complete with "
        f"{plural(len(found.files), 'file')}, {size:,} bytes"
    )
    return 0
