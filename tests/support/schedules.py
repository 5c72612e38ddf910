"""Random lives of processes for hypothesis: a schedule is a list of steps, each does what it can."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from tests.support.kernel import OUTSIDE, Kernel


class Step(NamedTuple):
    """One event; ``who`` chooses among those it can happen to, ``amount`` is microseconds of CPU time."""

    what: str
    who: int = 0
    amount: int = 0


_KINDS = ("fork", "fork", "burn", "burn", "exit", "reap", "reap", "scan")


def schedules(*extra: str) -> st.SearchStrategy[list[Step]]:
    """Lists of steps that end with a scan.

    ``extra`` adds kinds: "ignore", "subreaper", "thread", "enter", "outside".
    """
    amounts = st.integers(0, 3_000_000) | st.integers(0, 60_000)
    step = st.builds(Step, st.sampled_from(_KINDS + extra), st.integers(0, 9), amounts)
    return st.lists(step, min_size=15, max_size=60).map(lambda steps: [*steps, Step("scan")])


def play(
    kernel: Kernel,
    step: Step,
    *,
    still: frozenset[int] = frozenset(),
    busy: frozenset[int] = frozenset(),
    groups: str = "",
) -> None:
    """Let one step happen, if there is a process it can happen to.

    Those in ``still`` do nothing but reap, those in ``busy`` do not even reap. "enter" makes a
    process in one of ``groups``, "outside" does so for an engine beyond the pid namespace.
    """
    if step.what == "reap":
        zombies = [pid for pid in kernel.zombies() if kernel.tasks[pid].parent not in busy]
        if zombies:
            kernel.reap(zombies[step.who % len(zombies)])
        return
    free = [pid for pid in kernel.running() if pid not in still]
    if not free:
        return
    pid = free[step.who % len(free)]
    match step.what:
        case "fork":
            kernel.fork(pid)
        case "burn":
            kernel.burn(pid, step.amount * 3 // 4, step.amount - step.amount * 3 // 4)
        case "thread":
            kernel.end_thread(pid, step.amount)
        case "exit":
            kernel.exit(pid)
        case "ignore":
            kernel.tasks[pid].ignores_sigchld = True
        case "subreaper":
            kernel.tasks[pid].subreaper = True
        case "enter":
            kernel.fork(pid, groups[step.amount % len(groups)])
        case "outside":
            kernel.fork(OUTSIDE, groups[step.amount % len(groups)])
