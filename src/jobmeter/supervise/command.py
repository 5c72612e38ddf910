"""Starts the command and reaps it and its orphans, with the account that wait4(2) gives of each."""

import contextlib
import ctypes
import errno
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn, Protocol

from jobmeter.linux import procfs
from jobmeter.model.errors import CommandError, CommandNotExecutable, CommandNotFound, KernelFormatError

_PR_SET_CHILD_SUBREAPER = 36
_RESTORED_SIGNALS = (
    "SIGPIPE",
    "SIGXFSZ",
)  # Python ignores these for itself; the command must not inherit that.
_NOT_ENTERED = b"-"


class Place(Protocol):
    """Where the command runs."""

    def fork(self) -> int:
        """As os.fork()."""

    def enter(self) -> None:
        """Called in the child before exec. Raises OSError where it may not."""


class Anywhere:
    """Where we are ourselves."""

    def fork(self) -> int:
        """As os.fork()."""
        return os.fork()

    def enter(self) -> None:
        """There is nothing to enter."""


class Reaped(NamedTuple):
    """A child that ended: wait status and the largest resident set of it or any descendant it waited for.

    ``max_rss_bytes`` is None when it is not above what the wrapper itself held at the fork, where
    ru_maxrss of a child begins.
    """

    pid: int
    status: int
    max_rss_bytes: int | None


class Inherited(NamedTuple):
    """What the wrapper found at its start and the command must find again."""

    signal_mask: frozenset[signal.Signals]
    sigchld_ignored: bool
    descriptor_limit: tuple[int, int]


def become_subreaper() -> bool:
    """Let orphans of the command come to this process (prctl(2)); False where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def inherit(signals: frozenset[signal.Signals]) -> Inherited:
    """Block ``signals`` for this process and raise its soft descriptor limit; returns what was before."""
    sigchld_ignored = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    if sigchld_ignored:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    mask = frozenset(signal.Signals(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, signals))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return Inherited(mask, sigchld_ignored, (soft, hard))


class Command:
    """The running command; orphans that it leaves are children of this process."""

    def __init__(self, pid: int, rss_at_fork_bytes: int, entered: bool) -> None:
        self.pid = pid
        self.entered = entered
        self._rss_at_fork_bytes = rss_at_fork_bytes

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        environ: Mapping[str, str],
        inherited: Inherited,
        place: Place,
    ) -> "Command":
        """Run ``argv`` with our stdin, stdout, stderr, terminal and process group.

        The new process enters ``place`` before exec; when that fails the command runs all the same and
        ``entered`` is False. Raises CommandNotFound, CommandNotExecutable or CommandError when
        the command cannot be started.
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        rss_at_fork = _own_high_water_bytes()
        try:
            pid = place.fork()
        except OSError as error:
            raise CommandError(f"Cannot fork for the command {argv[0]!r}: {error.strerror}") from None
        if pid == 0:
            _exec(argv, environ, inherited, place, writing)
        os.close(writing)
        with open(reading, "rb") as file:
            said = file.read()
        failed = said.removeprefix(_NOT_ENTERED)
        if failed:
            os.waitpid(pid, 0)
            raise _start_error(argv[0], int(failed))
        return cls(pid, rss_at_fork, entered=not said)

    def reap(self) -> list[Reaped]:
        """Reap every child that has ended."""
        reaped: list[Reaped] = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return reaped
            if pid == 0:
                return reaped
            peak = usage.ru_maxrss * 1024
            reaped.append(Reaped(pid, status, peak if peak > self._rss_at_fork_bytes else None))

    def send(self, signum: int) -> None:
        """Send the command a signal; one that has ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)


def _exec(
    argv: Sequence[str],
    environ: Mapping[str, str],
    inherited: Inherited,
    place: Place,
    report: int,
) -> NoReturn:
    try:
        try:
            place.enter()
        except OSError:
            os.write(report, _NOT_ENTERED)
        resource.setrlimit(resource.RLIMIT_NOFILE, inherited.descriptor_limit)
        for name in _RESTORED_SIGNALS:
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        if inherited.sigchld_ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, inherited.signal_mask)
        _execute(argv, environ)
    except OSError as error:
        os.write(report, str(error.errno or errno.EIO).encode())
    except BaseException:
        os.write(report, str(errno.EINVAL).encode())
    finally:
        os._exit(125)


def _execute(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        os.execvpe(argv[0], list(argv), dict(environ))
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without #! is the shell's, as execvp(3) has it.
    found = next((path for path in _candidates(argv[0], environ) if os.access(path, os.X_OK)), argv[0])
    os.execve("/bin/sh", ["/bin/sh", found, *argv[1:]], dict(environ))


def _candidates(name: str, environ: Mapping[str, str]) -> list[str]:
    if "/" in name:
        return [name]
    return [os.path.join(directory, name) for directory in os.get_exec_path(dict(environ))]


def _own_high_water_bytes() -> int:
    """What this process has held; ru_maxrss would say what the process held that became it by exec."""
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            found = procfs.parse_status_high_water(file.read(16384))
    except (OSError, KernelFormatError):
        found = None
    return found or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _start_error(name: str, code: int) -> CommandError:
    if code in (errno.ENOENT, errno.ENOTDIR):
        return CommandNotFound(f"the command {name!r} was not found")
    reason = os.strerror(code)
    if code in (errno.EACCES, errno.ENOEXEC, errno.EISDIR, errno.EPERM, errno.ETXTBSY):
        return CommandNotExecutable(f"the command {name!r} cannot be executed: {reason}")
    return CommandError(f"the command {name!r} cannot be started: {reason}")
