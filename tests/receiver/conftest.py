"""Every kind of database for the tests of what all of them do."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.receiver import bookkeeping


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What names a database of the test's own."""
    if request.param == "sqlite":
        return str(tmp_path / "db")
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for history waits a second for it to catch up; a test does not depend on how busy its machine is."""
    monkeypatch.setattr(bookkeeping, "_PATIENCE_SECONDS", 60.0)
