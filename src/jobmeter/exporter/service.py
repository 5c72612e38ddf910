"""The whole exporter: what it watches, the routes over it, and its life."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Protocol

from isal import isal_zlib
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jobmeter.exporter.figures import Figures
from jobmeter.exporter.sampler import Sampler
from jobmeter.exporter.scrapers import Asking
from jobmeter.ops.access import Tokens
from jobmeter.ops.application import Application
from jobmeter.ops.health import Health
from jobmeter.ops.jobs import Jobs, jobs_route
from jobmeter.ops.log import Log
from jobmeter.ops.pprof.routes import Pprof
from jobmeter.ops.routing import Content, Route, endpoint
from jobmeter.ops.runtime import runtime_observed

_GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + 15  # With the header of gzip; the largest window.
_MAX_WRITING = 2
_SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"
"""What Prometheus, and those who scrape as it does, send with each scrape."""
_GRACE_SECONDS = 5.0
"""One sample that fails is no reason to take the exporter out of service."""
_INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>jobmeter exporter</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }</style>
<h1>jobmeter exporter</h1>
<p>Every container of this host, for Prometheus.</p>
<ul>
<li><a href="metrics">/metrics</a>: the series
<li><a href="readyz">/readyz</a>, <a href="healthz">/healthz</a>: its health
<li><a href="debug/pprof/">/debug/pprof/</a>: its profiles
</ul>
</html>
"""

Page = Callable[[Asking, bool], Iterable[str]]
"""The series of all containers for one scraper: who it is, and whether it wants OpenMetrics."""


class Closing(Protocol):
    """Something to let go of at the end."""

    def close(self) -> object:
        """Give back what is held."""
        ...


class Exporter:
    """Answers scrapes while its ``life`` lasts.

    ``page`` writes what the ``sampler`` reads; ``held`` is closed once nothing is read any more.
    """

    def __init__(
        self,
        sampler: Sampler,
        page: Page,
        figures: Figures,
        tokens: Tokens,
        log: Log,
        jobs: Jobs,
        held: Sequence[Closing] = (),
    ) -> None:
        self._sampler = sampler
        self._page = page
        self._figures = figures
        self._held = held
        self._log = log
        self._jobs = jobs
        self.health = Health(self._trouble, _GRACE_SECONDS)
        # Of its own, as each thread that has written a page keeps memory for the next one.
        self._writers = ThreadPoolExecutor(_MAX_WRITING, "page")
        self.application = Application(self._routes(), tokens, log, answered=lambda route, status: None)

    def _routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/", endpoint(_index), "open", "What there is"),
            Route(
                "GET", "/metrics", endpoint(self._metrics), "read", "Every container, and the exporter itself",
                answers={200: Content(None, "The form that was asked for.", "text/plain")},
            ),
            *self.health.routes("Whether what it shows can be trusted"),
            jobs_route(self._jobs),
            *Pprof().routes(),
        )  # fmt: skip

    async def _trouble(self) -> str | None:
        return self._sampler.trouble()

    async def _metrics(self, request: Request) -> Response:
        """A scrape: of fresh values, in the form and coding that are asked for."""
        await self._sampler.fresh()
        return await asyncio.get_running_loop().run_in_executor(self._writers, self._answer, request)

    def _answer(self, request: Request) -> Response:
        begun = time.perf_counter()
        encoder, content_type = choose_encoder(request.headers.get("accept", ""))
        pieces = self._pieces(_scraper(request), "openmetrics" in content_type, encoder)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            pieces = _gzipped(pieces)
            headers["Content-Encoding"] = "gzip"
        body = b"".join(pieces)
        self._figures.scrape_seconds.observe(time.perf_counter() - begun)
        return Response(body, headers=headers)

    def _pieces(
        self, scraper: Asking, openmetrics: bool, encoder: Callable[[CollectorRegistry], bytes]
    ) -> Iterator[bytes]:
        """The containers, and when these are written what the exporter counts of itself."""
        for piece in self._page(scraper, openmetrics):
            yield piece.encode()
        yield encoder(self._figures.registry)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Begin to read; at the end let go of all that is held."""
        gc.freeze()  # What was imported stays; there is no need to look at it for garbage again and again.
        self._sampler.start()
        try:
            with runtime_observed(self._figures.registry):
                yield
        finally:
            self._writers.shutdown(wait=False, cancel_futures=True)
            if await asyncio.to_thread(self._sampler.close):
                for one in self._held:
                    one.close()
            else:
                self._log.warn("a reading does not come to its end; the exporter ends without it")


async def _index(_: Request) -> Response:
    return HTMLResponse(_INDEX)


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Piece by piece, so that the whole, twenty times as large, is never there."""
    packing = isal_zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    for piece in pieces:
        yield packing.compress(piece)
    yield packing.flush()


def _scraper(request: Request) -> Asking:
    """Who asks: two servers on one machine differ at least in what they call themselves."""
    host = request.client.host if request.client is not None else ""
    name = f"{host} {request.headers.get('user-agent', '')[:200]}"
    return Asking(name, keeps=_SCRAPE_TIMEOUT in request.headers)


def _takes_gzip(accepted: str) -> bool:
    """Whether ``Accept-Encoding`` (RFC 9110) has gzip, or anything, with a weight above 0."""
    weights: dict[str, float] = {}
    for item in accepted.lower().split(","):
        coding, _, parameter = item.partition(";")
        name, _, weight = parameter.strip().partition("=")
        try:
            weights[coding.strip()] = float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
