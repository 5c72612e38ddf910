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
        if (error.name or "").startswith("jobmeter"):
            raise
        raise MissingExtra(error.name or "a library", extra) from None
