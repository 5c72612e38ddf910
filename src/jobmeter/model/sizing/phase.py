"""How sure the advice is, and why: said in words, since a number would pretend to know more."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from jobmeter.model.quantities import format_bytes, format_cores
from jobmeter.model.sizing.answer import Phase
from jobmeter.model.sizing.figure import CONFIDENT_RUNS, Aggregate
from jobmeter.model.sizing.observation import Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.strays import about_stray
from jobmeter.model.sizing.window import Walk, is_clean

_PHASES: tuple[Phase, ...] = ("unknown", "learning", "confident")
_CUT_SHORT = {"failed": "failed", "lost": "lost", "killed": "killed for want of memory"}


def confidence(
    runs: Sequence[Observation], walk: Walk, stray: Collection[str], parameters: Parameters
) -> tuple[Phase, str]:
    """The phase of the least known container of each leg's newest run, and the reason in sentences.

    Runs of ``stray`` containers, as `strays` finds them, are named and say no more.
    """
    usual = [run for run in runs if run.containers and run.containers[0].name not in stray]
    newest = {run.leg: run for run in usual}
    if not newest:
        return "unknown", nothing_observed(parameters)
    known = {
        (leg, use.name): walk.known(use.name)[leg] for leg, run in newest.items() for use in run.containers
    }
    phase = worst(known.values())
    seen = Counter(use.name for run in runs for use in run.containers if use.name in stray)
    about_strays = (about_stray(name, count) for name, count in sorted(seen.items()))
    sentences = [_counted(runs), *doubts(known), *about_strays]
    return phase, " ".join(sentences)


def nothing_observed(parameters: Parameters) -> str:
    """The reason where there is no run."""
    memory, cores = format_bytes(parameters.default_memory_bytes), format_cores(parameters.default_cpu_cores)
    return f"No run was observed; the default is {memory} and {cores} cores."


def worst(known: Iterable[Aggregate]) -> Phase:
    """The phase of the container that is known least; unknown without any."""
    return min((phase_of(each) for each in known), key=_PHASES.index, default="unknown")


def phase_of(known: Aggregate) -> Phase:
    """How well one container's need is known."""
    if not known.clean_runs:
        return "unknown"
    return "learning" if known.clean_runs < CONFIDENT_RUNS or known.kill_unexplained else "confident"


def _counted(runs: Sequence[Observation]) -> str:
    """``18 clean runs of 20; 1 failed, 1 lost: what they used is a lower bound.``"""
    clean = sum(any(is_clean(run, use) for use in run.containers) for run in runs)
    said = f"{clean} clean {'run' if clean == 1 else 'runs'} of {len(runs)}"
    short = Counter(run.outcome for run in runs if run.outcome != "ok")
    if not short:
        return f"{said}."
    parts = ", ".join(f"{count} {_CUT_SHORT[outcome]}" for outcome, count in sorted(short.items()))
    return f"{said}; {parts}: what these used is a lower bound."


def doubts(known: Mapping[tuple[str, str], Aggregate]) -> Iterator[str]:
    """By leg and container: which of them hold the phase down, and which legs there are."""
    legs = sorted({leg for leg, _ in known})
    for (leg, name), each in sorted(known.items()):
        where = f"{name} of {leg}" if len(legs) > 1 and leg else name
        if each.kill_unexplained:
            limit = format_bytes(each.killed_at_bytes or 0)
            yield f"{where} was killed for want of memory at {limit}, and no run shows how much is enough."
        if not each.clean_runs:
            yield f"No clean run of {where} is known."
        elif each.clean_runs < CONFIDENT_RUNS:
            count = "one clean run" if each.clean_runs == 1 else f"{each.clean_runs} clean runs"
            yield f"Only {count} of {where}, {CONFIDENT_RUNS} are needed to be confident."
    if len(legs) > 1:
        yield f"The highest of {len(legs)} legs: {'; '.join(leg or 'without a matrix' for leg in legs)}."
