"""The names of ephemerd's container metrics, for its dashboard; docs/exporter-series.md says what is meant otherwise.

As there: a limit that is none is 0, and all interfaces but the loopback are counted. What could not be read has no
series all the same. Containers within containers are left out, as ephemerd does not see them.
"""

from collections.abc import Iterator

from jobmeter.exporter.container import Row
from jobmeter.exporter.dialects.dialect import Snapshot, one_of_each_id
from jobmeter.exporter.families import Family, Labels, Value
from jobmeter.exporter.render import Renderer
from jobmeter.model.sample import Limit


def _limit(value: Limit) -> Value:
    return 0 if isinstance(value, str) else value


# Of a container of another machine it may be known only together.


def _received(row: Row) -> Value:
    interfaces = row.account.interfaces
    if interfaces is None:
        return row.account.network_received_bytes
    return sum(one.received_bytes for one in interfaces)


def _sent(row: Row) -> Value:
    interfaces = row.account.interfaces
    if interfaces is None:
        return row.account.network_sent_bytes
    return sum(one.sent_bytes for one in interfaces)


def _anon(row: Row) -> Value:
    """As there: 0 on Windows, which knows no such number."""
    is_windows = row.account.memory_private_working_set_bytes is not None
    return 0 if is_windows else row.account.memory_anon_bytes


FAMILIES = (
    Family("ephemerd_container_cpu_usage_seconds_total", "counter", "CPU time used since the container began.",
           (((), lambda row: row.account.cpu_seconds),)),
    Family("ephemerd_container_memory_bytes", "gauge", "Memory charged to it, page cache included.",
           (((), lambda row: row.account.memory_usage_bytes),)),
    Family("ephemerd_container_memory_anon_bytes", "gauge", "Memory of its own that no file backs.",
           (((), _anon),)),
    Family("ephemerd_container_memory_limit_bytes", "gauge", "The memory limit that binds it; 0 for none.",
           (((), lambda row: _limit(row.bounds.memory_bytes)),)),
    Family("ephemerd_container_cpu_limit", "gauge", "The CPU limit that binds it, in cores; 0 for none.",
           (((), lambda row: _limit(row.bounds.cpu_cores)),)),
    Family("ephemerd_container_network_rx_bytes_total", "counter",
           "Bytes received in its network namespace, the loopback left out.", (((), _received),)),
    Family("ephemerd_container_network_tx_bytes_total", "counter",
           "Bytes sent in its network namespace, the loopback left out.", (((), _sent),)),
)  # fmt: skip


class EphemerdDialect:
    """Seven names, labelled ``id``, ``repo`` and ``runtime``."""

    detailed = True
    with_groups = False

    def __init__(self) -> None:
        self._renderer = Renderer(FAMILIES, _labels)

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[str]:
        """All outermost containers."""
        rows = [row for row in one_of_each_id(snapshot.rows) if row.parent is None]
        return self._renderer.render(rows, openmetrics=openmetrics)


def _labels(row: Row) -> Labels:
    """With the id alone, as there: of two machines' containers that agree in all three the first is shown."""
    job = row.identity.job
    return ("id", row.id), ("repo", (job and job.repository) or ""), ("runtime", row.runtime)
