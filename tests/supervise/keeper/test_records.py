"""The files by which a gateway knows of a keeper."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobmeter.supervise.job_cgroup import own_start_ticks
from jobmeter.supervise.keeper import records
from jobmeter.supervise.keeper.end import Kept


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """For this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_no_descriptor_is_no_word_of_a_keeper(tmp_path: Path) -> None:
    """Who took it for one would end a runner that is at work."""
    folder = str(tmp_path)
    me = Kept(
        pid=os.getpid(),
        start_ticks=own_start_ticks(os.getpid()) or 0,
        name="",
        cgroups={},
        run_uid="",
        started_at=0.0,
    )
    assert (records.read_kept(folder), records.read_end(folder), records.open_lifeline(folder)) == (
        None,
        None,
        None,
    )
    assert records.is_alive(me)
    with no_descriptor_left():
        for look in (records.read_kept, records.read_end, records.open_lifeline):
            with pytest.raises(OSError, match="Too many open files"):
                look(folder)
        with pytest.raises(OSError, match="Too many open files"):
            records.is_alive(me)
