"""What is installed only when it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobmeter.model.errors import JobmeterError


@contextmanager
def required(extra: str) -> Iterator[None]:
    """Imports within need this extra of the installation. Raises JobmeterError where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("jobmeter"):
            raise
        raise JobmeterError(
            f"{error.name} is not installed; the {extra} needs `pip install 'jobmeter[{extra}]'`"
        ) from None
