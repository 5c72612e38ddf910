"""What a runner writes: the last of it, in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.supervise.keeper.output import KEPT_BYTES, Output


@pytest.mark.parametrize("size", [0, 10, KEPT_BYTES, 2 * KEPT_BYTES - 1, 2 * KEPT_BYTES, 5 * KEPT_BYTES + 7])
def test_the_last_of_it_is_kept(tmp_path: Path, size: int) -> None:
    """All of what is short; of the rest the last mebibyte at least, and never two."""
    text = b"".join(b"%7d\n" % number for number in range(size // 8 + 1))[:size]
    output = Output(str(tmp_path / "output"))
    for start in range(0, size, 4096):
        os.write(output.writing, text[start : start + 4096])
        assert output.take()
    output.give_away()
    assert not output.take()
    output.close()
    kept = (tmp_path / "output").read_bytes()
    assert text.endswith(kept)
    assert min(size, KEPT_BYTES) <= len(kept) < 2 * KEPT_BYTES


def test_what_waits_at_the_end_is_taken(tmp_path: Path) -> None:
    """Also while somebody could still write."""
    output = Output(str(tmp_path / "output"))
    os.write(output.writing, b"last words")
    output.close()
    output.give_away()
    assert (tmp_path / "output").read_bytes() == b"last words"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """The file is ours."""
    (tmp_path / "output").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic link"):
        Output(str(tmp_path / "output"))
