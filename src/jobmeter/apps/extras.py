"""What is installed only when it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobmeter.model.errors import MissingExtra


@contextmanager
def required(extra: str) -> Iterator[None]:
    """Imports within need this extra of the installation. Raises MissingExtra where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "a library").partition(".")[0]
        if library == "jobmeter":
            raise
        raise MissingExtra(library, extra) from None
