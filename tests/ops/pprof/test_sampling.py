"""What is sampled is where the time is spent."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from jobmeter.ops.pprof.profile import Profile, encode
from jobmeter.ops.pprof.record import Record, Timeline, Totals
from jobmeter.ops.pprof.sampling import Sampling, SamplingError
from tests.ops.pprof.reading import go_pprof, samples, top

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Work = Callable[[], Awaitable[None]]


def seldom(seconds: float) -> None:
    spin(seconds)


def often(seconds: float) -> None:
    spin(seconds)


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(20))


async def serve() -> None:
    """Short callbacks, three quarters of their time in one function, and half of all time waiting."""
    while True:
        seldom(0.0005)
        await asyncio.sleep(0)
        often(0.0015)
        await asyncio.sleep(0.002)


def sampled(
    record: Record, seconds: float, work: Work, loop: Callable[[], asyncio.AbstractEventLoop]
) -> Profile:
    """The profile of a loop that works."""

    async def main() -> Profile:
        sampling = Sampling(record)
        task = asyncio.ensure_future(work())
        await sampling.run(seconds, asyncio.get_running_loop().create_future())
        task.cancel()
        return sampling.profile()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


def shares(profile: Profile, quantity: int) -> dict[str, float]:
    """The part of each function, with what it calls."""
    total = sum(one.values[quantity] for one in profile.samples)
    found: dict[str, float] = {}
    for one in profile.samples:
        for name in {frame.function for frame in one.stack}:
            found[name] = found.get(name, 0.0) + one.values[quantity] / total
    return found


@LOOPS
def test_cpu_time_is_given_to_the_callbacks_that_use_it(loop) -> None:
    """In their proportion, however short they are, and not to where the loop waits."""
    profile = sampled(Totals(), 3.0, serve, loop)
    found = shares(profile, 1)
    assert found["often"] > 2 * found["seldom"] > 0
    assert found["often"] + found["seldom"] > 0.6
    assert top(encode(profile))[0] == "spin"
    assert top(encode(profile), "-cum", "-focus=spin", "-sample_index=samples")


def test_the_sum_is_the_cpu_time_that_was_used() -> None:
    """By the process' own clock, less what the sampling used."""
    begun = time.process_time()
    profile = sampled(Totals(), 1.0, serve, uvloop.new_event_loop)
    used = time.process_time() - begun
    assert 0.8 * used - 0.05 < sum(one.values[1] for one in profile.samples) / 1e9 <= used


@LOOPS
def test_wall_time_is_given_to_where_a_thread_is(loop) -> None:
    """Each thread has all of the time, also where it uses no CPU."""

    def wait() -> None:
        over.wait()

    over = threading.Event()
    thread = threading.Thread(target=wait, name="waiter")
    thread.start()
    try:
        profile = sampled(Totals(), 1.0, serve, loop)
    finally:
        over.set()
        thread.join()
    seconds: dict[str, float] = {}
    for one in profile.samples:
        if one.labels:
            name = one.labels[0].text
            seconds[name] = seconds.get(name, 0.0) + one.values[2] / 1e9
    whole = pytest.approx(profile.duration_ns / 1e9, rel=0.1)
    assert seconds == {"MainThread": whole, "waiter": whole}
    waiting = [
        one for one in profile.samples if "wait" in [frame.function.split(".")[-1] for frame in one.stack]
    ]
    assert sum(one.values[1] for one in waiting) < 0.05e9


def test_a_thread_in_a_library_is_given_its_cpu_time() -> None:
    """While the loop waits; there is the function that called the library, with its line."""

    def digest() -> None:
        while not over.is_set():
            hashlib.sha256(data).digest()

    async def idle() -> None:
        await asyncio.sleep(60)

    data, over = os.urandom(1 << 20), threading.Event()
    thread = threading.Thread(target=digest, name="digester")
    thread.start()
    try:
        profile = sampled(Totals(), 1.0, idle, uvloop.new_event_loop)
    finally:
        over.set()
        thread.join()
    name = "test_a_thread_in_a_library_is_given_its_cpu_time.<locals>.digest"
    assert shares(profile, 1)[name] > 0.9
    assert top(encode(profile))[0] == name
    line = next(frame.line for one in profile.samples for frame in one.stack if frame.function == name)
    first = digest.__code__.co_firstlineno
    assert first < line <= first + 2
    assert "digester" in go_pprof(encode(profile), "-tags")


def test_a_timeline_tells_what_was_when() -> None:
    """Each thread's stays follow each other and fill the time; what was done first is there first."""

    async def in_turns() -> None:
        for work in (seldom, often):
            for _ in range(100):
                work(0.002)
                await asyncio.sleep(0)
        await asyncio.sleep(60)

    profile = sampled(Timeline(), 0.8, in_turns, uvloop.new_event_loop)
    found = list(samples(encode(profile)))
    stays = [one for one in found if one.labels.get("thread") == "MainThread" and one.values[2]]
    starts = [one.labels["start"] for one in stays]
    assert starts == sorted(starts)
    order = [name for one in stays for name in one.stack if name in ("seldom", "often")]
    assert order == sorted(order, reverse=True)
    assert {"seldom", "often"} == set(order)
    assert sum(one.values[2] for one in stays) == pytest.approx(profile.duration_ns, rel=0.1)
    assert top(encode(profile))[0] == "spin"


def test_a_deep_stack_keeps_its_innermost_frames() -> None:
    """So that a recursion costs as little as anything else."""

    def dive(depth: int) -> None:
        if depth:
            dive(depth - 1)
        else:
            spin(0.3)

    async def deep() -> None:
        dive(300)

    profile = sampled(Totals(), 0.4, deep, asyncio.new_event_loop)
    deepest = max(profile.samples, key=lambda one: len(one.stack))
    assert len(deepest.stack) == 128
    assert deepest.stack[0].function == "spin"


def test_the_signals_are_as_they_were() -> None:
    """Neither handlers nor timers are left, also after one that was cancelled."""

    async def cancelled() -> None:
        sampling = asyncio.ensure_future(
            Sampling(Totals()).run(60, asyncio.get_running_loop().create_future())
        )
        await asyncio.sleep(0.05)
        sampling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sampling

    asyncio.run(cancelled())
    sampled(Totals(), 0.05, serve, uvloop.new_event_loop)
    for number in (signal.SIGVTALRM, signal.SIGALRM):
        assert signal.getsignal(number) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_busy_loop_can_be_sampled_again_and_again() -> None:
    """Signals that come when it is over change nothing."""

    async def main() -> None:
        over = asyncio.get_running_loop().create_future()
        for _ in range(50):
            sampling = Sampling(Totals())
            task = asyncio.ensure_future(sampling.run(0.02, over))
            while not task.done():
                spin(0.005)
                await asyncio.sleep(0)
            await task
            assert sum(one.values[1] for one in sampling.profile().samples) > 0

    asyncio.run(main())


def test_signals_that_are_used_are_left_alone() -> None:
    """It says so in one sentence."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        with pytest.raises(SamplingError, match="uses the signals"):
            sampled(Totals(), 1.0, serve, asyncio.new_event_loop)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_a_loop_of_another_thread_cannot_be_sampled() -> None:
    """Signals reach Python in the main thread only."""
    found: list[BaseException] = []

    def work() -> None:
        try:
            sampled(Totals(), 1.0, serve, asyncio.new_event_loop)
        except SamplingError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(found[0])


def test_threads_come_and_go_while_it_samples() -> None:
    """Hundreds of them: what they used is in the sum."""

    async def many() -> None:
        while True:
            threads = [threading.Thread(target=spin, args=(0.002,)) for _ in range(5)]
            for one in threads:
                one.start()
            for one in threads:
                await asyncio.sleep(0)
                one.join()

    begun = time.process_time()
    profile = sampled(Totals(), 1.0, many, uvloop.new_event_loop)
    used = time.process_time() - begun
    assert 0.7 * used < sum(one.values[1] for one in profile.samples) / 1e9 <= used
