"""A container, and the process by which its end is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter.container import Container
from jobmeter.exporter.network import NO_TRAFFIC
from jobmeter.linux.descriptors import Descriptors

PATH = "/docker/" + "a" * 64


def test_a_process_that_has_ended_is_not_its_own_any_more(tmp_path: Path) -> None:
    """The number may be given to a process of another container, whose network would be taken for this one's."""
    (tmp_path / PATH.lstrip("/")).mkdir(parents=True)
    ref = locate(PATH)
    assert ref is not None
    container = Container(
        ref, {"": str(tmp_path)}, started=0.0, seen=0.0, descriptors=Descriptors(10), errors={}
    )
    container.open_what_is_there()
    with subprocess.Popen(["sleep", "60"]) as process:
        (tmp_path / PATH.lstrip("/") / "cgroup.procs").write_text(f"{process.pid}\n")
        assert container.hold_first_process() is not None
        held = container.first_pid
        process.kill()
    container.let_go_of_process()
    assert (held, container.pidfd, container.first_pid) == (process.pid, None, None)
    container.close()


def test_kills_in_it_are_its_own(tmp_path: Path) -> None:
    """Version 1 counts them where they happened, as in a unit of a systemd within; not those of containers within."""
    directory = tmp_path / PATH.lstrip("/")
    for inner, kills in (("", 1), ("init.scope", 2), ("docker", 4), ("docker/" + "b" * 64, 8)):
        (directory / inner).mkdir(parents=True)
        (directory / inner / "memory.oom_control").write_text(f"oom_kill {kills}\n")
    ref = locate(PATH)
    assert ref is not None
    container = Container(
        ref, {"memory": str(tmp_path)}, started=0.0, seen=0.0, descriptors=Descriptors(10), errors={}
    )
    container.open_what_is_there()
    container.read(NO_TRAFFIC, whole=True)
    assert container.row.account.oom_kills == 7
    container.close()
