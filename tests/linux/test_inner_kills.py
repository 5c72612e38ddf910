"""OOM kills below a cgroup of version 1, whose own file does not tell of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from jobmeter.linux.inner_kills import InnerKills


def kill(directory: Path, count: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {count}\n"
    (directory / "memory.oom_control").write_text(text)


def looked(kills: InnerKills) -> int:
    before = kills.total
    assert kills.look() is (kills.total > before)
    return kills.total


def test_those_of_all_below_that_belong_to_it(tmp_path: Path) -> None:
    """Its own are not among them, nor those of what does not belong to it and of what lies in that."""
    kills = InnerKills(str(tmp_path), lambda path: path != "/docker/other")
    kill(tmp_path, 100)
    assert looked(kills) == 0
    for path, count in (
        ("init.scope", 1),
        ("docker/other", 10),
        ("docker/other/inner", 20),
        ("docker/mine", 3),
    ):
        kill(tmp_path / path, count)
    assert looked(kills) == 4
    assert looked(kills) == 4
    kill(tmp_path / "init.scope", 2)
    assert looked(kills) == 5


def test_they_stay_when_a_directory_goes(tmp_path: Path) -> None:
    """Another one at its path counts on."""
    kills = InnerKills(str(tmp_path), lambda _: True)
    kill(tmp_path / "a.service", 5)
    assert looked(kills) == 5
    (tmp_path / "a.service").rename(tmp_path / "old")  # So that its inode is not used again.
    kill(tmp_path / "a.service", 2)
    shutil.rmtree(tmp_path / "old")
    assert looked(kills) == 7
    shutil.rmtree(tmp_path / "a.service")
    assert looked(kills) == 7
    shutil.rmtree(tmp_path)
    assert looked(kills) == 7


@pytest.mark.parametrize("text", ["", "nonsense\n", "oom_kill x\n"])
def test_what_cannot_be_read_is_not_counted_twice(tmp_path: Path, text: str) -> None:
    """It stands until it can be read again."""
    kills = InnerKills(str(tmp_path), lambda _: True)
    kill(tmp_path / "a.service", 5)
    assert looked(kills) == 5
    (tmp_path / "a.service/memory.oom_control").write_text(text)
    assert looked(kills) == 5
    kill(tmp_path / "a.service", 6)
    assert looked(kills) == 6


def test_what_cannot_be_listed_is_not_counted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when no descriptor is left."""
    kills = InnerKills(str(tmp_path), lambda _: True)
    kill(tmp_path / "a.service", 5)
    assert looked(kills) == 5
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda _: (_ for _ in ()).throw(OSError(24, "too many open files")))
        assert looked(kills) == 5
    assert looked(kills) == 5
