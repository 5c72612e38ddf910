"""Where tasks have their directories nobody else can change a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jobmeter.gateway.launcher.guarded import opened, refuse_unguarded
from tests.e2e.support.components import require_root

OTHER = 54_321
"""No account of this machine has this number."""


@pytest.mark.parametrize(
    "above, folder, accepted",
    [
        (0o755, 0o755, True),
        (0o711, 0o700, True),
        (0o1777, 0o755, True),
        (0o1777, None, True),
        (0o755, 0o1777, False),
        (0o755, 0o775, False),
        (0o755, 0o757, False),
        (0o777, 0o755, False),
        (0o770, None, False),
    ],
)
def test_modes(tmp_path: Path, above: int, folder: int | None, accepted: bool) -> None:
    """What others can write to is refused; above it is accepted where nobody can move what is another's."""
    work = tmp_path / "work"
    if folder is not None:
        work.mkdir()
        work.chmod(folder)
    tmp_path.chmod(above)
    if accepted:
        refuse_unguarded(work)
        with opened(work, make=True) as fd:
            assert os.fstat(fd).st_ino == work.stat().st_ino
    else:
        with pytest.raises(
            OSError, match=r"others can write to /.* \(owner '.*', mode [0-7]{4}\), and so could"
        ):
            refuse_unguarded(work)
        with pytest.raises(OSError, match="others can write to"), opened(work, make=True):
            pass


@pytest.mark.parametrize("whose", ["work", "work/of"])
def test_owners(tmp_path: Path, whose: str) -> None:
    """A folder of another account is refused, wherever it is: its owner could give itself all rights."""
    require_root("files of another account")
    (tmp_path / "work" / "of").mkdir(parents=True)
    refuse_unguarded(tmp_path / "work" / "of")
    os.chown(tmp_path / whose, OTHER, -1)
    with pytest.raises(OSError, match=rf"{whose} \(owner '{OTHER}', mode 0755\)"):
        refuse_unguarded(tmp_path / "work" / "of")


def test_links(tmp_path: Path) -> None:
    """They are not followed, and nothing is made where they lead."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for folder in (tmp_path / "link", tmp_path / "link" / "work"):
        with pytest.raises(OSError, match="link is a link, or no directory"), opened(folder, make=True):
            pass
    assert list((tmp_path / "real").iterdir()) == []


def test_what_is_missing(tmp_path: Path) -> None:
    """It is made for all to pass, if that is wanted."""
    folder = tmp_path / "work" / "of"
    refuse_unguarded(folder)
    with pytest.raises(FileNotFoundError), opened(folder):
        pass
    old = os.umask(0o077)
    try:
        with opened(folder, make=True):
            pass
    finally:
        os.umask(old)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder.parent)] == [0o755, 0o755]
