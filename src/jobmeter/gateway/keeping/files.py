"""Files that are whole or not there, and that nobody else can read."""

import os
from pathlib import Path

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_UNFINISHED = ".new"


def make_folder(folder: Path) -> None:
    """A folder of ours alone, without what a kill has left unfinished: secrets are in it. Raises OSError."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    for unfinished in folder.glob(f".*{_UNFINISHED}"):
        unfinished.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in the place of the one before; it is on disk when this returns. Raises OSError."""
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Take a file away for good; nothing if there is none. Raises OSError."""
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
