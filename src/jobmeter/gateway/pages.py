"""The routes of the metrics listener: series, health, what runs now, and draining."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jobmeter.gateway.figures.exposition import CONTENT_TYPE, Exposition, written
from jobmeter.gateway.figures.runner import Running
from jobmeter.gateway.figures.runners import Runners, short_name
from jobmeter.gateway.port import STILL_ASKED, Front, RunnerState
from jobmeter.model.job import Job
from jobmeter.ops.health import Health
from jobmeter.ops.jobs import jobs_route, lines_response
from jobmeter.ops.log import Notices
from jobmeter.ops.pprof.routes import Pprof
from jobmeter.ops.problems import NotFound, Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of

_BROWSERS_HEADERS = frozenset(("origin", "sec-fetch-site"))
Drains = Literal["token", "machine", "nobody"]
_DRAIN_PARAMETERS = (
    Parameter(
        "runner", "query", str, "The runner, by the name that its series have; without it all that are there."
    ),
    Parameter("on", "query", bool, "`false` lets it have jobs again."),
)
_INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>jobmeter gateway</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }</style>
<h1>jobmeter gateway</h1>
<p>Between runners and their forges.</p>
<ul>
<li><a href="metrics">/metrics</a>: the series of all runners; /metrics/NAME: those of one
<li><a href="readyz">/readyz</a>, <a href="healthz">/healthz</a>: its health
<li><a href="debug/runners/list">/debug/runners/list</a>, <a href="debug/jobs/list">/debug/jobs/list</a>: who is there,
what they work on
<li><a href="debug/pprof/">/debug/pprof/</a>: its profiles
</ul>
</html>
"""


class Drained(Struct, omit_defaults=True):
    """What a request to drain has done; ``note`` is a sentence on what may come even so."""

    runners: list[str]
    draining: bool
    note: str | None = None


class Pages:
    """``drains`` says who may: who has the push token, or without one who is on this machine, or nobody."""

    def __init__(
        self,
        runners: Runners,
        exposition: Exposition,
        registry: CollectorRegistry,
        fronts: Mapping[str, Front],
        health: Health,
        log: Notices,
        *,
        drains: Drains,
    ) -> None:
        self._runners = runners
        self._exposition = exposition
        self._registry = registry
        self._fronts = fronts
        self._health = health
        self._log = log
        self._drains = drains

    def routes(self) -> tuple[Route, ...]:
        """The table of them."""
        text = Content(None, "The text format of Prometheus.", "text/plain")
        lines = Content(None, "Lines of key=value.", "text/plain")
        return (
            Route("GET", "/", endpoint(_index), "open", "What there is"),
            Route("GET", "/metrics", endpoint(self._metrics), "read", "All runners, and the gateway itself",
                  answers={200: text}),
            Route("GET", "/metrics/{name}", endpoint(self._metrics_of), "read",
                  "One runner, labelled as its own program would", answers={200: text}, problems=(404,)),
            *self._health.routes("Whether forges can be asked for jobs"),
            jobs_route(RunningJobs(self._runners)),
            Route("GET", "/debug/runners/list", endpoint(self._list), "debug", "Who is there, a runner a line",
                  answers={200: lines}),
            Route("POST", "/drain", endpoint(self._drain), "push", "Give a runner no more jobs",
                  _DRAIN_PARAMETERS, answers={200: Content(Drained, "Whom it concerns.")}, problems=(400, 404)),
            *Pprof().routes(),
        )  # fmt: skip

    async def _metrics(self, _: Request) -> Response:
        return await self._written(self._exposition.families(), self._registry)

    async def _metrics_of(self, request: Request) -> Response:
        name = request.path_params["name"]
        families = self._exposition.families_of(name)
        if families is None:
            raise NotFound(f"There is no runner {name[:100]!r}; /metrics has those that there are.")
        return await self._written(families)

    async def _written(
        self, families: Sequence[Metric], registry: CollectorRegistry | None = None
    ) -> Response:
        """Families are values that another thread may write; a registry collects, so it stays in this one."""
        own = b"" if registry is None else generate_latest(registry)
        return Response(
            await asyncio.to_thread(written, families) + own, headers={"Content-Type": CONTENT_TYPE}
        )

    async def _list(self, _: Request) -> Response:
        names = {(figures.forge, figures.key): name for name, figures in self._runners.shown().items()}
        return lines_response(
            _described(forge, runner, names.get((forge, runner.key)) or runner.name or short_name(runner.key))
            for forge, front in self._fronts.items()
            for runner in front.standing()
        )

    async def _drain(self, request: Request) -> Response:
        self._check_who_drains(request)
        query = query_of(request.query_params, _DRAIN_PARAMETERS)
        on = _switch(query.get("on", "true"))
        names = {name: (figures.forge, figures.key) for name, figures in self._runners.shown().items()}
        name = query.get("runner")
        if name is not None and name not in names:
            listed = ", ".join(names) or "none yet"
            raise NotFound(f"There is no runner {name[:100]!r}; there are {listed[:1000]}.")
        drained = [one for one in ([name] if name else names) if self._drained(*names[one], on)]
        if name is not None and not drained:
            raise NotFound(f"The runner {name[:100]!r} has gone.")
        said = "these runners get no more jobs" if on else "these runners get jobs again"
        asks = request.client.host if request.client is not None else None
        self._log.info(said, runners=drained, client=asks)
        note = self._still_asked([one for one in drained if self._is_asked(*names[one])]) if on else None
        return Response(msgspec.json.encode(Drained(drained, on, note)), media_type="application/json")

    def _is_asked(self, forge: str, key: str) -> bool:
        """Whether the forge is asked for this runner now: to break that off could lose a job."""
        front = self._fronts.get(forge)
        return front is not None and any(
            runner.key == key and runner.standing == "fetching" for runner in front.standing()
        )

    def _still_asked(self, names: list[str]) -> str | None:
        if not names:
            return None
        self._log.info(STILL_ASKED, runners=names)
        return f"Of {', '.join(names)}: {STILL_ASKED}."

    def _drained(self, forge: str, key: str, on: bool) -> bool:
        front = self._fronts.get(forge)
        return front is not None and bool(front.drain(key, on))

    def _check_who_drains(self, request: Request) -> None:
        """A page of another site can make a browser send this too; it cannot send a token with it."""
        if self._drains == "nobody":
            raise Problem(
                403, "Draining needs a push token beyond a loopback address, and this daemon has none."
            )
        if self._drains == "machine" and not _BROWSERS_HEADERS.isdisjoint(request.headers):
            raise Problem(403, "A browser may drain with a push token only, and this daemon has none.")


class RunningJobs:
    """The jobs that the runners have, for a list."""

    def __init__(self, runners: Runners, now: Callable[[], float] = time.time) -> None:
        self._runners = runners
        self._now = now

    async def jobs(self) -> Iterable[Mapping[str, str]]:
        """Of each its page at the forge, where it is and since when, in the order of the runners."""
        return list(self._jobs())

    def _jobs(self) -> Iterator[Mapping[str, str]]:
        for name, figures in self._runners.shown().items():
            for task_id, task in figures.running.items():
                job = task.job or Job()
                known = {
                    "url": _address(job, task_id),
                    "state": task.state or ("finished" if task.closing else "running"),
                    "stage": task.stage,
                    "executor_stage": task.executor_stage,
                    "duration": self._duration(task),
                    "runner": name,
                    "forge": job.forge,
                    "repository": job.repository,
                    "workflow": job.workflow,
                    "job": job.job,
                    "run_id": job.run_id,
                    "task_id": task_id,
                }
                yield {key: value for key, value in known.items() if value}

    def _duration(self, task: Running) -> str:
        return "" if task.at is None else f"{max(0.0, self._now() - task.at):.0f}s"


def _address(job: Job, task_id: str) -> str:
    """Where people look at it, as near as is known: Forgejo and Gitea find a run by a number that no task tells."""
    if not (job.server_url and job.repository):
        return ""
    repository = f"{job.server_url.rstrip('/')}/{job.repository}"
    return f"{repository}/-/jobs/{task_id}" if job.forge == "gitlab" else repository


def _described(forge: str, runner: RunnerState, name: str) -> dict[str, str]:
    known = {
        "runner": name,
        "forge": forge,
        "standing": runner.standing,
        "jobs": str(len(runner.tasks)),
        "capacity": "" if runner.capacity is None else str(runner.capacity),
        "draining": "true" if runner.draining else "",
        "silent": "" if runner.silent_seconds is None else f"{runner.silent_seconds:.0f}s",
        "trouble": runner.unregistered or runner.trouble or "",
    }
    return {key: value for key, value in known.items() if value}


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise Problem(400, f"The parameter on is {text[:40]!r}; accepted are true and false.")
    return text == "true"


async def _index(_: Request) -> Response:
    return HTMLResponse(_INDEX)
