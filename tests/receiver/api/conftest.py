"""A running receiver for all tests of the API, on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.receiver.api.running import RunningReceiver, running_receiver


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def receiver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningReceiver]:
    """One receiver for all of them: its runs differ by the names of their jobs."""
    with ExitStack() as stack:
        place = "metrics.db"
        if request.param == "postgresql":
            place = stack.enter_context(request.getfixturevalue("postgresql").database())
        minting = ("--hmac-key=a-key-of-the-tests", "--read-token-mints")
        directory = tmp_path_factory.mktemp("receiver")
        yield stack.enter_context(running_receiver(directory, f"--db={place}", *minting))
