"""What a job should request, from the runs that were observed."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from jobmeter.model.sizing.answer import (
    About,
    Advice,
    ContainerAdvice,
    Cpu,
    Memory,
    Outlier,
    Total,
)
from jobmeter.model.sizing.backtest import Request, backtest
from jobmeter.model.sizing.evidence import gather
from jobmeter.model.sizing.figure import Figure, cpu_limit, memory_limit
from jobmeter.model.sizing.observation import ContainerUse, Observation, in_order
from jobmeter.model.sizing.outliers import high_outliers
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.phase import confidence
from jobmeter.model.sizing.strays import strays
from jobmeter.model.sizing.window import Walk, cores_needed, is_clean

_DEFAULT = Parameters()


def answer(
    observations: Sequence[Observation],
    parameters: Parameters = _DEFAULT,
    today: Mapping[str, Request] | None = None,
) -> Advice:
    """The advice with its evidence and its backtest over all runs given; ``today`` as in `backtest`."""
    advice = advise(observations, parameters)
    return replace(advice, backtest=backtest(observations, parameters, today))


def advise(observations: Sequence[Observation], parameters: Parameters = _DEFAULT) -> Advice:
    """The advice by the last runs of each leg, in whatever order they come.

    Observations of one leg give that leg's advice; those of all give the highest of the legs.
    """
    runs = _latest(in_order(observations), parameters.runs)
    walk = Walk(parameters)
    for run in runs:
        walk.add(run)
    uses = _by_container(runs)
    figures = {name: found for name in sorted(uses) if (found := walk.advised(name))}
    together = {tuple(use.name for use in run.containers) for run in runs}
    stray = strays(runs)
    evidence = tuple(
        gather(name, uses[name], walk.known(name), parameters, in_total=name not in stray) for name in figures
    )
    phase, reason = confidence(runs, walk, stray, parameters)
    return Advice(
        containers=containers_of(figures),
        total=total((names for names in together if stray.isdisjoint(names)), figures, parameters),
        meta=About(
            confidence_phase=phase,
            runs_analyzed=sum(_was_read(run) for run in runs),
            reason=reason,
            buffer_percent=parameters.buffer_percent,
            cpu_percentile=parameters.cpu_percentile,
            outliers=tuple(_outliers(uses, parameters)),
        ),
        evidence=evidence,
    )


def _latest(ordered: Sequence[Observation], count: int) -> list[Observation]:
    """The last runs of each leg, from the oldest to the newest."""
    taken: Counter[str] = Counter()
    latest: deque[Observation] = deque()
    for run in reversed(ordered):
        if taken[run.leg] < count:
            taken[run.leg] += 1
            latest.appendleft(run)
    return list(latest)


def _by_container(runs: Iterable[Observation]) -> dict[str, list[tuple[Observation, ContainerUse]]]:
    uses: dict[str, list[tuple[Observation, ContainerUse]]] = {}
    for run in runs:
        for use in run.containers:
            uses.setdefault(use.name, []).append((run, use))
    return uses


def _was_read(run: Observation) -> bool:
    return any(use.memory_need_bytes is not None or use.cpu_cores.avg is not None for use in run.containers)


def containers_of(figures: Mapping[str, Figure]) -> tuple[ContainerAdvice, ...]:
    """The advice for each container, by name."""
    return tuple(
        ContainerAdvice(name, Cpu(each.request_cores, each.limit_cores), Memory(*each[:2]))
        for name, each in sorted(figures.items())
    )


def total(
    together: Iterable[tuple[str, ...]], figures: Mapping[str, Figure], parameters: Parameters
) -> Total:
    """The highest sum over containers that ran ``together``: what never did is not added up.

    What is not known of a container is not in the sum; its evidence says so.
    """
    if not figures:
        memory, cores = parameters.default_memory_bytes, parameters.default_cpu_cores
        return Total(Cpu(cores, cpu_limit(cores)), Memory(memory, memory_limit(memory)))
    columns: list[list[float]] = [[], [], [], []]
    for names in set(together):
        for place, column in enumerate(columns):
            known = [part for name in names if (part := figures[name][place]) is not None]
            if known:
                column.append(sum(known))
    request_bytes, limit_bytes, request_cores, limit_cores = (max(each, default=None) for each in columns)
    return Total(
        Cpu(_hundredths(request_cores), _hundredths(limit_cores)),
        Memory(_whole(request_bytes), _whole(limit_bytes)),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _hundredths(cores: float | None) -> float | None:
    """Without the dust of adding binary floats: requests are hundredths."""
    return None if cores is None else round(cores, 2)


def _outliers(
    uses: Mapping[str, Sequence[tuple[Observation, ContainerUse]]], parameters: Parameters
) -> Iterator[Outlier]:
    """Within each leg and container, among the clean runs."""
    for name, seen in sorted(uses.items()):
        for leg in dict.fromkeys(run.leg for run, _ in seen):
            clean = [(run, use) for run, use in seen if run.leg == leg and is_clean(run, use)]
            for run, need, middle in _far([(run, use.memory_need_bytes) for run, use in clean]):
                yield Outlier(run.run_uid, name, "memory", need, middle, run.ref, run.end_time)
            percentile = parameters.cpu_percentile
            for run, cores, middle in _far([(run, cores_needed(run, use, percentile)) for run, use in clean]):
                told = (round(cores, 3), round(middle, 3), run.ref, run.end_time)
                yield Outlier(run.run_uid, name, "cpu", *told)


def _far(values: Sequence[tuple[Observation, float | None]]) -> Iterator[tuple[Observation, float, float]]:
    """The runs far above the others, with their value and the median."""
    known = [(run, value) for run, value in values if value is not None]
    if known:
        middle, far = high_outliers([value for _, value in known])
        yield from ((*known[place], middle) for place in far)
