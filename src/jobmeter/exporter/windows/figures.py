"""How it goes with Windows hosts: each once, by the clock of this host."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Followed(Protocol):
    """A host that is followed; read by any thread. ``answered_at`` is a time of the monotonic clock."""

    name: str
    errors: int
    round_seconds: float | None
    answered_at: float | None
    shown: Any


class WindowsCollector(Collector):
    """Series of all that are ``followed``."""

    def __init__(self, followed: Sequence[Followed], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._followed = followed
        self._monotonic = monotonic

    def collect(self) -> Iterator[Metric]:
        """Read each one once."""
        label = ("machine",)
        containers = GaugeMetricFamily(
            "jobmeter_windows_containers",
            "Containers of a Windows host that are shown, also while its engine does not answer.",
            labels=label,
        )
        age = GaugeMetricFamily(
            "jobmeter_windows_last_answer_age_seconds",
            "Time since its engine listed them last.",
            labels=label,
        )
        spent = GaugeMetricFamily(
            "jobmeter_windows_round_duration_seconds",
            "Time that it took last to ask about all of them.",
            labels=label,
        )
        errors = CounterMetricFamily(
            "jobmeter_windows_read_errors",
            "Containers of it that could not be read, each time.",
            labels=label,
        )
        refused = CounterMetricFamily(
            "jobmeter_windows_containers_refused",
            "Containers of it beyond what is shown at most.",
            labels=label,
        )
        now = self._monotonic()
        for one in self._followed:
            key = (one.name,)
            containers.add_metric(key, len(one.shown.rows))
            if one.answered_at is not None:
                age.add_metric(key, max(0.0, round(now - one.answered_at, 3)))
            if one.round_seconds is not None:
                spent.add_metric(key, round(one.round_seconds, 6))
            errors.add_metric(key, one.errors)
            refused.add_metric(key, one.shown.refused)
        yield from (containers, age, spent, errors, refused)
