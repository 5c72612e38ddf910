"""What the advice for one container rests on: figures, and sentences that say what they mean."""

from collections.abc import Iterator, Mapping, Sequence

from jobmeter.model.quantities import format_bytes, format_cores
from jobmeter.model.sizing.answer import Evidence
from jobmeter.model.sizing.figure import Aggregate, largest
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.rules import cpu_rule, memory_rule
from jobmeter.model.sizing.window import cores_needed, is_clean
from jobmeter.model.statistics import median

Seen = Sequence[tuple[Observation, ContainerUse]]

# From here on page cache is worth a sentence, and withheld CPU too.
_CACHE_SHARE = 1.5
_WITHHELD_CORES = 0.05


def gather(
    name: str, seen: Seen, known: Mapping[str, Aggregate], parameters: Parameters, *, in_total: bool = True
) -> Evidence:
    """The evidence of a container that some runs had, the newest last; ``known`` by leg."""
    newest = seen[-1][1]
    needs = [use.memory_need_bytes for _, use in seen if use.memory_need_bytes is not None]
    throttled = [use.throttled_cores for _, use in seen if use.throttled_cores is not None]
    return Evidence(
        name=name,
        runs=len(seen),
        clean_runs=sum(is_clean(run, use) for run, use in seen),
        memory_need_bytes=max(needs, default=None),
        memory_need_median_bytes=round(median(needs)) if needs else None,
        memory_charged_peak_bytes=largest(*(use.memory_charged_peak_bytes for _, use in seen)),
        memory_unread_runs=len(seen) - len(needs),
        killed_runs=sum(use.killed_at_bytes is not None for _, use in seen),
        killed_at_bytes=largest(*(use.killed_at_bytes for _, use in seen)),
        cpu_cores=_highest(cores_needed(run, use, parameters.cpu_percentile) for run, use in seen),
        cpu_peak_cores=_highest(cores_needed(run, use, "peak") for run, use in seen),
        throttled_cores=max(throttled, default=None),
        memory_request_bytes=newest.memory_request_bytes,
        memory_limit_bytes=newest.memory_limit_bytes,
        cpu_request_cores=newest.cpu_request_cores,
        cpu_limit_cores=newest.cpu_limit_cores,
        memory_rule=memory_rule(known.values(), parameters),
        cpu_rule=cpu_rule(known.values(), parameters),
        in_total=in_total,
        notes=tuple(_notes(seen, list(known.values()), parameters)),
    )


def _highest(values: Iterator[float | None]) -> float | None:
    found = max((each for each in values if each is not None), default=None)
    return None if found is None else round(found, 3)


def _notes(seen: Seen, known: Sequence[Aggregate], parameters: Parameters) -> Iterator[str]:
    charged = largest(*(use.memory_charged_peak_bytes for _, use in seen))
    unread = sum(use.memory_need_bytes is None for _, use in seen)
    yield from memory_notes(known, charged, unread, len(seen), parameters)
    if any(use.memory_source == "rss" for _, use in seen):
        yield "Its memory is a sum of RSS: pages that processes share count for each."
    withheld = max((use.throttled_cores or 0.0 for _, use in seen), default=0.0)
    if withheld >= _WITHHELD_CORES:
        yield f"Its CPU limit withheld up to {format_cores(withheld)} cores; they are added to what it used."
    partial = sum(not run.cpu_complete for run, _ in seen)
    if partial:
        yield f"CPU use is a lower bound in {partial} of {len(seen)} runs."
    percentile = parameters.cpu_percentile
    short = sum(
        getattr(use.cpu_cores, percentile) is None and use.cpu_cores.avg is not None for _, use in seen
    )
    if short and percentile not in ("peak", "avg"):
        yield f"Too short for a {percentile}, so that the peak counts: {short} of {len(seen)} runs."


def memory_notes(
    known: Sequence[Aggregate],
    charged_peak_bytes: int | None,
    unread_runs: int,
    runs: int,
    parameters: Parameters,
) -> Iterator[str]:
    """What to know of the memory advised, by what is known in each leg; of ``runs`` some could not be read."""
    need = largest(*(each.observed_bytes for each in known))
    unclean = not all(each.clean_runs for each in known)
    if need is None:
        yield (
            "Its memory could not be read."
            if unclean
            else "Its memory could not be read; it is not in the total."
        )
    elif unread_runs:
        yield f"Its memory could not be read in {unread_runs} of {runs} runs: request at least this."
    if need is not None:
        yield from _kill_notes(known)
    if unclean:
        default = format_bytes(parameters.default_memory_bytes)
        yield f"Without a clean run no less than the default of {default} is advised."
    if charged_peak_bytes is not None and need is not None and charged_peak_bytes >= _CACHE_SHARE * need:
        charged = format_bytes(charged_peak_bytes)
        yield f"The kernel charged it up to {charged}, page cache included: that is not a need."


def _kill_notes(known: Sequence[Aggregate]) -> Iterator[str]:
    killed = [each for each in known if each.killed_at_bytes is not None]
    if not killed:
        return
    bound = format_bytes(max(each.killed_at_bytes or 0 for each in killed))
    if any(each.kill_unexplained for each in killed):
        yield f"Killed for want of memory at {bound}, and no run shows how much is enough."
    else:
        yield f"Killed for want of memory at {bound}; other runs show that it needs more."
