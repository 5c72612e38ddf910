"""What is heard while waiting: the cgroup tree changed, a process ended, someone wakes who waits."""

import os
import select
from collections.abc import Callable
from typing import NamedTuple


class Heard(NamedTuple):
    """``ended`` are those of whom a process was held that ended; ``changed``: the watched descriptor has something."""

    ended: tuple[str, ...] = ()
    changed: bool = False


class Events:
    """Waits for all of them at once. ``wake`` may be called by any thread, all else by one.

    ``watched`` is a descriptor that is readable when something has changed; None where there is none any more.
    """

    def __init__(self, watched: Callable[[], int | None]) -> None:
        self._watched = watched
        self._name_of: dict[int, str] = {}
        self._waking = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._waking, select.EPOLLIN)
        fd = watched()
        if fd is not None:
            self._poll.register(fd, select.EPOLLIN)
        self._woken = False

    def __len__(self) -> int:
        """How many processes are held."""
        return len(self._name_of)

    def hold(self, pidfd: int, name: str) -> None:
        """Tell once the process has ended (pidfd_open(2))."""
        self._name_of[pidfd] = name
        self._poll.register(pidfd, select.EPOLLIN)

    def let_go(self, pidfd: int) -> None:
        """Before the descriptor is closed. Nothing where the end was told."""
        if self._name_of.pop(pidfd, None) is not None:
            self._poll.unregister(pidfd)

    def wait(self, seconds: float) -> Heard:
        """What is heard in so much time, at once when there is something."""
        watched, ready = self._watched(), {fd for fd, _ in self._poll.poll(seconds)}
        if self._waking in ready:
            os.eventfd_read(self._waking)
            self._woken = True
        ended = []
        for pidfd in ready & self._name_of.keys():
            ended.append(self._name_of[pidfd])
            self.let_go(pidfd)
        return Heard(tuple(ended), watched in ready)

    def wake(self) -> None:
        """End the waiting that is under way, or the next one."""
        os.eventfd_write(self._waking, 1)

    def take_wake(self) -> bool:
        """Whether someone woke us since this was asked last."""
        woken, self._woken = self._woken, False
        return woken

    def close(self) -> None:
        """Give the own descriptors back."""
        self._poll.close()
        os.close(self._waking)
