"""Wakes on the OOM event of a cgroup: its files answer only for some 30 ms once its last process is gone.

v2: memory.events raises POLLPRI when it changes (cgroup-v2.rst). v1: an eventfd is bound to
memory.oom_control through cgroup.event_control (cgroup-v1/memory.rst), which needs write access.
"""

import os
from collections.abc import Mapping

from jobmeter.linux.cgroup_mounts import UNIFIED
from jobmeter.model.errors import SourceUnavailable


class OomEvents:
    """One cgroup's OOM events; ``fileno`` is ready with POLLPRI (v2) or POLLIN (v1), see ``priority``."""

    def __init__(self, directories: Mapping[str, str]) -> None:
        """Raises SourceUnavailable where the cgroup raises no events that we may hear."""
        self.priority = "memory" not in directories
        self._fds: list[int] = []
        try:
            if self.priority:
                path = f"{directories[UNIFIED]}/memory.events"
                self._fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                os.pread(self._fds[0], 4096, 0)
            else:
                self._bind(directories["memory"])
        except (OSError, KeyError) as error:
            self.close()
            raise SourceUnavailable(f"OOM events cannot be heard: {error}") from None

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._fds[0]

    def clear(self) -> bool:
        """Take the event, so that the next one wakes again; False once the cgroup is gone."""
        try:
            if self.priority:
                os.pread(self._fds[0], 4096, 0)
            else:
                os.read(self._fds[0], 8)
                os.pread(self._fds[1], 4096, 0)
        except BlockingIOError:
            return True
        except (OSError, IndexError):
            return False
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def _bind(self, directory: str) -> None:
        self._fds.append(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._fds.append(os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC))
        control = os.open(f"{directory}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(control, f"{self._fds[0]} {self._fds[1]}".encode())
        finally:
            os.close(control)
