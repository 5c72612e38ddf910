"""What a job should request by all its runs of a long time: as `advise`, from days that were merged."""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from jobmeter.model.quantities import format_bytes
from jobmeter.model.sizing.advise import containers_of, total
from jobmeter.model.sizing.answer import About, Advice, Evidence
from jobmeter.model.sizing.evidence import memory_notes
from jobmeter.model.sizing.figure import Aggregate, largest
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.period import MAX_NAMES, SHARED, Key, Parts, Period, joined, place_in, together
from jobmeter.model.sizing.phase import doubts, nothing_observed, worst
from jobmeter.model.sizing.rules import cpu_rule, memory_rule
from jobmeter.model.sizing.window import highest

_DEFAULT = Parameters()
_ABOUT_SHARED = (
    f"All containers beyond the {MAX_NAMES} names that are told apart, each counted as a run: the highest need of any. "
    "It is in the total once."
)


def advise_period(days: Mapping[str, Parts], parameters: Parameters = _DEFAULT) -> Advice:
    """The advice by every run of these days (UTC, ``2026-11-21``); ``parameters.runs`` says nothing here.

    Memory is never below the highest need of any of the days, so a heavy run of months ago still counts. What bound
    the runs and which of them are outliers is not kept by day, and there is no backtest.
    """
    legs = joined(days.values())
    known = {key: period.aggregate(parameters.cpu_percentile) for key, period in legs.items()}
    names = sorted({name for _, name in legs})
    figures = {
        name: highest([period.figure(parameters) for (_, other), period in legs.items() if other == name])
        for name in names
    }
    whole = {name: together(period for (_, other), period in legs.items() if other == name) for name in names}
    groups = [{place_in(legs, key) for key in keys} for keys in _newest(days)] or [set(legs)]
    newest = {place: known[place] for group in groups for place in group}
    summed = {name for _, name in newest}
    return Advice(
        containers=containers_of(figures),
        total=total([tuple({name for _, name in group}) for group in groups], figures, parameters),
        meta=About(
            confidence_phase=worst(newest.values()),
            runs_analyzed=max((period.runs for name, period in whole.items() if name != SHARED), default=0),
            reason=" ".join(_reason(days, whole, newest)) if legs else nothing_observed(parameters),
            buffer_percent=parameters.buffer_percent,
            cpu_percentile=parameters.cpu_percentile,
        ),
        evidence=tuple(
            replace(
                _evidence(
                    name,
                    whole[name],
                    [each for (_, other), each in known.items() if other == name],
                    parameters,
                ),
                in_total=name in summed,
            )
            for name in names
        ),
    )


def _newest(days: Mapping[str, Parts]) -> Iterator[set[Key]]:
    """For each leg the containers of its newest day; what legs share of a day is that of any."""
    legs: set[str] = set()
    for day in sorted(days, reverse=True):
        for leg in sorted({leg for leg, _ in days[day]} - legs - {SHARED}):
            legs.add(leg)
            yield {key for key in days[day] if key[0] in {SHARED, leg}}


def _reason(
    days: Mapping[str, Parts],
    whole: Mapping[str, Period],
    newest: Mapping[Key, Aggregate],
) -> Iterator[str]:
    dates = sorted(day for day, parts in days.items() if parts)
    yield f"All runs of {len(dates)} {'day' if len(dates) == 1 else 'days'} from {dates[0]} to {dates[-1]}."
    for name, period in whole.items():
        half, most = period.memory.quantile(0.5), period.memory.quantile(0.99)
        if half is not None and most is not None and name != SHARED:
            yield (
                f"{name}: half of {period.runs:,} runs needed up to {format_bytes(half)}, 99 % up to "
                f"{format_bytes(most)} (± 1 %)."
            )
    yield from doubts({key: each for key, each in newest.items() if key[1] != SHARED})
    for name in sorted(whole.keys() - {name for _, name in newest} - {SHARED}):
        last = max(day for day, parts in days.items() if any(other == name for _, other in parts))
        yield f"{name} was last seen on {last}, before the newest day of its leg, and is not in the total."


def _evidence(name: str, period: Period, known: list[Aggregate], parameters: Parameters) -> Evidence:
    median = period.memory.quantile(0.5)
    return Evidence(
        name=name,
        runs=period.runs,
        clean_runs=period.clean_runs,
        memory_need_bytes=largest(
            period.need_bytes, None if period.memory.most is None else int(period.memory.most)
        ),
        memory_need_median_bytes=None if median is None else round(median),
        memory_charged_peak_bytes=period.charged_peak_bytes,
        memory_unread_runs=period.runs - period.memory.count,
        killed_runs=period.killed_runs,
        killed_at_bytes=period.killed_at_bytes,
        cpu_cores=_rounded(period.cores.get(parameters.cpu_percentile)),
        cpu_peak_cores=_rounded(period.cores.get("peak")),
        throttled_cores=None,
        memory_request_bytes=None,
        memory_limit_bytes=None,
        cpu_request_cores=None,
        cpu_limit_cores=None,
        memory_rule=memory_rule(known, parameters),
        cpu_rule=cpu_rule(known, parameters),
        notes=(
            *([_ABOUT_SHARED] if name == SHARED else []),
            *memory_notes(
                known, period.charged_peak_bytes, period.runs - period.memory.count, period.runs, parameters
            ),
        ),
    )


def _rounded(cores: float | None) -> float | None:
    return None if cores is None else round(cores, 3)
