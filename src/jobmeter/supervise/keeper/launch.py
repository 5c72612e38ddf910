"""Starts a runner: in its cgroup, as its account, in a session of its own, with nothing of ours."""

import os
import resource
import signal
from typing import NoReturn

from jobmeter.model.errors import LaunchError
from jobmeter.supervise.command import Command, Inherited
from jobmeter.supervise.keeper.account import Account
from jobmeter.supervise.keeper.spec import Spec
from jobmeter.supervise.keeper.task_cgroup import TaskCgroup

# The kernel's choice of whom to kill for want of memory adds it: a job goes before who watches over it.
_OOM_SCORE_ABOVE_OURS = 300
_MAX_OOM_SCORE = 1000
_UMASK = 0o022
_USUAL_DESCRIPTORS = 1024


class _Place:
    """Where the runner runs. What goes wrong in the child is said through ``complaints``, a pipe."""

    def __init__(
        self, spec: Spec, account: Account | None, cgroup: TaskCgroup, streams: int, complaints: int
    ) -> None:
        self._spec = spec
        self._account = account
        self._cgroup = cgroup
        self._streams = streams
        self._complaints = complaints

    def fork(self) -> int:
        """Into the cgroup, as far as the kernel can."""
        return self._cgroup.fork()

    def enter(self) -> None:
        """Be what the runner will be; where that cannot be, end here."""
        step = "enter its cgroup"
        try:
            self._cgroup.enter()
            step = "have a session, streams and a score of its own"
            os.setsid()
            self._redirect()
            _raise_oom_score()
            os.umask(_UMASK)
            step = f"become {self._account.name!r}" if self._account is not None else ""
            if self._account is not None:
                self._account.become()
            step = f"enter {self._spec.work_dir}"
            os.chdir(self._spec.work_dir)
        except OSError as error:
            self._complain(f"the runner cannot {step}: {error.strerror}")
        except BaseException as error:
            self._complain(f"the runner cannot {step}: {error!r}")

    def _redirect(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for theirs, ours in ((0, nothing), (1, self._streams), (2, self._streams)):
            os.dup2(ours, theirs)
        os.close(nothing)

    def _complain(self, sentence: str) -> NoReturn:
        os.write(self._complaints, sentence.encode())
        os._exit(125)


def launch(spec: Spec, account: Account | None, cgroup: TaskCgroup, streams: int,
           environ: dict[str, str]) -> Command:  # fmt: skip
    """Start the runner; ``streams`` takes its stdout and stderr.

    Raises CommandError where its command cannot be executed, LaunchError where it cannot be made what it must be.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        command = Command.start(
            spec.argv, environ, _inherited(), _Place(spec, account, cgroup, streams, writing)
        )
    finally:
        os.close(writing)
        with open(reading, "rb") as file:
            complaint = file.read()
    if complaint:
        os.waitpid(command.pid, 0)
        raise LaunchError(complaint.decode("utf-8", "replace"))
    return command


def _inherited() -> Inherited:
    """What every service finds at its start: no signal is blocked, few descriptors may be open unless it asks."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bound = _USUAL_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _USUAL_DESCRIPTORS)
    return Inherited(frozenset[signal.Signals](), False, (bound, hard))


def _raise_oom_score() -> None:
    """The kernel lets everybody raise the own score."""
    with open("/proc/self/oom_score_adj", "r+") as file:
        score = min(_MAX_OOM_SCORE, int(file.read()) + _OOM_SCORE_ABOVE_OURS)
        file.seek(0)
        file.write(str(score))
