"""How the streams of machines do: each machine once, by the clock of this host."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Followed(Protocol):
    """A machine that is subscribed to; read by any thread. ``told_at`` is a time of the monotonic clock."""

    machine: str
    up: bool
    batches: int
    reconnects: int
    refused: int
    told_at: float | None
    shown: Any


class Served(Protocol):
    """Those who subscribe to this machine."""

    refused: int

    @property
    def streams(self) -> int:
        """How many there are now."""
        ...


class StreamsCollector(Collector):
    """Series of all that are ``followed``."""

    def __init__(self, followed: Sequence[Followed], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._followed = followed
        self._monotonic = monotonic

    def collect(self) -> Iterator[Metric]:
        """Read each one once."""
        label = ("machine",)
        up = GaugeMetricFamily(
            "jobmeter_vm_up", "Whether a machine tells of its containers now.", labels=label
        )
        age = GaugeMetricFamily(
            "jobmeter_vm_last_batch_age_seconds", "Time since it told of them last.", labels=label
        )
        containers = GaugeMetricFamily(
            "jobmeter_vm_containers",
            "Its containers that are shown, also while it tells nothing.",
            labels=label,
        )
        batches = CounterMetricFamily("jobmeter_vm_batches", "Times when it told of them.", labels=label)
        reconnects = CounterMetricFamily(
            "jobmeter_vm_reconnects", "Attempts to follow it again after a stream that ended or did not begin.",
            labels=label,
        )  # fmt: skip
        refused = CounterMetricFamily(
            "jobmeter_vm_entries_refused",
            "What it told and nobody can show: containers beyond the bound, and what makes no sense.",
            labels=label,
        )
        now = self._monotonic()
        for one in self._followed:
            key = (one.machine,)
            up.add_metric(key, float(one.up))
            if one.told_at is not None:
                age.add_metric(key, max(0.0, round(now - one.told_at, 3)))
            containers.add_metric(key, len(one.shown.rows))
            batches.add_metric(key, one.batches)
            reconnects.add_metric(key, one.reconnects)
            refused.add_metric(key, one.refused + one.shown.refused)
        yield from (up, age, containers, batches, reconnects, refused)


class ServingCollector(Collector):
    """Series of the stream that this machine serves."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def collect(self) -> Iterator[Metric]:
        """How many subscribe."""
        yield GaugeMetricFamily(
            "jobmeter_exporter_stats_streams", "Who subscribes to the statistics of this machine now.",
            value=self._served.streams,
        )  # fmt: skip
        yield CounterMetricFamily(
            "jobmeter_exporter_stats_refused", "Subscriptions that were refused.", value=self._served.refused
        )
