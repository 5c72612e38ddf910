"""A container, and the process by which its end is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jobmeter.containers.cgroup_path import locate
from jobmeter.exporter.container import Container
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
        assert container.first_pid == process.pid
        process.kill()
    container.let_go_of_process()
    assert (container.pidfd, container.first_pid) == (None, None)
    container.close()
