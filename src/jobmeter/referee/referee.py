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
from jobmeter.referee.prometheus import Prometheus, Room, Unanswered
from jobmeter.referee.queries import NamedQuery, Terms, expand, repeated
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

    async def __aenter__(self) -> Self:
        await self._prometheus.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._prometheus.__aexit__(kind, error, trace)

    async def ask(self, occasion: Occasion, budget_seconds: float | None = None) -> Evidence:
        """What Prometheus saw of it. What has not come within the budget is left, and said."""
        asking = _Asking(self._options, self._queries, occasion, self._prometheus)
        asked_at = self._clock()
        wait = self._breaker.admit()
        if wait is not None:
            return self._evidence(asking, asked_at, [_skipped(wait)])
        try:
            problems = await asking.all(budget_seconds)
        finally:
            self._breaker.settle(answered=asking.heard)
        return self._evidence(asking, asked_at, problems)

    def _evidence(self, asking: "_Asking", asked_at: float, problems: Sequence[str]) -> Evidence:
        options, occasion = self._options, asking.occasion
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
            tail_open=occasion.end + options.scrape_interval > asked_at,
            tail_seconds=options.scrape_interval,
            queries=asking.answers(),
            problems=(*problems, *self._notes(asking, asked_at))[:MAX_SENTENCES],
        )
        return fitted(document)

    def _notes(self, asking: "_Asking", asked_at: float) -> Iterator[str]:
        """What else concerns all of it."""
        occasion, step = asking.occasion, asking.plan.step_seconds
        ahead = self._prometheus.clock_ahead_seconds
        if ahead is not None:
            yield (
                f"The clock of Prometheus is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this "
                "machine's: what it saw may belong to another time."
            )
        if occasion.end < occasion.start:
            yield "The job's end is before its start; its start was asked for."
        if occasion.end > asked_at:
            yield "The job's end was still to come when Prometheus was asked."
        if step > self._options.interval:
            yield (
                f"The job is long: its points are {step:g} s apart, not {self._options.interval:g} s, so that there "
                f"are no more than {self._options.max_points} of a series."
            )
        for name in repeated(self._queries):
            yield f"More than one query is called {name[:80]!r}."
        left_out = len(self._options.queries) - len(self._queries)
        if left_out:
            yield f"{left_out} queries above the limit of {MAX_QUERIES} were not asked."


class _Asking:
    """The questions of one job, and what came of them so far."""

    def __init__(
        self,
        options: RefereeOptions,
        queries: Sequence[NamedQuery],
        occasion: Occasion,
        prometheus: Prometheus,
    ) -> None:
        self.occasion = occasion
        self.plan: Plan = plan(
            occasion.start,
            occasion.end,
            options.interval,
            max_points=options.max_points,
            max_range_seconds=options.max_range,
        )
        self.heard = False
        """Whether anybody was there to answer any of them."""
        self._queries = queries
        self._options = options
        self._prometheus = prometheus
        self._terms = Terms(
            occasion.selector,
            self.plan.step_seconds,
            occasion.end - occasion.start,
            options.scrape_interval,
        )
        self._max_points = MAX_POINTS // max(len(queries), 1)
        self._room = Room(options.max_bytes)
        self._at_once = asyncio.Semaphore(options.parallel)
        self._parts: list[list[Reading]] = [[] for _ in queries]
        self._reasons: list[str | None] = ["It was not asked." for _ in queries]
        self._nobody: str | None = None

    async def all(self, budget_seconds: float | None) -> list[str]:
        """Ask them all; returns what kept them from being answered together, a sentence each."""
        if not self._queries:
            self.heard = True
            return ["There is no query to ask."]
        tasks = [asyncio.create_task(self._ask(number)) for number in range(len(self._queries))]
        try:
            _, late = await asyncio.wait(tasks, timeout=budget_seconds)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not late:
            return []
        given = f"the {budget_seconds:g} s that they were given"
        return [f"{len(late)} of {len(tasks)} queries were not answered within {given}."]

    async def _ask(self, number: int) -> None:
        async with self._at_once:
            self._reasons[number] = "The time for all queries was over before it was answered."
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
            reading = partial(read, body, max_series=self._options.max_series, max_points=self._max_points)
            # Who asks may have others to serve meanwhile.
            large = len(body) > _LARGE_BYTES
            self._parts[number].append(await asyncio.to_thread(reading) if large else reading())

    async def _answer(self, expression: str, part: Part) -> bytes:
        """Raises Unanswered; once it is known that nobody is there nobody is asked."""
        if self._nobody is not None and not self.heard:
            raise Unanswered(self._nobody)
        try:
            body = await self._prometheus.query_range(
                expression, part.start, part.end, self.plan.step_seconds, self._room
            )
        except Unanswered as error:
            self.heard = self.heard or not error.away
            self._nobody = str(error) if error.away else None
            raise
        self.heard = True
        return body

    def answers(self) -> tuple[QueryAnswer, ...]:
        """What came of each, in their order."""
        return tuple(
            self._answer_of(query, parts, reason)
            for query, parts, reason in zip(self._queries, self._parts, self._reasons, strict=True)
        )

    def _answer_of(self, query: NamedQuery, parts: list[Reading], reason: str | None) -> QueryAnswer:
        limits = {"max_series": self._options.max_series, "max_points": self._max_points}
        found = joined(parts, **limits) if parts else Reading()
        if reason is not None and parts:
            reason = f"Of its {len(self.plan.parts)} parts {len(parts)} were answered. {reason}"
        elif reason is None and found.partial:
            reason = "The server says that it had not all of it."
        return QueryAnswer(
            name=query.name,
            query=query.text,
            expression=expand(query.text, self._terms)[:MAX_TEXT],
            step_seconds=self.plan.step_seconds,
            state=_state(found, reason),
            reason=reason,
            warnings=(*found.warnings, *_left_out(found, limits))[:MAX_SENTENCES],
            series=found.series,
            series_left_out=found.series_left_out,
            points_left_out=found.points_left_out,
        )


def _state(found: Reading, reason: str | None) -> State:
    if reason is None:
        return "data" if found.series else "empty"
    return "partial" if found.series or found.partial else "failed"


def _left_out(found: Reading, limits: Mapping[str, int]) -> Iterator[str]:
    if found.series_left_out or found.points_left_out:
        yield (
            f"Left out are {found.series_left_out} series, {found.points_left_out} points: a query keeps "
            f"{limits['max_series']} series and {limits['max_points']} points."
        )


def _skipped(wait_seconds: float) -> str:
    again = f"in {wait_seconds:.0f} s" if wait_seconds else "when it is known to be back"
    return f"Prometheus was not asked: it was away the last times, and is tried again {again}."
