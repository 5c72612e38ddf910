"""A keeper's life: the runner's start under its account and limits, its end with the reason, what the receiver has."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobmeter.apps.load import load
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.supervise.keeper.spec import Limits, Spec
from jobmeter.supervise.marks import MAX_MARKS
from tests.e2e.support.components import require_root
from tests.support import launches
from tests.support.launches import kept, output, running, spec, written
from tests.support.receivers import FlakyReceiver, closed_port, serving

MIB = 1024 * 1024
NOBODY = 65534
EAT = ("python3", "-c", "held = bytearray(300 << 20)")
SPARSE = "sleep 100 & sleep 0.2; exit 7"
CROWD = "(for i in 1 2 3 4 5 6 7 8; do sleep 100 & done); exit 7"
STUBBORN = "trap '' TERM; (trap '' TERM; while :; do sleep 100; done) & while :; do sleep 100; done"


@pytest.fixture
def place() -> Iterator[Path]:
    require_root("a cgroup of the test's own")
    with launches.place() as folder:
        yield folder


def summary(task: Spec) -> Summary:
    return load(task.journal, None, 10).summary


@pytest.mark.parametrize(
    "argv, limits, reason, code, signal, detail",
    [
        ("exit 3", Limits(), "exit", 3, None, r"The runner ended with exit code 3 after \d+ ms; it had used"),
        ("exit 0", Limits(), "exit", 0, None, r"The runner ended with exit code 0 after"),
        ("kill -9 $$", Limits(), "signal", 137, "SIGKILL", r"The runner was killed by SIGKILL after"),
        (
            EAT, Limits(memory_bytes=64 * MIB), "oom", 137, "SIGKILL",
            r"The kernel killed a process of the job for want of memory, whose limit is 64 MiB, and the runner ended "
            r"by SIGKILL after .*; it had used \d+ ms of CPU time and at most 64 MiB of memory\.$",
        ),
        (
            "sleep 100", Limits(timeout_seconds=0.3), "timeout", 143, "SIGTERM",
            r"The job was ended after 3\d\d ms, its time limit is 300 ms; it had used \d+ ms of CPU time",
        ),
        (
            CROWD, Limits(pids=5), "exit", 7, None,
            r"The job had reached its limit of 5 processes and threads, and the runner ended with exit code 7 after",
        ),
        (SPARSE, Limits(pids=5), "exit", 7, None, r"The runner ended with exit code 7 after"),
        (
            ["nowhere", "--at-all"], Limits(), "not_started", 127, None,
            r"The runner was not started: the command 'nowhere' was not found\.$",
        ),
    ],
)  # fmt: skip
def test_how_it_ended(place, argv, limits, reason, code, signal, detail) -> None:
    """The reason, and one sentence with the numbers."""
    task = spec(place, argv, limits=limits)

    async def main() -> None:
        async with running() as keepers:
            ended = await kept(keepers, task)
            assert (ended.reason, ended.code, ended.signal) == (reason, code, signal)
            assert re.match(detail, ended.detail), ended.detail
            assert ended.detail.count(". ") == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "argv, limits, reason",
    [
        ("exit 0", Limits(), "unknown"),
        ("exit 1", Limits(), "failure"),
        ("kill -9 $$", Limits(), "signal"),
        (EAT, Limits(memory_bytes=64 * MIB), "oom"),
        ("sleep 100", Limits(timeout_seconds=0.3), "timeout"),
        (["nowhere"], Limits(), "failure"),
    ],
)
def test_what_the_run_says(place, argv, limits, reason) -> None:
    """The run's end has the same reason; that a runner ended by itself says nothing of its job."""
    task = spec(place, argv, limits=limits, job=Job(forge="forgejo", repository="o/r", run_id="7"))

    async def main() -> None:
        async with running() as keepers:
            ended = await kept(keepers, task)
            told = summary(task)
            assert (told.exit.reason, told.job.repository) == (reason, "o/r")
            assert told.warnings == []
            if ended.cpu_seconds is not None:
                assert told.cpu_seconds == pytest.approx(ended.cpu_seconds, abs=0.002)

    asyncio.run(main())


def test_its_name(place) -> None:
    """That of its job, for `ps`; its runner has its own."""
    task = replace(spec(place, "sleep 100"), task_id="12345678901")

    async def main() -> None:
        async with running() as keepers:
            keeper = await keepers.start(task)
            assert Path(f"/proc/{keeper.pid}/comm").read_text() == "job 12345678901\n"
            children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
            assert not any(Path(f"/proc/{pid}/comm").read_text().startswith("job") for pid in children)
            keepers.stop(keeper)
            await keepers.ended(task.folder)

    asyncio.run(main())


def test_a_runner_that_will_not_end(place) -> None:
    """It has a second after its time limit, then it and all its children are killed."""
    task = spec(place, STUBBORN, limits=Limits(timeout_seconds=0.2))

    async def main() -> None:
        async with running() as keepers:
            begun = time.monotonic()
            ended = await kept(keepers, task)
            assert (ended.reason, ended.signal) == ("timeout", "SIGKILL")
            assert 1.1 < time.monotonic() - begun < 10

    asyncio.run(main())


def test_what_takes_too_long_is_on_disk_before_the_runner_hears_of_it(place) -> None:
    """So whoever asks knows of what it says then that it counts no more; many at once, and the mark is theirs alone."""
    script = "trap 'test -e {mark}; echo $? > marked; exit 0' TERM; echo > begun; sleep 100 & wait"
    slow = [spec(place, "", limits=Limits(timeout_seconds=1.0)) for _ in range(8)]
    slow = [replace(one, argv=("sh", "-c", script.format(mark=f"{one.folder}/overdue"))) for one in slow]
    quick = spec(place, "exit 0", limits=Limits(timeout_seconds=60.0))

    async def main() -> None:
        async with running() as keepers:
            ended = await asyncio.gather(*(kept(keepers, one) for one in [*slow, quick]))
            assert [one.reason for one in ended] == ["timeout"] * 8 + ["exit"]
            assert [(Path(one.work_dir) / "marked").read_text() for one in slow] == ["0\n"] * 8
            assert [keepers.overdue(one.folder) for one in [*slow, quick]] == [True] * 8 + [False]
            assert {one.code for one in ended} == {0}
            again = replace(slow[0], argv=("true",))
            await kept(keepers, again)
            assert not keepers.overdue(again.folder)

    asyncio.run(main())


def test_stopping(place) -> None:
    """A keeper that is told to, twice, ends its runner within five seconds, however that behaves."""
    task = spec(place, f"echo ready > ready; {STUBBORN}")

    async def main() -> None:
        async with running() as keepers:
            keeper = await keepers.start(task)
            await written(Path(task.work_dir, "ready"))
            begun = time.monotonic()
            keepers.stop(keeper)
            keepers.stop(keeper)
            ended = await keepers.ended(task.folder)
            assert time.monotonic() - begun < 5
            assert ended is not None
            assert ended.reason == "stopped"
            assert re.match("The runner was stopped after", ended.detail)
            assert await keepers.gone(task.folder) is None
            keepers.stop(keeper)
            assert summary(task).exit.reason == "cancelled"

    asyncio.run(main())


def test_survivors_are_ended_and_named(place) -> None:
    """What the runner leaves in its cgroup, also in a session of its own, does not outlive it."""
    task = spec(place, "setsid sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1001; :' & sleep 0.1; exit 0")

    async def main() -> None:
        async with running() as keepers:
            ended = await kept(keepers, task)
            assert ended.reason == "exit"
            assert sorted(one.name for one in ended.survivors) == ["sh", "sleep", "sleep"]
            assert not any(Path(f"/proc/{one.pid}").exists() for one in ended.survivors)
            assert summary(task).survivors == list(ended.survivors)

    asyncio.run(main())


SURROUNDINGS = """
    id -u; id -g; id -G; umask; pwd
    cut -d' ' -f6 /proc/$$/stat; echo $$
    cat /proc/$$/oom_score_adj
    readlink /proc/$$/fd/0
    ls -C /proc/$$/fd
    env | sed 's/=.*//' | sort | tr '\\n' ' '; echo
    grep SigBlk /proc/self/status
    ulimit -Sn
"""


def test_the_account_and_its_surroundings(place) -> None:
    """It is the account with its groups, in its folder, in a session of its own; nothing of ours is handed on."""
    task = spec(place, SURROUNDINGS, user="nobody")

    async def main() -> None:
        async with running() as keepers:
            assert (await kept(keepers, task)).code == 0

    asyncio.run(main())
    uid, gid, groups, umask, folder, session, pid, score, stdin, descriptors, names, blocked, bound = output(
        task
    ).splitlines()
    assert (uid, gid, groups) == (str(NOBODY),) * 3
    assert (umask, folder, session, stdin) == ("0022", task.work_dir, pid, "/dev/null")
    assert int(score) > int(Path("/proc/self/oom_score_adj").read_text())
    assert descriptors.split() == ["0", "1", "2"]
    assert set(names.split()) == {"JOBMETER_MARK_SOCKET", "PATH", "PWD"}
    assert (blocked.split()[1], bound) == ("0" * 16, "1024")


LOOK = """
    keeper=$(awk '/^PPid/ { print $2 }' /proc/$$/status)
    kill -0 $keeper && echo signalled
    cat /proc/$keeper/environ /proc/$keeper/mem 2>/dev/null && echo read
    ls /proc/$keeper/fd 2>/dev/null && echo listed
    cat FOLDER/* 2>/dev/null && echo opened
    echo looked
"""


def test_the_account_cannot_reach_its_keeper(place) -> None:
    """From within the job the keeper cannot be signalled or read, nor the folder that it writes."""
    task = spec(place, ["true"], user="nobody", receiver_token="Secret-of-the-receiver")
    task = replace(task, argv=("sh", "-c", LOOK.replace("FOLDER", task.folder)))

    async def main() -> None:
        async with running() as keepers:
            await kept(keepers, task)

    asyncio.run(main())
    assert output(task).splitlines()[-1] == "looked"
    assert not {"signalled", "read", "listed", "opened"} & set(output(task).split())


def test_the_token_is_in_no_file(place) -> None:
    """The receiver's token reaches the keeper through its socket, and stays in its memory."""
    with serving(FlakyReceiver(token="Secret-of-the-receiver")) as receiver:
        task = spec(
            place, "cat /proc/$PPID/cmdline /proc/$PPID/environ", receiver=receiver.url,
            receiver_token="Secret-of-the-receiver",
        )  # fmt: skip
        asyncio.run(_keep_only(task))
        assert receiver.runs
    found = [path for path in place.rglob("*") if path.is_file() and b"Secret-of" in path.read_bytes()]
    assert found == []
    assert "Secret-of" not in repr(task)


async def _keep_only(task: Spec) -> None:
    async with running() as keepers:
        await kept(keepers, task)


def test_the_receiver_has_the_run(place) -> None:
    """All of its records arrive, and the journal goes then."""
    with serving(FlakyReceiver()) as receiver:
        task = spec(place, "exit 4", receiver=receiver.url)

        async def main() -> None:
            async with running() as keepers:
                ended = await kept(keepers, task)
                (uid,) = receiver.runs
                assert uid == ended.run_uid
                assert [receiver.runs[uid][0]["kind"], receiver.runs[uid][-1]["kind"]] == ["start", "end"]
                assert receiver.runs[uid][0]["meter"] == "keeper"

        asyncio.run(main())
    assert not Path(task.journal).exists()


def test_the_end_is_told_before_the_receiver_has_it(place) -> None:
    """Nobody waits for a receiver that is away; the journal stays, and the gateway is told why."""
    task = spec(place, "exit 4", receiver=f"http://127.0.0.1:{closed_port()}", grace_seconds=1.5)

    async def main() -> None:
        async with running() as keepers:
            keeper = await keepers.start(task)
            ended = await keepers.ended(task.folder)
            assert ended is not None
            assert ended.code == 4
            assert keepers.alive(keeper)
            sentence = await keepers.gone(task.folder)
            assert sentence is not None
            assert "records of the run were not sent" in sentence
            assert summary(task).exit.code == 4

    asyncio.run(main())


def test_limits_hold(place) -> None:
    """A fork too many fails, CPU is throttled, and both are in the run."""
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait"
    busy = "timeout 0.5 sh -c 'while :; do :; done'"

    async def main() -> None:
        async with running() as keepers:
            crowd, slow = (
                spec(place, script, limits=Limits(pids=5)),
                spec(place, busy, limits=Limits(cpu_cores=0.2)),
            )
            many = await kept(keepers, crowd)
            assert "Cannot fork" in output(crowd) or "fork" in output(crowd)
            assert len(many.survivors) == 4
            used = await kept(keepers, slow)
            assert used.cpu_seconds is not None
            assert used.cpu_seconds < 0.25
            (job,) = summary(slow).containers
            assert job.cpu_limit_cores == 0.2
            assert job.throttled_seconds

    asyncio.run(main())


def test_a_mark_of_the_job(place) -> None:
    """`jobmeter mark` works in it."""
    task = spec(
        place, [sys.executable, "-m", "jobmeter", "mark", "tests"],
        environ={"PATH": launches.PATH, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    asyncio.run(_keep_only(task))
    assert [one.name for one in summary(task).sections][-1] == "tests"


@pytest.mark.parametrize("uid", [0, 1, NOBODY])
def test_marks_of_strangers(place, uid) -> None:
    """Nobody outside of the task's cgroup is heard, of whatever account, nor takes from how many marks there may be."""
    go = 'echo $JOBMETER_MARK_SOCKET > door; while [ ! -e go ]; do sleep 0.05; done; exec "$@"'
    task = spec(
        place, ["sh", "-c", go, "sh", sys.executable, "-m", "jobmeter", "mark", "tests"],
        environ={"PATH": launches.PATH, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip

    async def main() -> None:
        async with running() as keepers:
            await keepers.start(task)
            door = await written(Path(task.work_dir, "door"))
            await asyncio.to_thread(_mark_as, uid, door.strip(), MAX_MARKS + 100, 0.5)
            Path(task.work_dir, "go").touch()
            await keepers.ended(task.folder)
            await keepers.gone(task.folder)

    asyncio.run(main())
    assert [one.name for one in summary(task).sections] == ["start", "tests"]


def _mark_as(uid: int, door: str, count: int, wait_seconds: float = 0.0) -> None:
    """Set marks from a process of this account, which waits before it ends."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
                for _ in range(count):
                    stranger.sendto(b"forged", "\0" + door[1:])
                time.sleep(wait_seconds)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_a_mark_of_who_has_left(place) -> None:
    """A process of the task's account that did not wait for the answer is heard too."""
    task = spec(place, "sleep 1", user="nobody", interval_seconds=10.0)

    async def main() -> None:
        async with running() as keepers:
            keeper = await keepers.start(task)
            door = f"@jobmeter-{keeper.run_uid}"
            os.kill(keeper.pid, signal.SIGSTOP)
            await asyncio.to_thread(_mark_as, NOBODY, door, 1)
            await asyncio.to_thread(_mark_as, 1, door, 1)
            os.kill(keeper.pid, signal.SIGCONT)
            await keepers.ended(task.folder)
            await keepers.gone(task.folder)

    asyncio.run(main())
    assert [one.name for one in summary(task).sections] == ["start", "forged"]


def test_the_end_of_what_it_writes_is_kept(place) -> None:
    """Of a runner that writes much the last mebibyte, at least."""
    task = spec(place, "seq 1000000")
    asyncio.run(_keep_only(task))
    written = output(task)
    assert written.endswith("999999\n1000000\n")
    assert MIB <= len(written) < 2 * MIB
