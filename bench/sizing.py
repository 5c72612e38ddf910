"""Sizing over 1,000 runs: advice and backtest, reading the stored observations, advice by a year of days.

    python -m bench.sizing

CPU time of the process, the median of some rounds: the machine may be busy with something else.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from bench.support import milliseconds, table
from jobmeter.model.sizing import observation, period
from jobmeter.model.sizing.advise import advise, answer
from jobmeter.model.sizing.advise_period import advise_period
from jobmeter.model.sizing.observation import ContainerUse, Observation
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.statistics import Statistic

RUNS = 1000
ROUNDS = 15
MIB = 2**20


def history(containers: int, runs: int = RUNS) -> list[Observation]:
    """Runs of a job with noise, a rare spike, a kill, failures, over a year."""
    draw = random.Random(1)
    return [
        Observation(
            run_uid=f"019aa5e2-4f00-7abc-8def-{number:012x}",
            end_time=f"2025-{number * 12 // runs + 1:02d}-{number % 28 + 1:02d}T12:00:00.000Z",
            duration_seconds=draw.uniform(200, 400),
            outcome="failed" if number % 13 == 0 else "ok",
            containers=tuple(_use(f"container {place}", number, draw) for place in range(containers)),
            host_cpus=8,
            host_memory_bytes=32 * 1024 * MIB,
        )
        for number in range(runs)
    ]


def _use(name: str, number: int, draw: random.Random) -> ContainerUse:
    need = int(draw.uniform(700, 800) * MIB) * (3 if number % 97 == 0 else 1)
    peak = draw.uniform(1.5, 2.5)
    return ContainerUse(
        name=name,
        cpu_cores=Statistic(*(round(peak * share, 3) for share in (1, 0.95, 0.9, 0.7, 0.5, 0.45))),
        memory_need_bytes=need,
        killed_at_bytes=2048 * MIB if number % 301 == 300 else None,
        throttled_cores=draw.choice([0.0, 0.0, 0.2]),
        memory_source="working_set",
        memory_charged_peak_bytes=need * 3,
        memory_limit_bytes=4096 * MIB,
        cpu_limit_cores=4.0,
    )


def cpu_seconds(work: Callable[[], object]) -> list[float]:
    """CPU time of some calls."""
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return taken


def costs(runs: list[Observation]) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured, by name."""
    for window in (20, 100):
        parameters = Parameters(runs=window)
        yield f"advice of the last {window}", partial(advise, runs, parameters)
        yield f"advice of the last {window}, and the backtest over all", partial(answer, runs, parameters)
    stored = [observation.encode(run) for run in runs]
    yield "reading stored observations", lambda: [observation.decode(each) for each in stored]
    days = period.by_day(runs)
    stored_days = {day: period.encode(parts) for day, parts in days.items()}
    yield (
        f"advice of {len(days)} days, reading them included",
        lambda: advise_period({day: period.decode(each) for day, each in stored_days.items()}),
    )


def main() -> None:
    rows = []
    for containers in (1, 3):
        runs = history(containers)
        for name, work in costs(runs):
            rows.append((f"{containers}", name, milliseconds(cpu_seconds(work))))
        size = statistics.mean(len(observation.encode(run)) for run in runs)
        day_size = statistics.mean(len(period.encode(day)) for day in period.by_day(runs).values())
        rows.append((f"{containers}", "bytes of a run; of a day", f"{size:.0f}; {day_size:.0f}"))
    table(("containers", f"{RUNS:,} runs", "CPU ms"), rows)


if __name__ == "__main__":
    main()
