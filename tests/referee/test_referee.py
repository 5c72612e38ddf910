"""All queries of one job: whatever comes of them is in its evidence, and nothing raises."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobmeter.model.evidence import bounds, compat
from jobmeter.model.evidence.document import Evidence, decode, encode
from jobmeter.model.job import Job
from jobmeter.referee import referee as module
from jobmeter.referee.breaker import Breaker
from jobmeter.referee.fitting import fitted
from jobmeter.referee.prometheus import Prometheus
from jobmeter.referee.referee import Occasion, Referee
from tests.referee.server import StandIn, cut, hang_up, listening, options, says, silent
from tests.support.receivers import closed_port

START = 1_577_836_800.0
JOB = Occasion(START, START + 60, 'instance="runner-1"', Job(job="build"), "uid", "4711")
DAY = 86_400
EMPTY = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
SCALAR = b'{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}'
PARTIAL = EMPTY[:-1] + b',"isPartial":true}'
ODD = (
    b'{"status":"success","data":{"resultType":"matrix","result":'
    b'[{"metric":{},"values":[[1577836800,"NaN"],[1577836810,"+Inf"]]}]}}'
)


def ask(
    server: StandIn,
    *queries: tuple[str, str],
    occasion: Occasion = JOB,
    budget: float | None = None,
    **more: Any,
) -> Evidence:
    """What a referee makes of it; every document is one that a receiver takes."""

    async def main() -> Evidence:
        async with listening(server) as (url, _), Referee(options(url, queries, **more)) as referee:
            return await referee.ask(occasion, budget)

    document = asyncio.run(main())
    bounds.check(document)
    assert decode(encode(document)) == document
    return document


def test_every_query_is_asked_of_the_jobs_time() -> None:
    """And of the scrape after it; what is answered is kept as it was sent."""
    server = StandIn()
    document = ask(server, ("cpu", "rate(cpu{{selector}}[{interval}])"), ("up", "up"), scrape_interval=30)
    assert sorted(server.expressions) == ['rate(cpu{instance="runner-1"}[10s])', "up"]
    assert {(form["start"], form["end"], form["step"]) for form in server.asked} == {
        ("1577836800.000", "1577836890.000", "10.000")
    }
    assert (document.start_time, document.end_time) == (
        "2020-01-01T00:00:00.000Z",
        "2020-01-01T00:01:00.000Z",
    )
    assert (document.job, document.run_uid, document.task) == (JOB.job, "uid", "4711")
    assert (document.interval_seconds, document.step_seconds, document.tail_seconds) == (10, 10, 30)
    assert (document.tail_open, document.problems) == (False, ())
    cpu, up = document.queries
    assert (cpu.name, cpu.query) == ("cpu", "rate(cpu{{selector}}[{interval}])")
    assert (cpu.expression, cpu.state, cpu.reason) == ('rate(cpu{instance="runner-1"}[10s])', "data", None)
    assert (cpu.window_seconds, up.window_seconds) == (10, 0)
    assert [len(one.points) for one in (*cpu.series, *up.series)] == [10, 10]


REASON = "Prometheus answered 400: no."
BUT = ", none of histograms or with very long labels."
ANSWERS = [
    ("400", says(400, b'{"error":"no"}'), "failed", REASON, 0),
    ("500", says(500), "failed", "Prometheus answered 500: Whatever.", 0),
    ("cut", cut, "failed", "Prometheus broke off its answer: it closed the connection.", 0),
    ("hang up", hang_up, "failed", "Prometheus cannot be asked: it closed the connection.", 0),
    ("slow", silent, "failed", "Prometheus gave no answer within 0.5 s.", 0),
    ("huge", says(200, b" " * 10_001), "failed", "The answer has more than 10000 bytes.", 0),
    (
        "page",
        says(200, b"<html>"),
        "failed",
        "The answer is a page of HTML; is the address that of Prometheus?",
        0,
    ),
    (
        "scalar",
        says(200, SCALAR),
        "failed",
        "The answer is a single number, which is no course over time.",
        0,
    ),
    ("empty", says(200, EMPTY), "empty", None, 0),
    ("partial", says(200, PARTIAL), "partial", "The server says that it had not all of it.", 0),
    ("NaN", says(200, ODD), "data", None, 2),
]


@pytest.mark.parametrize(
    "answer, state, reason, points", [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
def test_one_bad_query_takes_nothing_from_the_others(
    answer: Any, state: str, reason: str, points: int
) -> None:
    """Each says for itself what came of it."""
    server = StandIn()
    server.wrong["bad"] = answer
    document = ask(server, ("a", "a"), ("b", "bad"), ("c", "c"), timeout=0.5, max_answer_bytes=10_000)
    first, bad, last = document.queries
    assert (bad.state, bad.reason, bad.point_count) == (state, reason, points)
    assert [(one.state, one.point_count) for one in (first, last)] == [("data", 9)] * 2
    assert list(compat.encode(document)[:3]) == list(b'{"a')


def test_one_that_is_away_is_said_of_each_query() -> None:
    """There is a document all the same."""

    async def main() -> Evidence:
        queries = [(f"q{number}", "up") for number in range(50)]
        at = options(f"http://127.0.0.1:{closed_port()}", queries, parallel=1)
        async with Referee(at) as referee:
            return await referee.ask(JOB)

    document = asyncio.run(main())
    bounds.check(document)
    reason = "Prometheus cannot be asked: connection refused."
    assert [(one.state, one.reason) for one in document.queries] == [
        ("failed", reason),
        *[("failed", f"It was not asked, because {reason}")] * 49,
    ]
    assert compat.encode(document) == b"{}"


def test_once_nobody_is_there_nobody_else_is_made_to_wait() -> None:
    """The second question would be as vain as the first; an answer before it would have been another sign."""
    server = StandIn()
    server.wrong["up"] = hang_up
    queries = [(f"q{number}", "up") for number in range(5)]
    assert {query.state for query in ask(server, *queries, parallel=1).queries} == {"failed"}
    assert server.expressions == ["up"]
    ask(server, ("a", "a"), *queries, parallel=1)
    assert server.expressions == ["up", "a", *["up"] * 5]


@pytest.mark.parametrize(
    "answer, reason",
    [
        (says(503, b'{"error":"query timed out"}'), "Prometheus answered 503: query timed out."),
        (silent, "Prometheus gave no answer within 0.2 s."),
    ],
    ids=["told", "not told"],
)
def test_a_query_that_takes_too_long_keeps_none_from_being_asked(answer: Any, reason: str) -> None:
    """That is its own fault, however many of them come first."""
    server = StandIn()
    server.wrong["slow"] = answer
    slow = [(f"slow {number}", "slow") for number in range(3)]
    document = ask(server, *slow, ("a", "a"), ("b", "b"), parallel=3, timeout=0.2)
    assert [one.reason for one in document.queries] == [*[reason] * 3, None, None]


def test_what_has_not_come_within_the_budget_is_left() -> None:
    """And said; what has come is kept."""
    server = StandIn()
    server.wrong["slow"] = silent
    document = ask(server, ("a", "a"), ("b", "slow"), ("c", "slow"), ("d", "d"), budget=0.5, parallel=2)
    assert [(one.state, one.reason) for one in document.queries] == [
        ("data", None),
        *[("failed", "The time for all queries was over before it was answered.")] * 2,
        ("failed", "It was not asked, because the time for all queries was over."),
    ]
    assert document.problems == ("3 of 4 queries were not answered within the 0.5 s that they were given.",)


def test_who_is_stopped_says_what_was_not_asked() -> None:
    """And what was, without an answer; nothing else of it is known."""
    server = StandIn()
    server.wrong["slow"] = silent

    async def main() -> Evidence:
        async with listening(server) as (url, _):
            queries = [("a", "slow"), ("b", "b")]
            async with Referee(options(url, queries, parallel=1)) as referee:
                asking = asyncio.create_task(referee.ask(JOB))
                while not server.asked:
                    await asyncio.sleep(0.01)
                for task in asyncio.all_tasks() - {asking, asyncio.current_task()}:
                    if task.get_coro().__name__ == "_ask":  # type: ignore[union-attr]
                        task.cancel()
                return await asking

    assert [one.reason for one in asyncio.run(main()).queries] == [
        "The referee was stopped before it was answered.",
        "It was not asked, because the referee was stopped.",
    ]


def test_waiting_for_a_busy_server_is_within_the_budget() -> None:
    """One that asks for half a minute is not waited for."""
    server = StandIn()
    server.wrong["busy"] = says(429, b"", ("Retry-After", "30"))
    document = ask(server, ("a", "busy"), ("b", "busy"), budget=5, parallel=1)
    first, second = (query.reason or "" for query in document.queries)
    assert first.startswith("It was not asked again, because Prometheus asks for 30 s without questions")
    assert second.startswith("It was not asked, because Prometheus asks for 30 s without questions")
    assert (server.expressions, document.problems) == (["busy"], ())


def test_a_rate_of_a_short_job_is_of_no_less_than_was_configured() -> None:
    """Its points are closer, and what they look back at is not; no more than it needs is of the time before."""
    server = StandIn()
    queries = [("a", "rate(a[{interval}])"), ("b", "rate(b[{rate_interval}])")]
    document = ask(server, *queries, occasion=JOB._replace(end=START + 4))
    assert document.step_seconds == 4
    assert sorted(server.expressions) == ["rate(a[10s])", "rate(b[31s])"]
    (problem,) = document.problems
    assert problem.startswith("'a' and 1 more: a point is of the 31 s before it, and the job took 4 s")


@pytest.mark.parametrize("jobs", [1, 4])
def test_no_more_than_so_many_are_asked_at_once(jobs: int) -> None:
    """Of all jobs together: a Prometheus has others to serve."""
    at_once: list[int] = []
    waiting = 0

    async def slow(seen: Any, line: Any) -> None:
        nonlocal waiting
        waiting += 1
        at_once.append(waiting)
        await asyncio.sleep(0.02)
        waiting -= 1
        await says(200, EMPTY)(seen, line)

    async def main() -> list[Evidence]:
        server, queries = StandIn(), [(f"q{number}", "up") for number in range(12)]
        server.wrong["up"] = slow
        async with (
            listening(server) as (url, _),
            Referee(options(url, queries, parallel=3)) as referee,
        ):
            return await asyncio.gather(*(referee.ask(JOB, 30) for _ in range(jobs)))

    documents = asyncio.run(main())
    assert max(at_once) == 3
    assert {query.state for document in documents for query in document.queries} == {"empty"}


def test_a_job_that_waits_for_others_says_nothing_of_the_server() -> None:
    """None of its queries could be asked within its budget, which is no sign that nobody is there."""

    async def main() -> list[Evidence]:
        async with (
            listening(silent) as (url, _),
            Referee(options(url, [("a", "a")], parallel=1, timeout=30)) as referee,
        ):
            first = asyncio.create_task(referee.ask(JOB, 2))
            await asyncio.sleep(0.1)
            others = [await referee.ask(JOB, 0.05) for _ in range(5)]
            first.cancel()
            return others

    for document in asyncio.run(main()):
        (query,) = document.queries
        assert "was not asked" in (query.reason or "")
        assert not any("was not asked: it was away" in problem for problem in document.problems)


@pytest.mark.parametrize(
    "start, end, points, problem",
    [
        (START, START, 16, None),
        (START, START + 3, 7, None),
        (START, START - 5, 16, "The job's end is before its start; its start was asked for."),
        (
            START,
            START + 7 * DAY,
            10_998,
            "Points are 55 s apart, not 10 s, so that a series has no more than 11000.",
        ),
    ],
    ids=["0 s", "3 s", "backwards", "7 days"],
)
def test_a_job_of_any_length(start: float, end: float, points: int, problem: str | None) -> None:
    """A long one is asked for in parts, which are one again."""
    server = StandIn()
    document = ask(server, ("up", "up"), occasion=JOB._replace(start=start, end=end), max_answer_bytes=10**6)
    (answer,) = document.queries
    assert (answer.state, answer.point_count) == ("data", points)
    times = [time for time, _ in answer.series[0].points]
    assert times == sorted(set(times))
    assert len(server.asked) == (9 if points > 10_000 else 1)
    assert document.problems == (() if problem is None else (problem,))


def test_parts_that_were_answered_are_kept() -> None:
    """The reason says how many."""
    server = StandIn()
    asked: list[Any] = []

    async def third_fails(seen: Any, line: Any) -> None:
        asked.append(seen)
        await (says(400, b'{"error":"no"}') if len(asked) == 3 else server)(seen, line)

    async def main() -> Evidence:
        async with listening(third_fails) as (url, _), Referee(options(url)) as referee:
            return await referee.ask(JOB._replace(end=START + 4 * DAY))

    (answer,) = asyncio.run(main()).queries
    assert (answer.state, answer.reason) == ("partial", f"Of its 6 parts 2 were answered. {REASON}")
    assert answer.point_count > 0


def test_two_queries_of_one_name_are_both_kept() -> None:
    """With a sentence; the form of GitLab's referee has the last one."""
    server = StandIn()
    document = ask(server, ("a", "one"), ("a", "two"))
    assert [one.expression for one in document.queries] == ["one", "two"]
    assert document.problems == ("More than one query is called 'a'.",)


def test_quotes_and_braces_of_a_selector_arrive_as_they_are() -> None:
    """In the query, and in the document."""
    selector = 'a="{interval}",b="\\"}",c=~"x{2}"'
    server = StandIn()
    document = ask(server, ("up", "up{{selector}}"), occasion=JOB._replace(selector=selector))
    assert server.expressions == [f"up{{{selector}}}"]
    assert (document.selector, document.queries[0].state) == (selector, "data")


def test_a_query_that_grows_too_long_is_not_sent() -> None:
    """Its place in the document is bounded too."""
    server = StandIn()
    selector = 'a="' + "b" * 100 + '"'
    document = ask(server, ("up", "up{{selector}} + " * 100 + "1"), occasion=JOB._replace(selector=selector))
    assert (server.asked, document.queries[0].state) == ([], "failed")
    assert "characters; at most 8192 are sent." in str(document.queries[0].reason)


def test_a_fault_of_the_referee_is_one_querys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and never raised."""
    monkeypatch.setattr(module, "read", lambda *_, **__: 1 // 0)
    (answer,) = ask(StandIn(), ("a", "a")).queries
    assert (answer.state, answer.reason) == ("failed", "The referee could not ask it: ZeroDivisionError.")


@pytest.mark.parametrize("length, step, points", [(40, 10, 7), (60, 13, 7), (7 * DAY, 100_803, 7)])
def test_all_queries_share_the_points_of_a_document(
    length: float, step: float, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their points are so far apart that each has room for one series of the whole job."""
    monkeypatch.setattr(module, "MAX_POINTS", 14)
    document = ask(StandIn(), ("a", "a"), ("b", "b"), occasion=JOB._replace(end=START + length))
    assert document.step_seconds == step
    for answer in document.queries:
        assert (answer.state, answer.reason, answer.point_count) == ("data", None, points)
        assert answer.series[0].points[-1][0] >= START + length + 15


def rows(*counts: int) -> bytes:
    """An answer of series with so many points."""
    result = [
        {"metric": {"row": str(row)}, "values": [[START + number, "1"] for number in range(count)]}
        for row, count in enumerate(counts)
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken for all that there was, and nothing that there was for nothing."""
    monkeypatch.setattr(module, "MAX_POINTS", 20)
    server = StandIn()
    server.wrong["two"] = says(200, rows(2, 2))
    server.wrong["large"] = says(200, rows(11))
    two, large = ask(server, ("a", "two"), ("b", "large"), max_series=1).queries
    assert (two.state, len(two.series), two.series_left_out, two.points_left_out) == ("partial", 1, 1, 2)
    assert two.reason == f"Left out are 1 series, 2 points: a query keeps 1 series and 10 points{BUT}"
    assert (large.state, large.series, large.series_left_out) == ("partial", (), 1)
    assert large.reason == f"Left out are 1 series, 11 points: a query keeps 1 series and 10 points{BUT}"


def test_a_document_is_as_small_as_a_receiver_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much was answered."""
    monkeypatch.setattr(module, "fitted", lambda document: fitted(document, 1000))
    (answer,) = ask(StandIn(), ("a", "a"), occasion=JOB._replace(end=START + 600)).queries
    assert (answer.state, answer.series, answer.points_left_out) == ("partial", (), 63)


@pytest.mark.parametrize(
    "ahead, text",
    [(90.0, "is 90 s ahead of this machine's"), (-7.0, "is 7 s behind this machine's"), (None, None)],
)
def test_a_clock_that_differs_is_told(
    ahead: float | None, text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's time was taken by this machine's."""
    monkeypatch.setattr(
        Prometheus, "_compare_clocks", lambda self, _: setattr(self, "clock_ahead_seconds", ahead)
    )
    problems = ask(StandIn(), ("up", "up")).problems
    assert len(problems) == (text is not None)
    assert all(str(text) in one for one in problems)


@pytest.mark.parametrize(
    "length, after, tail_open, tail, times",
    [
        (60, 0, True, 20, [0, 10, 20, 30, 40, 50, 60]),
        (60, 19.9, True, 20, [0, 10, 20, 30, 40, 50, 60]),
        (60, 20, False, 20, [0, 10, 20, 30, 40, 50, 60, 70, 80]),
        (19, 0, True, 21, [0, 10, 19]),
        (19, 21, False, 21, [0, 10, 20, 30, 40]),
        (3, 15, False, 15, [0, 3, 6, 9, 12, 15, 18]),
    ],
)
def test_the_tail_is_open_until_the_next_scrape(
    length: float, after: float, tail_open: bool, tail: float, times: list[float]
) -> None:
    """What happened since the last one is not known yet; it is in a point that is no earlier than that scrape."""
    occasion = JOB._replace(end=START + length)

    async def main() -> Evidence:
        async with (
            listening(StandIn()) as (url, _),
            Referee(options(url), clock=lambda: occasion.end + after) as referee,
        ):
            return await referee.ask(occasion)

    document = asyncio.run(main())
    assert (document.tail_open, document.tail_seconds) == (tail_open, tail)
    assert [time - START for time, _ in document.queries[0].series[0].points] == times


def test_a_breaker_skips_one_that_is_away() -> None:
    """After three jobs the fourth is not delayed, and its evidence says why it has nothing."""

    async def main() -> list[Evidence]:
        breaker = Breaker(time.monotonic)
        at = options(f"http://127.0.0.1:{closed_port()}")
        async with Referee(at, breaker) as referee:
            return [await referee.ask(JOB) for _ in range(4)]

    *tried, skipped = asyncio.run(main())
    assert [one.problems for one in tried] == [()] * 3
    (problem,) = skipped.problems
    assert problem == "Prometheus was not asked: it was away the last times, and is tried again in 60 s."
    reason = "It was not asked, because Prometheus was away the last times."
    assert (skipped.queries[0].state, skipped.queries[0].reason) == ("failed", reason)


@pytest.mark.parametrize(
    "answer, opens",
    [
        (says(400), False),
        (says(503, b'{"error":"query timed out"}'), False),
        (says(429, b"", ("Retry-After", "30")), False),
        (says(502), True),
        (silent, True),
    ],
)
def test_only_one_that_is_away_opens_the_breaker(answer: Any, opens: bool) -> None:
    """One that refuses a query is there; one that answers none at all within the budget is as good as away."""

    async def main() -> Callable[[], float | None]:
        server, breaker = StandIn(), Breaker(time.monotonic)
        server.wrong["up"] = answer
        async with listening(server) as (url, _), Referee(options(url), breaker) as referee:
            for _ in range(3):
                await referee.ask(JOB, 0.1)
        return breaker.admit

    assert (asyncio.run(main())() is not None) is opens


def test_without_a_query_there_is_a_document() -> None:
    """It says that there was nothing to ask."""
    document = ask(StandIn())
    assert (document.queries, document.problems) == ((), ("There is no query to ask.",))


def test_queries_above_the_limit_are_told() -> None:
    """A receiver takes no more."""
    document = ask(StandIn(), *((f"q{number}", "up") for number in range(203)))
    assert (len(document.queries), document.problems) == (
        200,
        ("3 queries above the limit of 200 were not asked.",),
    )
