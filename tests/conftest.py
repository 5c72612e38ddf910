"""Fixtures and rules for all tests."""

from __future__ import annotations

import difflib
import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.postgresql import PostgresqlServer

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
MARKED_FIXTURES = {
    "docker_engine": "docker",
    "vm": "vm",
    "browser": "browser",
    "postgresql": "postgresql",
    "postgresql_url": "postgresql",
}

Golden = Callable[[str, str], None]

settings.register_profile("jobmeter", deadline=None)  # a busy machine is no failure
settings.load_profile("jobmeter")


def pytest_configure() -> None:
    """A shell that starts us in the background, or nohup, has signals ignored, and what we start would inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Else gRPC begins anew in whatever is forked here, and says so on its stderr.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"


def pytest_collection_finish() -> None:
    """What was collected stays: each look for garbage would go through 12,000 tests and their modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden() -> Golden:
    """Compares text with the file `tests/golden/<name>`: `golden(name, text)`.

    With JOBMETER_GOLDEN=write (`make golden`) the file is written instead.
    """
    return _write_golden if os.environ.get("JOBMETER_GOLDEN") == "write" else _compare_with_golden


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server that belongs to the tests."""
    from tests.support.postgresql import running_postgresql

    with running_postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """The address of a database of the test's own, with all tables."""
    with postgresql.database(postgresql.migrated()) as url:
        yield url


def _write_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _compare_with_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    expected = path.read_text() if path.exists() else ""
    if text != expected:
        difference = difflib.unified_diff(
            expected.splitlines(), text.splitlines(), f"tests/golden/{name}", "now", lineterm=""
        )
        lines = "\n".join(difference) or "only the ends of lines differ"
        pytest.fail(f"{lines}\n\nIf this is meant, run `make golden` and read the change.", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need real components, so that `-m` can choose them."""
    for item in items:
        if item.path.is_relative_to(TESTS / "e2e"):
            item.add_marker("e2e")
        for fixture in MARKED_FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKED_FIXTURES[fixture])
