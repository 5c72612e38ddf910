"""How the streams do: each machine once, by the clock of this host."""

from __future__ import annotations

from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from jobmeter.exporter.vm.figures import ServingCollector, StreamsCollector


def machine(name: str, **changes: object) -> SimpleNamespace:
    shown = SimpleNamespace(rows=(1, 2), refused=3)
    told = {"up": True, "batches": 7, "reconnects": 2, "refused": 4, "told_at": 990.0, "shown": shown}
    return SimpleNamespace(**({"machine": name} | told | changes))


def test_each_machine_once() -> None:
    """One that has never told anything has no age."""
    registry = CollectorRegistry()
    registry.register(StreamsCollector((machine("a"), machine("b", up=False, told_at=None)), lambda: 992.5))
    names = (
        "up", "last_batch_age_seconds", "containers", "batches_total", "reconnects_total", "entries_refused_total",
    )  # fmt: skip
    found = {
        name: [registry.get_sample_value(f"jobmeter_vm_{name}", {"machine": one}) for one in "ab"]
        for name in names
    }
    assert found == {
        "up": [1, 0], "last_batch_age_seconds": [2.5, None], "containers": [2, 2], "batches_total": [7, 7],
        "reconnects_total": [2, 2], "entries_refused_total": [7, 7],
    }  # fmt: skip


def test_who_subscribes_here() -> None:
    """How many now, and how many were refused."""
    registry = CollectorRegistry()
    registry.register(ServingCollector(SimpleNamespace(streams=3, refused=5)))
    assert registry.get_sample_value("jobmeter_exporter_stats_streams") == 3
    assert registry.get_sample_value("jobmeter_exporter_stats_refused_total") == 5
