"""Names and folders of launches: those of one gateway and one forge are told from all others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jobmeter.gateway.launcher.site import Record, Site


def made(state: Path, forge: str = "forge") -> Site:
    site = Site(state, forge)
    site.make()
    return site


def test_a_record(tmp_path: Path) -> None:
    """It comes back as it was written, is for this account alone, and goes with its folder."""
    site = made(tmp_path)
    record = Record(task_id="7", runner="one", work_dir="/w", digest="d", token="t", attempt=2, handed=True)
    site.write(record)
    assert (site.read("7"), site.tasks()) == (record, ["7"])
    (file,) = site.folder("7").iterdir()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (file, file.parent)] == [0o600, 0o700]
    assert "t" not in repr(record).partition("attempt")[2]
    site.remove("7")
    assert (site.read("7"), site.tasks()) == (None, [])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"task_id": 7}'])
def test_a_damaged_record(tmp_path: Path, content: bytes) -> None:
    """It is none."""
    site = made(tmp_path)
    site.folder("7").mkdir()
    (site.folder("7") / "launch.json").write_bytes(content)
    assert site.read("7") is None


@pytest.mark.parametrize("number,may_pass", [(24, True), (23, True), (12, True), (5, False)])
def test_a_record_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, may_pass: bool
) -> None:
    """For want of descriptors or memory that is an error; else it is none."""
    site = made(tmp_path)

    def read_bytes(path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    if may_pass:
        with pytest.raises(OSError, match=os.strerror(number)):
            site.read("7")
    else:
        assert site.read("7") is None


@pytest.mark.parametrize("task_id", ["", "..", "7/8", "-7", "7\n", "7" * 21])
def test_ids_that_no_forge_gives(tmp_path: Path, task_id: str) -> None:
    """Nothing has such a name."""
    site = made(tmp_path)
    for name in (site.name, site.folder):
        with pytest.raises(OSError, match="no number"):
            name(task_id)


def test_names(tmp_path: Path) -> None:
    """Another state dir, or another forge, also one whose name begins the same, gives others."""
    site = made(tmp_path / "a", "forge")
    assert site.task_of(site.name("7")) == "7"
    for other in (made(tmp_path / "b", "forge"), made(tmp_path / "a", "forge-2")):
        assert other.name("7") != site.name("7")
        assert (site.task_of(other.name("7")), other.task_of(site.name("7"))) == (None, None)
    assert site.task_of("7") is None


def test_work_dirs(tmp_path: Path) -> None:
    """Those of tasks; not what was kept, nor what is somebody else's."""
    site = made(tmp_path / "state")
    work = tmp_path / "work"
    assert list(site.work_dirs(str(work))) == []
    for name in (site.name("7"), site.kept_work_dir(Path(site.name("8"))).name, "other"):
        (work / name).mkdir(parents=True)
    assert list(site.work_dirs(str(work))) == [("7", work / site.name("7"))]
