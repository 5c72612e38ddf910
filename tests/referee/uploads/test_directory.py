"""Evidence in a plain directory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.directory import Directory
from tests.referee.uploads.places import ATTACHMENT

FILE = "jobmeter-build-4711-evidence.json"


def upload(path: Path) -> str:
    return asyncio.run(Directory(str(path)).upload(ATTACHMENT))


def test_it_is_written_under_the_name_of_its_job(tmp_path: Path) -> None:
    """A later answer takes the place of an earlier one; nothing else is left."""
    (tmp_path / FILE).write_text("earlier")
    assert upload(tmp_path) == f"in {tmp_path / FILE}"
    assert (tmp_path / FILE).read_bytes() == ATTACHMENT.content
    assert os.listdir(tmp_path) == [FILE]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees a part of it."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / FILE).write_text("earlier")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SendError) as caught:
        upload(tmp_path)
    assert str(caught.value) == f"{tmp_path / FILE} cannot be written: No space left on device"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(FILE, "earlier")]


def test_a_directory_that_has_gone_is_told(tmp_path: Path) -> None:
    """It is not made: a volume may not be mounted."""
    with pytest.raises(SendError, match="cannot be written: No such file or directory"):
        upload(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
