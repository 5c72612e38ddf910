"""How the advice would have done: a walk forward through the runs, each judged by those before it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from jobmeter.model.sizing.answer import Backtest
from jobmeter.model.sizing.figure import Figure
from jobmeter.model.sizing.observation import ContainerUse, Observation, in_order
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.window import Number, Walk, cores_needed


class Request(Struct, frozen=True):
    """What a container requests today; None where that is not known."""

    memory_bytes: int | None = None
    cpu_cores: float | None = None


def requests_today(observations: Sequence[Observation]) -> dict[str, Request]:
    """What the newest run that had a container requested for it; a limit alone is a request, as in Kubernetes."""
    today: dict[str, Request] = {}
    for run in in_order(observations):
        for use in run.containers:
            today[use.name] = Request(
                _requested(use.memory_request_bytes, use.memory_limit_bytes),
                _requested(use.cpu_request_cores, use.cpu_limit_cores),
            )
    return today


def _requested(request: Number | None, limit: Number | str | None) -> Number | None:
    if request is not None:
        return request
    return None if isinstance(limit, str) else limit


def backtest(
    observations: Sequence[Observation],
    parameters: Parameters,
    today: Mapping[str, Request] | None = None,
) -> Backtest:
    """Judge each run by the advice that those before it give, if they have a clean run of one of its containers.

    ``today`` is what the containers request now, without it what the newest run requested. A run that was killed
    says only that its limit was not enough: with a higher one it counts as not killed.
    """
    requests = requests_today(observations) if today is None else today
    walk = Walk(parameters)
    judged = _Judgement()
    for run in in_order(observations):
        advised = [(use, figure) for use in run.containers if (figure := walk.proven(use.name))]
        if advised:
            judged.add(run, advised, requests)
        walk.add(run)
    return judged.result()


def would_be_killed(use: ContainerUse, figure: Figure) -> bool:
    """More was needed than the limit allows, or the limit is one that was not enough."""
    if figure.limit_bytes is None:
        return False
    if use.killed_at_bytes is not None and use.killed_at_bytes >= figure.limit_bytes:
        return True
    return use.memory_need_bytes is not None and use.memory_need_bytes > figure.limit_bytes


def would_be_throttled(run: Observation, use: ContainerUse, figure: Figure) -> bool:
    """Its peak, with what a limit withheld, is above the limit advised."""
    peak = cores_needed(run, use, "peak")
    return figure.limit_cores is not None and peak is not None and peak > figure.limit_cores


class _Judgement:
    def __init__(self) -> None:
        self._runs = self._killed = self._throttled = 0
        self._byte_seconds: float | None = None
        self._core_seconds: float | None = None

    def add(
        self,
        run: Observation,
        advised: Sequence[tuple[ContainerUse, Figure]],
        today: Mapping[str, Request],
    ) -> None:
        self._runs += 1
        self._killed += any(would_be_killed(*each) for each in advised)
        self._throttled += any(would_be_throttled(run, *each) for each in advised)
        for use, figure in advised:
            request = today.get(use.name)
            if request is None:
                continue
            if request.memory_bytes is not None and figure.request_bytes is not None:
                saved_bytes = request.memory_bytes - figure.request_bytes
                self._byte_seconds = (self._byte_seconds or 0.0) + saved_bytes * run.duration_seconds
            if request.cpu_cores is not None and figure.request_cores is not None:
                saved_cores = request.cpu_cores - figure.request_cores
                self._core_seconds = (self._core_seconds or 0.0) + saved_cores * run.duration_seconds

    def result(self) -> Backtest:
        return Backtest(
            runs=self._runs,
            would_be_killed=self._killed,
            would_be_throttled=self._throttled,
            saved_memory_byte_seconds=self._byte_seconds,
            saved_core_seconds=self._core_seconds,
        )
