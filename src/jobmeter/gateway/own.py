"""What the gateway counts of itself, beside what its runners do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobmeter.gateway.gate import Gate
from jobmeter.gateway.polling.loop import Standing
from jobmeter.gateway.port import Front
from jobmeter.gateway.queue import Queue, queue_families

STANDINGS: Mapping[Standing, str] = {
    "full": "all its slots are taken",
    "ready": "it has a free slot, and nobody asks now: it asks soon, or is drained or gone",
    "fetching": "the forge is being asked for it",
    "resting": "the forge had nothing for it, and is asked again a little later",
    "ended": "the forge does not know it any more, or the gateway stops",
}


class OwnFigures(Collector):
    """Which release it is, whether the gate is closed, what asking waits for, and what waits."""

    def __init__(
        self,
        registry: CollectorRegistry,
        version: str,
        gate: Gate,
        fronts: Mapping[str, Front],
        queues: Sequence[Queue] = (),
    ) -> None:
        self._gate = gate
        self._fronts = fronts
        self._queues = queues
        info = Gauge("jobmeter_gateway_build_info", "Which release this is.", ("version",), registry=registry)
        info.labels(version).set(1)
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The same families."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Read when it is scraped."""
        closed = GaugeMetricFamily(
            "jobmeter_gateway_gate_closed",
            "Whether nothing is fetched because of this: disk, memory, pressure or script.",
            labels=("check",),
        )
        for check, on in self._gate.closed.items():
            closed.add_metric((check,), float(on))
        yield closed
        runners = GaugeMetricFamily(
            "jobmeter_gateway_runners",
            "Runners by what they wait for: full, ready, fetching, resting, ended.",
            labels=("forge", "standing"),
        )
        for name, front in self._fronts.items():
            standings = [runner.standing for runner in front.standing()]
            for standing in STANDINGS:
                runners.add_metric((name, standing), standings.count(standing))
        yield runners
        yield from queue_families(self._queues)
