"""Files and processes that stay open, within a limit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jobmeter.linux.descriptors import Descriptors

OPENED = """
import os, resource
from jobmeter.linux.descriptors import Descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit} // 2, {limit}))
descriptors = Descriptors.of_process()
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == {limit}
count = 0
while descriptors.keep("/proc/self/stat") is not None:
    count += 1
while descriptors.keep_process(os.getpid()) is not None:
    count += 1
print(count)
"""


def test_files_leave_room_for_processes() -> None:
    """An eighth of it, of which they take more once processes are there."""
    descriptors = Descriptors(16)
    files = [descriptors.keep("/proc/self/stat") for _ in range(20)]
    assert (len([one for one in files if one is not None]), descriptors.refused) == (14, 6)
    processes = [descriptors.keep_process(os.getpid()) for _ in range(3)]
    assert [one is None for one in processes] == [False, False, True]
    for file in files[:4]:
        assert file is not None
        descriptors.give_back(file)
    assert [descriptors.keep("/proc/self/stat") is None for _ in range(5)] == [False] * 4 + [True]
    for fd in (*files[4:], *processes):
        if fd is not None:
            os.close(fd)


def test_what_processes_had_is_left_to_processes() -> None:
    """Those that have ended make room for others, not for files."""
    descriptors = Descriptors(16)
    for _ in range(3):
        fd = descriptors.keep_process(os.getpid())
        assert fd is not None
        descriptors.give_process_back(fd)
    files = [descriptors.keep("/proc/self/stat") for _ in range(20)]
    held = [one for one in files if one is not None]
    assert len(held) == 14
    for fd in held:
        os.close(fd)


@pytest.mark.parametrize("limit, expected", [(128, 64), (256, 128), (1024, 512), (2048, 1536)])
def test_what_others_need_is_left(limit: int, expected: int) -> None:
    """512 of them, but half of few."""
    done = subprocess.run(
        [sys.executable, "-c", OPENED.format(limit=limit)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) == expected
