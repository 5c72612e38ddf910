"""A running receiver for all tests of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.receiver.api.running import RunningReceiver, running_receiver


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """One receiver for all of them: its runs differ by the names of their jobs."""
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running
