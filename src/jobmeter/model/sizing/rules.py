"""What a request is made of, in words: by the rule that made the figure, so that words and figure agree."""

from collections.abc import Iterable
from operator import itemgetter

from jobmeter.model.quantities import format_bytes, format_cores
from jobmeter.model.sizing.figure import (
    KILL_FACTOR,
    LEARNING_FACTOR,
    LEAST_CPU_CORES,
    LEAST_MEMORY_BYTES,
    Aggregate,
    CpuRule,
    MemoryRule,
    cores_wanted,
    memory_wanted,
)
from jobmeter.model.sizing.parameters import Parameters

_STATISTICS = {"peak": "peak", "avg": "average"}


def memory_rule(known: Iterable[Aggregate], parameters: Parameters) -> str:
    """``the highest need and 20 % to spare``: of the leg that asks for the most; empty where none is known."""
    legs = [(*wanted, each) for each in known if (wanted := memory_wanted(each, parameters))]
    if not legs:
        return ""
    _, rule, leg = max(legs, key=itemgetter(0))
    machine = format_bytes(leg.host_memory_bytes or 0)
    base = "the highest need"
    if leg.kill_unexplained:
        base = f"what was not enough ({format_bytes(leg.killed_at_bytes or 0)})"
    words: dict[MemoryRule, str] = {
        "need": _spared(base, parameters),
        "learning": f"{LEARNING_FACTOR:g} times {base}",
        "killed": f"{KILL_FACTOR:g} times {base}",
        "machine": f"all of the largest machine, {machine}",
        "observed": f"{base}, more than the largest machine has",
        "default": f"the default of {format_bytes(parameters.default_memory_bytes)}",
        "least": f"the least that is advised, {format_bytes(LEAST_MEMORY_BYTES)}",
    }
    return words[rule]


def cpu_rule(known: Iterable[Aggregate], parameters: Parameters) -> str:
    """``the highest p95 and 20 % to spare``; the same of CPU."""
    legs = [(*wanted, each) for each in known if (wanted := cores_wanted(each, parameters))]
    if not legs:
        return ""
    _, rule, leg = max(legs, key=itemgetter(0))
    statistic = _STATISTICS.get(parameters.cpu_percentile, parameters.cpu_percentile)
    words: dict[CpuRule, str] = {
        "statistic": _spared(f"the highest {statistic}", parameters),
        "peak": _spared("the highest peak", parameters),
        "machine": f"all CPUs of the largest machine, {leg.host_cpus}",
        "default": f"the default of {format_cores(parameters.default_cpu_cores)} cores",
        "least": f"the least that is advised, {LEAST_CPU_CORES:g}",
    }
    return words[rule]


def _spared(base: str, parameters: Parameters) -> str:
    spare = f"{parameters.buffer_percent:g} % to spare" if parameters.buffer_percent else "nothing to spare"
    return f"{base} and {spare}"
