"""The routes below `/debug/pprof/`: one profile at a time takes its time, each for at most a minute."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, NamedTuple

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive

from jobmeter.ops.application import Disconnected
from jobmeter.ops.pprof import memory
from jobmeter.ops.pprof.arguments import masked
from jobmeter.ops.pprof.index import index_page
from jobmeter.ops.pprof.profile import Profile, encode
from jobmeter.ops.pprof.record import Record, Timeline, Totals
from jobmeter.ops.pprof.running import Snapshot
from jobmeter.ops.pprof.sampling import LONGEST_NS, PERIOD_NS, Sampling, SamplingError
from jobmeter.ops.pprof.worker import in_thread
from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of

ROOT = "/debug/pprof/"
MAX_SECONDS = 60.0
_SECONDS = Parameter(
    "seconds", "query", Annotated[float, Meta(gt=0, le=MAX_SECONDS)], "How long to look, at most a minute."
)
_DEBUG = Parameter("debug", "query", Annotated[int, Meta(ge=0, le=2)], "0: profile.proto, 1 and 2: as text.")
_COLLECT = Parameter("gc", "query", Annotated[int, Meta(ge=0, le=1)], "1: collect garbage before.")
_PROFILE = {200: Content(None, "A gzipped profile.proto.", "application/octet-stream")}
_TEXT = {200: Content(None, "Text.", "text/plain")}
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_ABSENT = {
    "block": "Python does not record how long threads wait for locks and channels, so there is no profile of it; "
    "the wall time of `profile` shows where they wait.",
    "mutex": "Python does not record who holds up others at a lock, so there is no profile of it; "
    "the wall time of `profile` shows where threads wait.",
    "threadcreate": "Python does not record where its threads were started, so there is no profile of it; "
    "`goroutine` shows all threads.",
}


class _Timed(NamedTuple):
    """A profile that takes its time. ``take`` is given the seconds, the parameters, and what ends it before."""

    name: str
    seconds: float
    summary: str
    take: Callable[[float, dict[str, str], asyncio.Future[None]], Awaitable[Profile]]
    parameters: tuple[Parameter, ...] = (_SECONDS,)


class Pprof:
    """The profiles of this process, and which of them is being taken."""

    def __init__(self) -> None:
        self._taking: str | None = None

    def routes(self) -> tuple[Route, ...]:
        """All of them need who may see the inside of the process."""
        timed = tuple(
            self._route(
                one.name, partial(self._timed, one), one.summary, one.parameters, _PROFILE, (400, 409, 429)
            )
            for one in _TIMED
        )
        absent = tuple(
            self._route(name, _absent, "Not there: the answer says why", (_SECONDS, _DEBUG))
            for name in _ABSENT
        )
        return (
            Route("GET", ROOT, endpoint(_index), "debug", "The list of profiles", challenge="Basic"),
            self._route("", _to_index, "To the list of profiles"),
            *timed,
            self._route(
                "goroutine", _goroutine, "The stacks of all threads, and of all tasks of the event loop",
                (_DEBUG,), _PROFILE, (400,),
            ),
            self._route("cmdline", _cmdline, "The command line, without what is secret", answers=_TEXT),
            self._route("symbol", _symbol, "No names of addresses: profiles hold them", answers=_TEXT),
            self._route("symbol", _symbol, "The same", answers=_TEXT, method="POST"),
            *absent,
        )  # fmt: skip

    def _route(
        self,
        name: str,
        function: Callable[[Request], Awaitable[Response]],
        summary: str,
        parameters: tuple[Parameter, ...] = (),
        answers: dict[int, Content] | None = None,
        problems: tuple[int, ...] = (),
        method: str = "GET",
    ) -> Route:
        return Route(
            method, ROOT + name if name else ROOT.removesuffix("/"), endpoint(function), "debug", summary,
            parameters, answers=answers or {}, problems=problems if answers else (404,),
        )  # fmt: skip

    async def _timed(self, one: _Timed, request: Request) -> Response:
        query = query_of(request.query_params, one.parameters)
        seconds = _seconds(query, one.seconds)
        with self._turn(one.name, seconds):
            gone = asyncio.ensure_future(_gone(request.receive))
            try:
                profile = await one.take(seconds, query, gone)
                if gone.done():
                    raise Disconnected
                return _file(one.name, await in_thread(lambda: encode(profile)))
            finally:
                gone.cancel()

    @contextmanager
    def _turn(self, name: str, seconds: float) -> Iterator[None]:
        if self._taking is not None:
            raise Problem(
                429,
                f"One profile is taken at a time, and {self._taking} is being taken; try again when it is done.",
                headers={"Retry-After": "5"},
            )
        self._taking = name
        try:
            yield
        finally:
            self._taking = None


async def _sampled(
    record: type[Record], longest_ns: int, seconds: float, _: dict[str, str], gone: asyncio.Future[None]
) -> Profile:
    sampling = Sampling(record(), longest_ns)
    try:
        await sampling.run(seconds, gone)
    except SamplingError as error:
        raise Problem(409, str(error)) from None
    return await in_thread(sampling.profile)


async def _heap(seconds: float, query: dict[str, str], gone: asyncio.Future[None]) -> Profile:
    collect = _number(query, _COLLECT, 1) == 1
    return await _stoppable(lambda stop: memory.heap(seconds, stop, collect=collect), gone)


async def _allocs(seconds: float, _: dict[str, str], gone: asyncio.Future[None]) -> Profile:
    try:
        return await _stoppable(lambda stop: memory.allocs(seconds, stop), gone)
    except memory.TracingError as error:
        raise Problem(409, str(error)) from None


async def _stoppable(take: Callable[[threading.Event], Profile], gone: asyncio.Future[None]) -> Profile:
    stop = threading.Event()

    def end(_: object = None) -> None:
        stop.set()

    gone.add_done_callback(end)
    try:
        return await in_thread(lambda: take(stop), stop)
    finally:
        gone.remove_done_callback(end)


_TIMED = (
    _Timed(
        "profile",
        30.0,
        "CPU and wall time of all threads, sampled 100 times a second",
        partial(_sampled, Totals, LONGEST_NS),
    ),
    _Timed("trace", 1.0, "The same, in the order of time", partial(_sampled, Timeline, PERIOD_NS)),
    _Timed("heap", 5.0, "Memory in use that was asked for in this time", _heap, (_SECONDS, _COLLECT)),
    _Timed("allocs", 5.0, "Memory asked for in this time, a lower bound", _allocs),
)


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _goroutine(request: Request) -> Response:
    level = _number(query_of(request.query_params, (_DEBUG,)), _DEBUG, 2)
    snapshot = Snapshot()
    if level == 0:
        return _file("goroutine", await in_thread(lambda: encode(snapshot.profile())))
    text = await in_thread(snapshot.grouped if level == 1 else snapshot.listed)
    return PlainTextResponse(text.encode(errors="replace"), headers=_HEADERS)


async def _cmdline(request: Request) -> Response:
    query_of(request.query_params, ())
    return PlainTextResponse("\0".join(masked(sys.orig_argv)).encode(errors="replace"), headers=_HEADERS)


async def _symbol(request: Request) -> Response:
    return PlainTextResponse("num_symbols: 0\n", headers=_HEADERS)


async def _absent(request: Request) -> Response:
    raise NotFound(_ABSENT[request.url.path.rpartition("/")[2]])


async def _to_index(request: Request) -> Response:
    return RedirectResponse("pprof/", 308)


async def _index(request: Request) -> Response:
    query_of(request.query_params, ())
    entries = [(one.name, f"{one.name}?seconds={one.seconds:g}", one.summary + ".") for one in _TIMED]
    for level, said in enumerate(("profile.proto", "grouped, as text", "one by one, as text")):
        entries.append(("goroutine", f"goroutine?debug={level}", f"Stacks of all threads and tasks: {said}."))
    entries.append(("cmdline", "cmdline", "The command line, without what is secret."))
    entries += ((name, name, said) for name, said in _ABSENT.items())
    return HTMLResponse(index_page(" ".join(masked(sys.orig_argv)), entries), headers=_HEADERS)


def _file(name: str, body: bytes) -> Response:
    headers = _HEADERS | {"Content-Disposition": f'attachment; filename="{name}.pb.gz"'}
    return Response(body, headers=headers, media_type="application/octet-stream")


def _seconds(query: dict[str, str], default: float) -> float:
    text = query.get("seconds")
    if text is None:
        return default
    whole, point, part = text.partition(".")
    plain = text.isascii() and whole.isdecimal() and (part.isdecimal() or not point) and len(text) <= 12
    if not plain or not 0 < float(text) <= MAX_SECONDS:
        raise Problem(
            400,
            f"The parameter seconds is {text[:60]!r}; accepted is a number above 0 and up to {MAX_SECONDS:g}.",
        )
    return float(text)


def _number(query: dict[str, str], parameter: Parameter, most: int) -> int:
    text = query.get(parameter.name, "0")
    if text not in map(str, range(most + 1)):
        raise Problem(
            400, f"The parameter {parameter.name} is {text[:60]!r}; accepted is a number from 0 to {most}."
        )
    return int(text)
