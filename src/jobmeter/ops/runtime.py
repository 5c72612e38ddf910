"""What Python does for a daemon besides its work: threads, memory, garbage collection, the event loop."""

import gc
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from prometheus_client import CollectorRegistry, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from jobmeter.ops.lag import lag_observed

_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class RuntimeCollector(Collector):
    """Counts threads and blocks of memory when it is scraped."""

    def collect(self) -> Iterable[Metric]:
        """The series; what cannot be read has none."""
        try:
            threads = len(os.listdir("/proc/self/task"))
        except OSError:
            pass
        else:
            yield GaugeMetricFamily(
                "process_threads", "Threads of the process, those of libraries too.", threads
            )
        yield GaugeMetricFamily(
            "python_threads", "Threads of the process that run Python.", threading.active_count()
        )
        yield GaugeMetricFamily(
            "python_allocated_blocks", "Blocks of memory that Python has given out.", sys.getallocatedblocks()
        )


class GcPauses(Collector):
    """How long garbage collection has stopped everything, while the context lasts.

    Garbage is collected in the midst of anything, so that nothing with a lock may be touched then.
    """

    def __init__(self) -> None:
        self._count = 0
        self._seconds = self._begun = 0.0

    def collect(self) -> Iterable[Metric]:
        """The series."""
        yield SummaryMetricFamily(
            "python_gc_pause_seconds", "How long garbage collection stopped the process.",
            count_value=self._count, sum_value=self._seconds,
        )  # fmt: skip

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collecting)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._collecting)

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
        elif self._begun:
            self._seconds += time.perf_counter() - self._begun
            self._count += 1


@contextmanager
def runtime_observed(registry: CollectorRegistry) -> Iterator[None]:
    """Count in the registry how late the running event loop is, and how long garbage collection stops everything.

    Where it is not known, because nobody looks, there are no such series. A registry is observed once.
    """
    lag = Histogram(
        "python_event_loop_lag_seconds",
        "How late the event loop was, looked at four times a second.",
        registry=registry,
        buckets=_LAG_BUCKETS,
    )
    pauses = GcPauses()
    registry.register(pauses)
    with pauses, lag_observed(lag.observe):
        yield
