"""Asks all queries of one job, some at once, and makes evidence of what comes. Nothing here raises for a query."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

from jobmeter import __version__
from jobmeter.model.evidence.bounds import MAX_POINTS, MAX_QUERIES, MAX_SENTENCES, MAX_TEXT
from jobmeter.model.evidence.document import Evidence, QueryAnswer, Source, State
from jobmeter.model.job import Job
from jobmeter.model.summarize import rfc3339_of
from jobmeter.referee.breaker import Breaker
from jobmeter.referee.fitting import fitted
from jobmeter.referee.options import RefereeOptions
from jobmeter.referee.problems import (
    answer_problems,
    clock_problems,
    plan_problems,
    query_problems,
    time_problems,
)
from jobmeter.referee.prometheus import Prometheus, Room, Unanswered
from jobmeter.referee.queries import NamedQuery, Terms, expand, window_seconds
from jobmeter.referee.reading import Reading, Unreadable, joined, read
from jobmeter.referee.spans import Part, Plan, plan

_LARGE_BYTES = 256 * 1024


class Occasion(NamedTuple):
    """One job that is over; times in seconds since 1970. ``selector`` is matchers without braces."""

    start: float
    end: float
    selector: str
    job: Job = Job()
    run_uid: str | None = None
    task: str | None = None


def most_points(options: RefereeOptions) -> int:
    """Of one series: what is configured, and the share that each query has of a document."""
    queries = len(options.queries[:MAX_QUERIES])
    return max(min(options.max_points, MAX_POINTS // max(queries, 1)), 2)


def closing_plan(options: RefereeOptions, occasion: Occasion) -> Plan:
    """When the whole job can be asked for: its last point comes after the scrape that is the next after its end."""
    scrape = options.scrape_interval
    return _planned(options, occasion, until=max(occasion.end, occasion.start) + scrape, slack_seconds=scrape)


def _planned(options: RefereeOptions, occasion: Occasion, **tail: float) -> Plan:
    return plan(
        occasion.start,
        occasion.end,
        options.interval,
        max_points=most_points(options),
        max_range_seconds=options.max_range,
        **tail,
    )


class Referee:
    """Of one Prometheus; to be used within ``async with``. ``breaker`` is shared by who asks for many jobs.

    ``clock`` is the time of day, in seconds since 1970.
    """

    def __init__(
        self,
        options: RefereeOptions,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._queries = options.queries[:MAX_QUERIES]
        self._breaker = breaker or Breaker(time.monotonic)
        self._clock = clock
        self._prometheus = Prometheus(options.prometheus)
        self._at_once = asyncio.Semaphore(options.parallel)

    async def __aenter__(self) -> Self:
        await self._prometheus.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._prometheus.__aexit__(kind, error, trace)

    async def ask(self, occasion: Occasion, budget_seconds: float | None = None) -> Evidence:
        """What Prometheus saw of it. What has not come within the budget is left, and said."""
        asked_at = self._clock()
        asking = _Asking(self._options, self._queries, occasion, self._prometheus, asked_at, self._at_once)
        wait = self._breaker.admit()
        if wait is not None:
            asking.skip()
            return self._evidence(asking, asked_at, [_skipped(wait)])
        try:
            problems = await asking.all(budget_seconds)
        finally:
            self._breaker.settle(answered=asking.heard if asking.begun else None)
        return self._evidence(asking, asked_at, problems)

    def _evidence(self, asking: "_Asking", asked_at: float, problems: Sequence[str]) -> Evidence:
        options, occasion, answers = self._options, asking.occasion, asking.answers()
        document = Evidence(
            made_by=__version__,
            job=occasion.job,
            run_uid=occasion.run_uid,
            task=occasion.task,
            start_time=rfc3339_of(occasion.start),
            end_time=rfc3339_of(max(occasion.end, occasion.start)),
            asked_time=rfc3339_of(asked_at),
            source=Source(address=self._prometheus.address),
            selector=occasion.selector[:MAX_TEXT],
            interval_seconds=options.interval,
            step_seconds=asking.plan.step_seconds,
            tail_open=asking.plan.last < asking.closing.last,
            tail_seconds=round(asking.closing.last - max(occasion.end, occasion.start), 3),
            queries=answers,
            problems=(*problems, *self._notes(asking, asked_at, answers))[:MAX_SENTENCES],
        )
        return fitted(document)

    def _notes(self, asking: "_Asking", asked_at: float, answers: Sequence[QueryAnswer]) -> Iterator[str]:
        """What else concerns all of it."""
        options, occasion = self._options, asking.occasion
        yield from clock_problems(self._prometheus.clock_ahead_seconds)
        yield from time_problems(occasion.start, occasion.end, asked_at)
        yield from plan_problems(asking.plan, options, asking.max_points)
        yield from query_problems(options)
        length = max(occasion.end - occasion.start, 0.0)
        yield from answer_problems(answers, occasion.selector, length, options.scrape_interval)


class _Asking:
    """The questions of one job, and what came of them so far."""

    def __init__(
        self,
        options: RefereeOptions,
        queries: Sequence[NamedQuery],
        occasion: Occasion,
        prometheus: Prometheus,
        asked_at: float,
        at_once: asyncio.Semaphore,
    ) -> None:
        self.occasion = occasion
        self.max_points = most_points(options)
        self.closing = closing_plan(options, occasion)
        self.plan = self.closing if self.closing.last <= asked_at else _planned(options, occasion)
        self.heard = False
        """Whether anybody was there to answer any of them."""
        self._queries = queries
        self._options = options
        self._prometheus = prometheus
        # A job that is shorter than the interval has its points closer, yet a rate needs no less time.
        self._terms = Terms(
            occasion.selector,
            max(self.plan.step_seconds, options.interval),
            occasion.end - occasion.start,
            options.scrape_interval,
        )
        self._share = MAX_POINTS // max(len(queries), 1)
        self._room = Room(options.max_bytes)
        self._at_once = at_once
        self._parts: list[list[Reading]] = [[] for _ in queries]
        self._reasons: list[str | None] = [
            "It was not asked, because the referee was stopped." for _ in queries
        ]
        self.begun = set[int]()
        self._nobody: str | None = None

    async def all(self, budget_seconds: float | None) -> list[str]:
        """Ask them all; returns what kept them from being answered together, a sentence each."""
        if not self._queries:
            self.heard = True
            return ["There is no query to ask."]
        if budget_seconds is not None:
            self._room.deadline = time.monotonic() + budget_seconds
        tasks = [asyncio.create_task(self._ask(number)) for number in range(len(self._queries))]
        try:
            _, late = await asyncio.wait(tasks, timeout=budget_seconds)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not late:
            return []
        for number, task in enumerate(tasks):
            if task in late:
                self._reasons[number] = (
                    "The time for all queries was over before it was answered."
                    if number in self.begun
                    else "It was not asked, because the time for all queries was over."
                )
        given = f"the {budget_seconds:g} s that they were given"
        return [f"{len(late)} of {len(tasks)} queries were not answered within {given}."]

    async def _ask(self, number: int) -> None:
        async with self._at_once:
            self.begun.add(number)
            self._reasons[number] = "The referee was stopped before it was answered."
            try:
                await self._ask_parts(number)
                self._reasons[number] = None
            except (Unanswered, Unreadable) as error:
                self._reasons[number] = str(error)
            except Exception as error:  # Whatever it is, it is one query's, and no job may fail by it.
                self._reasons[number] = f"The referee could not ask it: {type(error).__name__}."

    async def _ask_parts(self, number: int) -> None:
        """Raises Unanswered, Unreadable."""
        expression = expand(self._queries[number].text, self._terms)
        if len(expression) > MAX_TEXT:
            raise Unreadable(f"The query has {len(expression)} characters; at most {MAX_TEXT} are sent.")
        for part in self.plan.parts:
            body = await self._answer(expression, part)
            reading = partial(read, body, max_series=self._options.max_series, max_points=self._share)
            # Who asks may have others to serve meanwhile.
            large = len(body) > _LARGE_BYTES
            self._parts[number].append(await asyncio.to_thread(reading) if large else reading())

    async def _answer(self, expression: str, part: Part) -> bytes:
        """Raises Unanswered; once it is known that nobody is there nobody is asked."""
        if self._nobody is not None and not self.heard:
            raise Unanswered(f"It was not asked, because {self._nobody}")
        try:
            body = await self._prometheus.query_range(
                expression, part.start, part.end, self.plan.step_seconds, self._room
            )
        except Unanswered as error:
            self.heard = self.heard or error.kind == "refused"
            if error.kind == "away":
                self._nobody = str(error)
            raise
        self.heard = True
        return body

    def skip(self) -> None:
        """Ask nothing, as nobody was there the last times."""
        self._reasons = [
            "It was not asked, because Prometheus was away the last times." for _ in self._queries
        ]

    def answers(self) -> tuple[QueryAnswer, ...]:
        """What came of each, in their order."""
        return tuple(
            self._answer_of(query, parts, reason)
            for query, parts, reason in zip(self._queries, self._parts, self._reasons, strict=True)
        )

    def _answer_of(self, query: NamedQuery, parts: list[Reading], reason: str | None) -> QueryAnswer:
        limits = {"max_series": self._options.max_series, "max_points": self._share}
        found = joined(parts, **limits) if parts else Reading()
        if reason is not None and parts:
            reason = f"Of its {len(self.plan.parts)} parts {len(parts)} were answered. {reason}"
        reason = " ".join(filter(None, (reason, *_missing(found, limits)))) or None
        expression = expand(query.text, self._terms)[:MAX_TEXT]
        return QueryAnswer(
            name=query.name,
            query=query.text,
            expression=expression,
            step_seconds=self.plan.step_seconds,
            window_seconds=window_seconds(expression),
            state=_state(found, reason),
            reason=reason,
            warnings=found.warnings,
            series=found.series,
            series_left_out=found.series_left_out,
            points_left_out=found.points_left_out,
        )


def _state(found: Reading, reason: str | None) -> State:
    if reason is None:
        return "data" if found.series else "empty"
    return "partial" if found.series or found.partial or found.series_left_out else "failed"


def _missing(found: Reading, limits: Mapping[str, int]) -> Iterator[str]:
    """Why that is not all that the server has."""
    if found.partial:
        yield "The server says that it had not all of it."
    if found.series_left_out or found.points_left_out:
        yield (
            f"Left out are {found.series_left_out} series, {found.points_left_out} points: a query keeps "
            f"{limits['max_series']} series and {limits['max_points']} points, none of histograms or with very long "
            "labels."
        )


def _skipped(wait_seconds: float) -> str:
    again = f"in {wait_seconds:.0f} s" if wait_seconds else "when it is known to be back"
    return f"Prometheus was not asked: it was away the last times, and is tried again {again}."
