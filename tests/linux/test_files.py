"""Files of the kernel, read whole though it gives a page of them at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.linux.files import read_file, read_whole
from jobmeter.model.errors import KernelFormatError
from tests.support.kernel_files import pages_of

LINES = b"".join(b"veth%d: 1 2 3\n" % number for number in range(5000))


@pytest.mark.parametrize("page_bytes", [4096, 16384, 65536])
@pytest.mark.parametrize("text", [LINES, LINES[:4094], b"1\n", b""])
def test_a_file_of_many_pages_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_bytes: int, text: bytes
) -> None:
    """Whatever the size of a page is."""
    text = text[: text.rfind(b"\n") + 1]
    file = tmp_path / "dev"
    file.write_bytes(text)
    monkeypatch.setattr(os, "pread", pages_of(page_bytes))
    with file.open("rb") as opened:
        assert read_whole(opened.fileno()) == text


def test_a_file_without_an_end_is_refused(tmp_path: Path) -> None:
    """It is not read for ever."""
    file = tmp_path / "dev"
    file.write_bytes(b"x" * (2 << 20))
    with file.open("rb") as opened, pytest.raises(KernelFormatError, match="come to an end"):
        read_whole(opened.fileno())


def test_a_small_file_is_read_at_once(tmp_path: Path) -> None:
    """It is opened and closed."""
    (tmp_path / "memory.current").write_text("4096\n")
    assert read_file(str(tmp_path / "memory.current")) == b"4096\n"
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "none"))
