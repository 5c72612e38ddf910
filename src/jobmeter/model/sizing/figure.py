"""From what is known of a container to what it should request: one pure formula, and how figures are rounded."""

import math
from operator import itemgetter
from typing import Literal, NamedTuple

from jobmeter.model.sizing.parameters import Parameters

MIB = 2**20
# From so many clean runs on a need counts as known; before, it is multiplied.
CONFIDENT_RUNS = 3
LEARNING_FACTOR = 3.0
# After a kill that no later need explains, the limit that was not enough is multiplied.
KILL_FACTOR = 2.0
# Less than this a container runtime itself may need to start one.
LEAST_MEMORY_BYTES = 16 * MIB
LEAST_CPU_CORES = 0.01
_LIMIT_STEP_CORES = 0.5
# Binary floats: 1.1 * 10 must not be rounded up to the next step.
_TOLERANCE, _BYTE_DUST = 1e-9, 0.01


class Aggregate(NamedTuple):
    """What some runs of one container tell together; every part is a count or a maximum, so aggregates merge.

    ``need_bytes`` is the highest of runs in which it was not killed, whole or cut short; ``killed_at_bytes`` the
    highest that was not enough; ``cores`` the highest of the chosen statistic, ``peak_cores`` of the peaks.
    """

    clean_runs: int = 0
    need_bytes: int | None = None
    killed_at_bytes: int | None = None
    cores: float | None = None
    peak_cores: float | None = None
    host_cpus: int | None = None
    host_memory_bytes: int | None = None

    @property
    def observed_bytes(self) -> int | None:
        """What is known to be needed at least."""
        return largest(self.need_bytes, self.killed_at_bytes)

    @property
    def kill_unexplained(self) -> bool:
        """A kill with no need above it observed: how much would be enough is not known."""
        return self.killed_at_bytes is not None and (self.need_bytes or 0) <= self.killed_at_bytes


class Figure(NamedTuple):
    """What one container should request, and be limited to; None where nothing is known."""

    request_bytes: int | None
    limit_bytes: int | None
    request_cores: float | None
    limit_cores: float | None


MemoryRule = Literal["need", "learning", "killed", "machine", "observed", "default", "least"]
CpuRule = Literal["statistic", "peak", "machine", "default", "least"]
_amount = itemgetter(0)


def figure(known: Aggregate, parameters: Parameters) -> Figure:
    """The advice for one container; without a clean run at least the default."""
    memory, cores = memory_wanted(known, parameters), cores_wanted(known, parameters)
    request_bytes = None if memory is None else memory_request(memory[0])
    request_cores = None if cores is None else cpu_request(cores[0])
    return Figure(
        request_bytes,
        None if request_bytes is None else memory_limit(request_bytes),
        request_cores,
        None if request_cores is None else cpu_limit(max(request_cores, known.peak_cores or 0.0)),
    )


def memory_wanted(known: Aggregate, parameters: Parameters) -> tuple[float, MemoryRule] | None:
    """The bytes before they are rounded, and the rule they follow.

    Never below what was observed; beyond that no more than the largest machine has.
    """
    observed = known.observed_bytes
    default: tuple[float, MemoryRule] = parameters.default_memory_bytes, "default"
    if observed is None:
        return None if known.clean_runs else default
    wanted: tuple[float, MemoryRule] = observed * parameters.factor, "need"
    if known.clean_runs < CONFIDENT_RUNS:
        wanted = max(wanted, (observed * LEARNING_FACTOR, "learning"), key=_amount)
    if known.kill_unexplained and known.killed_at_bytes is not None:
        wanted = max(wanted, (known.killed_at_bytes * KILL_FACTOR, "killed"), key=_amount)
    if known.host_memory_bytes is not None:
        wanted = min(wanted, (known.host_memory_bytes, "machine"), key=_amount)
    wanted = max(wanted, (observed, "observed"), key=_amount)
    if not known.clean_runs:
        wanted = max(wanted, default, key=_amount)
    return max(wanted, (LEAST_MEMORY_BYTES, "least"), key=_amount)


def cores_wanted(known: Aggregate, parameters: Parameters) -> tuple[float, CpuRule] | None:
    """The same of CPU. Too little of it makes a job slow, not dead: while learning it is the peak, not a multiple."""
    confident = known.clean_runs >= CONFIDENT_RUNS
    cores = known.cores if confident else known.peak_cores
    default: tuple[float, CpuRule] = parameters.default_cpu_cores, "default"
    if cores is None:
        return None if known.clean_runs else default
    wanted: tuple[float, CpuRule] = cores * parameters.factor, "statistic" if confident else "peak"
    if known.host_cpus is not None:
        wanted = min(wanted, (known.host_cpus, "machine"), key=_amount)
    if not known.clean_runs:
        wanted = max(wanted, default, key=_amount)
    return max(wanted, (LEAST_CPU_CORES, "least"), key=_amount)


def memory_request(wanted_bytes: float) -> int:
    """Rounded up to six binary digits and whole MiB: at most 1/32 more, so 1228.8 MiB become 1248 MiB.

    >>> memory_request(1228.8 * MIB) // MIB, memory_request(100) // MIB
    (1248, 16)
    """
    wanted = max(wanted_bytes, LEAST_MEMORY_BYTES)
    step = max(MIB, 1 << (int(wanted).bit_length() - 6))
    return -(-math.ceil(wanted - _BYTE_DUST) // step) * step


def memory_limit(request_bytes: int) -> int:
    """The next power of two: a limit costs nothing until it is used, and room above the request saves runs.

    >>> memory_limit(1248 * MIB) // MIB, memory_limit(1024 * MIB) // MIB
    (2048, 1024)
    """
    return 1 << (request_bytes - 1).bit_length()


def cpu_request(wanted_cores: float) -> float:
    """Rounded up to 0.01 core below one core, to 0.05 from there.

    >>> cpu_request(0.301), cpu_request(1.21), cpu_request(0)
    (0.31, 1.25, 0.01)
    """
    per_core = 100 if wanted_cores <= 1 else 20
    return max(LEAST_CPU_CORES, math.ceil(wanted_cores * per_core - _TOLERANCE) / per_core)


def cpu_limit(wanted_cores: float) -> float:
    """Rounded up to half a core.

    >>> cpu_limit(1.25), cpu_limit(2.0)
    (1.5, 2.0)
    """
    return math.ceil(wanted_cores / _LIMIT_STEP_CORES - _TOLERANCE) * _LIMIT_STEP_CORES


def largest(*values: int | None) -> int | None:
    """The largest of what is known."""
    return max((each for each in values if each is not None), default=None)
