"""Queries that are asked where none are configured: of node_exporter, of cAdvisor, of `jobmeter exporter`.

Each takes ``{selector}`` within braces of its own. Those of a host are one series each, so that nothing of them is lost
in the form of GitLab's referee, which keeps the first; their names are those of its documentation.
"""

from collections.abc import Mapping

from jobmeter.referee.queries import NamedQuery


def _rate(of: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate({of}{{{where}{{selector}}}}[{{rate_interval}}]))"


def _gauge(of: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) ({of}{{{where}{{selector}}}})"


def _both(what: str, of: str, by: str, where: str = "") -> dict[str, str]:
    """Both ways of a network: ``of`` has % for the way."""
    return {
        f"network_{way}_{what}": _rate(of.replace("%", way), by, where) for way in ("receive", "transmit")
    }


_NO_LOOPBACK = 'device!="lo",'
_NODE = {
    "cpu_seconds": _rate("node_cpu_seconds_total", "instance", 'mode!~"idle|iowait|steal",'),
    "context_switches": _rate("node_context_switches_total", "instance"),
    "memory_bytes": (
        f"{_gauge('node_memory_MemTotal_bytes', 'instance')} - {_gauge('node_memory_MemAvailable_bytes', 'instance')}"
    ),
    "memory_swap_bytes": (
        f"{_gauge('node_memory_SwapTotal_bytes', 'instance')} - {_gauge('node_memory_SwapFree_bytes', 'instance')}"
    ),
    "disk_read_bytes": _rate("node_disk_read_bytes_total", "instance"),
    "disk_written_bytes": _rate("node_disk_written_bytes_total", "instance"),
    "network_tcp_active_opens": _rate("node_netstat_Tcp_ActiveOpens", "instance"),
    "network_tcp_passive_opens": _rate("node_netstat_Tcp_PassiveOpens", "instance"),
    **_both("bytes", "node_network_%_bytes_total", "instance", _NO_LOOPBACK),
    **_both("packets", "node_network_%_packets_total", "instance", _NO_LOOPBACK),
    **_both("errors", "node_network_%_errs_total", "instance", _NO_LOOPBACK),
    **_both("drops", "node_network_%_drop_total", "instance", _NO_LOOPBACK),
    "cpu_pressure": _rate("node_pressure_cpu_waiting_seconds_total", "instance"),
    "memory_pressure": _rate("node_pressure_memory_waiting_seconds_total", "instance"),
    "io_pressure": _rate("node_pressure_io_waiting_seconds_total", "instance"),
}

_EACH = "namespace, pod, container, name"
_REAL = 'image!="",'
_CADVISOR = {
    "container_cpu_seconds": _rate("container_cpu_usage_seconds_total", _EACH, _REAL),
    "container_cpu_throttled_seconds": _rate("container_cpu_cfs_throttled_seconds_total", _EACH, _REAL),
    "container_memory_bytes": _gauge("container_memory_working_set_bytes", _EACH, _REAL),
    "container_memory_rss_bytes": _gauge("container_memory_rss", _EACH, _REAL),
    "container_oom_kills": _gauge("container_oom_events_total", _EACH, _REAL),
    "container_disk_read_bytes": _rate("container_fs_reads_bytes_total", _EACH, _REAL),
    "container_disk_written_bytes": _rate("container_fs_writes_bytes_total", _EACH, _REAL),
    **{
        f"container_{name}": query
        for name, query in _both("bytes", "container_network_%_bytes_total", "namespace, pod, name").items()
    },
}


def _joined(value: str, by: str = "id, name") -> str:
    """What is shown of containers, of those that the selector chooses by anything that is known of them."""
    return f"sum by ({by}) ({value} * on (instance, id) group_left (name) jobmeter_container_info{{{{selector}}}})"


def _ours(name: str, by: str = "id, name", where: str = "") -> str:
    return _joined(f"rate(jobmeter_container_{name}{where}[{{rate_interval}}])", by)


_JOBMETER = {
    "job_cpu_seconds": _ours("cpu_usage_seconds_total"),
    "job_cpu_used_seconds": _joined("jobmeter_container_cpu_usage_seconds_total"),
    "job_cpu_throttled_seconds": _ours("cpu_throttled_seconds_total"),
    "job_memory_bytes": _joined("jobmeter_container_memory_working_set_bytes"),
    "job_memory_peak_bytes": _joined("jobmeter_container_memory_charged_peak_bytes"),
    "job_oom_kills": _joined("jobmeter_container_memory_oom_kills_total"),
    "job_pressure": _ours("pressure_seconds_total", "id, name, resource", '{kind="some"}'),
    "job_network_receive_bytes": _ours("network_receive_bytes_total"),
    "job_network_transmit_bytes": _ours("network_transmit_bytes_total"),
}

DEFAULT_QUERIES: Mapping[str, tuple[NamedQuery, ...]] = {
    exporter: tuple(NamedQuery(name, text) for name, text in queries.items())
    for exporter, queries in (("node", _NODE), ("cadvisor", _CADVISOR), ("jobmeter", _JOBMETER))
}
"""By the exporter that shows what they ask for: `node` is node_exporter."""
