"""The routes below /debug/pprof/."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import time
import tracemalloc

import pytest
import uvloop

from jobmeter.ops.application import Disconnected
from jobmeter.ops.pprof.routes import Pprof
from tests.ops.pprof.reading import Client, get, samples, top

ALL = ("profile", "trace", "heap", "allocs")


def busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(20))


@pytest.mark.parametrize("name", ["profile", "trace"])
def test_the_loop_itself_is_in_the_profile_that_it_serves(name: str) -> None:
    """A busy callback is on top of it, and the loop goes on while the profile is taken."""

    async def main() -> bytes:
        asking = asyncio.ensure_future(Client().get(f"/{name}?seconds=1"))
        while not asking.done():
            busy(0.002)
            await asyncio.sleep(0)
        answer = asking.result()
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "no-store"
        return answer.body

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        profile = runner.run(main())
    assert top(profile)[0] == "busy"
    assert any("main" in function for one in samples(profile) for function in one.stack)


@pytest.mark.parametrize("name", ["heap", "allocs", "goroutine"])
def test_go_reads_each_profile(name: str) -> None:
    """As it reads those of its own programs."""
    answer = get(f"/{name}" + ("" if name == "goroutine" else "?seconds=0.2"))
    assert answer.status == 200
    assert top(answer.body)


@pytest.mark.parametrize(
    "level, begins", [(1, "goroutine profile: total 3"), (2, "thread MainThread [runs]:")]
)
def test_stacks_come_as_text_too(level: int, begins: str) -> None:
    """For who has no pprof at hand; this test has a thread, a task of its own, and nothing else."""
    answer = get(f"/goroutine?debug={level}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(begins) or level == 1
    assert "Client.get" in answer.text


@pytest.mark.parametrize("name", ["block", "mutex", "threadcreate"])
def test_what_python_does_not_know_is_said(name: str) -> None:
    """In one sentence."""
    answer = get(f"/{name}?debug=1")
    problem = json.loads(answer.body)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "Python does not record" in problem["detail"]
    assert problem["detail"].count(". ") == 0


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "seconds", ["0", "0.0", "-1", "60.5", "61", "1e1", "nan", "inf", "", "x", "1.", ".", "٣", "9" * 99]
)
def test_seconds_that_are_not_accepted_are_named(name: str, seconds: str) -> None:
    """With what is accepted, and at once."""
    answer = get(f"/{name}?seconds={seconds}")
    assert answer.status == 400
    assert "accepted is a number above 0 and up to 60" in json.loads(answer.body)["detail"]


@pytest.mark.parametrize(
    "asked",
    ["profile?second=1", "profile?seconds=1&seconds=2", "profile?debug=1", "goroutine?debug=3", "heap?gc=2"],
)
def test_what_would_change_the_answer_must_be_known(asked: str) -> None:
    """A parameter, and its value."""
    assert get(f"/{asked}").status == 400


@pytest.mark.parametrize("first", ALL)
def test_one_profile_is_taken_at_a_time(first: str) -> None:
    """Another is refused at once, with which one is under way; stacks are shown all the same."""

    async def main() -> None:
        client = Client()
        asking = asyncio.ensure_future(client.get(f"/{first}?seconds=0.5"))
        await asyncio.sleep(0.1)
        for name in ALL:
            refused = await client.get(f"/{name}?seconds=0.5")
            assert refused.status == 429
            assert f"{first} is being taken" in json.loads(refused.body)["detail"]
            assert int(refused.headers["retry-after"]) > 0
        assert (await client.get("/goroutine?debug=2")).status == 200
        assert not asking.done()
        assert (await asking).status == 200
        assert (await client.get("/trace?seconds=0.05")).status == 200

    asyncio.run(main())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("way", ["gone", "cancelled"])
def test_who_has_gone_is_no_longer_worked_for(name: str, way: str) -> None:
    """The next one finds its turn, and nothing is left on."""

    async def main() -> None:
        client = Client()
        asking = asyncio.ensure_future(client.get(f"/{name}?seconds=60"))
        await asyncio.sleep(0.1)
        if way == "gone":
            client.gone.set()
        else:
            asking.cancel()
        with pytest.raises(Disconnected if way == "gone" else asyncio.CancelledError):
            await asking
        client.gone.clear()
        assert (await client.get("/profile?seconds=0.05")).status == 200

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 20
    assert not tracemalloc.is_tracing()
    assert threading.active_count() == 1


def test_signals_that_another_uses_are_said() -> None:
    """409: it is nobody's mistake, and may be otherwise later."""
    signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        answer = get("/profile?seconds=1")
    finally:
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    assert (answer.status, "signals" in answer.text) == (409, True)


def test_no_thread_and_no_descriptor_is_left() -> None:
    """After twenty of each as after one."""

    async def main() -> list[tuple[int, int]]:
        client, found = Client(), []
        for _ in range(20):
            for name in ALL:
                assert (await client.get(f"/{name}?seconds=0.01")).status == 200
            assert (await client.get("/goroutine")).status == 200
            gc.collect()
            found.append((threading.active_count(), len(os.listdir("/proc/self/fd"))))
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(main())
    assert len(set(found[1:])) == 1
    assert found[0][0] == 1


def test_the_command_line_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zero byte between the words, as Go has it; nothing secret, here and on the page."""
    monkeypatch.setattr(sys, "orig_argv", ["jobmeter", "--push-token=hunter2", "<b>"])
    assert get("/cmdline").body == b"jobmeter\0--push-token=***\0<b>"
    page = get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "jobmeter --push-token=*** &lt;b&gt;" in page.text


def test_the_page_lists_what_there_is() -> None:
    """Each link leads to a route."""
    page = get("/").text
    links = {part.partition('"')[0].partition("?")[0] for part in page.split('href="')[1:]}
    routes = {route.path.removeprefix("/debug/pprof/") for route in Pprof().routes()}
    assert links == routes - {"", "symbol", "/debug/pprof"}
    assert get("").headers["location"] == "pprof/"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_are_no_symbols_to_ask_for(method: str) -> None:
    """Zero says so to pprof."""
    assert asyncio.run(Client().get("/symbol", method)).body == b"num_symbols: 0\n"


def test_only_who_may_see_the_inside_may_ask() -> None:
    """Whatever the route."""
    assert {route.access for route in Pprof().routes()} == {"debug"}
