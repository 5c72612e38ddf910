"""The dashboard `host`: the machines, what containers take of them, and how their exporters are."""

from scripts.dashboards.grafana import CORES, Column, Json, Query, dashboard, row, series, stat, table
from scripts.dashboards.promql import (
    ALIVE,
    CONTAINER,
    EXPORTER,
    HOST,
    INSTANCE,
    OUTERMOST,
    REPOSITORY,
    busy,
    rate,
)

_HOST = 'instance=~"$instance"'
_LEGEND = "{{instance}}"
_AT_WORK = 'mode!~"idle|iowait|steal"'
_TOTAL = f"{HOST}_memory_total_bytes{{{_HOST}}}"
_USED = f"({_TOTAL} - {HOST}_memory_available_bytes{{{_HOST}}})"
_NEARLY_FULL = [(0.9, "orange"), (0.95, "red")]


def page() -> Json:
    """The whole dashboard."""
    return dashboard(
        "jobmeter-host",
        "jobmeter / host",
        "What each host does, how much of it containers take, and whether its exporter can be trusted.",
        [*_now(), *_machine(), *_together(), *_exporter(), *_bounds(), *_process()],
        [INSTANCE],
    )


def _now() -> list[Json]:
    running = f"count by (instance) ({CONTAINER}_start_time_seconds{{{_HOST}}} {ALIVE})"
    return [
        table(
            "Hosts now",
            "Shares are of all CPUs and of all memory of a host; waiting is the share of the time in which some work "
            "there waited for a CPU.",
            {"instance": "Host"},
            [
                Column("CPU busy", busy(_HOST), "percentunit"),
                Column("CPUs", _each(f"{HOST}_cpus{{{_HOST}}}"), "short"),
                Column("Waiting for a CPU", _each(_waiting("cpu")), "percentunit"),
                Column("Memory in use", _each(f"{_USED} / {_TOTAL}"), "percentunit", _NEARLY_FULL),
                Column("Memory", _each(_TOTAL), "bytes"),
                Column("Swap in use", _each(f"{_swap('total')} - {_swap('free')}"), "bytes"),
                Column(
                    "Containers", _each(f"{running} or on (instance) 0 * {HOST}_cpus{{{_HOST}}}"), "short"
                ),
                Column("Up for", _each(f"time() - {HOST}_boot_time_seconds{{{_HOST}}}"), "s"),
            ],
            height=6,
        )
    ]


def _machine() -> list[Json]:
    return [
        row("Host by host"),
        series(
            "CPU busy",
            "Share of the time in which the CPUs of a host were not idle. What its hypervisor gave to others counts as "
            "busy: nobody could have it.",
            Query(busy(_HOST), _LEGEND),
            unit="percentunit",
            top=1,
        ),
        series(
            "Memory in use",
            "What is not available to new work, as a share of the memory of a host. Page cache that can be given back "
            "is available.",
            Query(f"{_USED} / {_TOTAL}", _LEGEND),
            unit="percentunit",
            top=1,
            steps=_NEARLY_FULL,
        ),
        series(
            "Waiting",
            "Share of the time in which some work of a host, in containers or not, waited for CPU, memory or I/O. What "
            "a container waits for because of its own limit is in it.",
            Query(
                rate(f"{HOST}_pressure_seconds_total", f'{_HOST}, kind="some"'), "{{instance}} {{resource}}"
            ),
            unit="percentunit",
        ),
        series(
            "Container that waits most",
            "Of each host the container that waited most for CPU, memory or I/O: its share of the time. Where many "
            "wait and none is throttled, the host is too small.",
            Query(
                "max by (instance, resource) ("
                + rate(f"{CONTAINER}_pressure_seconds_total", f'{_HOST}, kind="some"')
                + ")",
                "{{instance}} {{resource}}",
            ),
            unit="percentunit",
        ),
    ]


def _together() -> list[Json]:
    cpus, cores = f"sum({HOST}_cpus{{{_HOST}}})", rate(f"{HOST}_cpu_seconds_total", f"{_HOST}, {_AT_WORK}")
    by_containers = f"(sum({rate(f'{REPOSITORY}_cpu_seconds_total', _HOST)}) or vector(0))"
    memory = f"{CONTAINER}_memory_working_set_bytes{{{_HOST}}} {OUTERMOST} {ALIVE}"
    working_sets = f"(sum({memory}) or vector(0))"
    not_idle = rate(f"{HOST}_cpu_seconds_total", f'{_HOST}, mode!="idle"')
    return [
        row("All chosen hosts together"),
        series(
            "CPU by mode",
            "Cores in each of the kernel's modes but idle, and how many CPUs there are. In iowait a CPU is free for "
            "work that does not wait for a disk.",
            Query(f"sum by (mode) ({not_idle})", "{{mode}}"),
            Query(cpus, "CPU limit"),
            unit=CORES,
            stacked=True,
        ),
        series(
            "CPU of containers and of all else",
            "Cores that containers use, from the totals, so that what lives shorter than a scrape is in it; and what "
            "is used beside them: engines, the exporter, jobs outside containers. What a container uses is in the "
            "totals once it is known whose it is: some seconds late, then all at once.",
            Query(by_containers, "containers"),
            Query(f"clamp_min(sum({cores}) - {by_containers}, 0)", "all else"),
            Query(cpus, "CPU limit"),
            unit=CORES,
            stacked=True,
        ),
        series(
            "Memory of containers and of all else",
            "Working sets of all containers, what is nested once, and what is in use beside them: the kernel, engines, "
            "jobs outside containers. An estimate: part of a working set is page cache that the machine counts as "
            "available.",
            Query(working_sets, "containers"),
            Query(f"clamp_min(sum({_USED}) - {working_sets}, 0)", "all else"),
            Query(f"sum({_TOTAL})", "memory limit"),
            unit="bytes",
            stacked=True,
        ),
        series(
            "Containers and jobs",
            "Containers that run, and jobs of which one runs or ended within the linger of the exporter (two minutes).",
            Query(
                f"count by (instance) ({CONTAINER}_start_time_seconds{{{_HOST}}} {ALIVE})",
                "{{instance}} containers",
            ),
            Query(f"count by (instance) (jobmeter_job_info{{{_HOST}}})", "{{instance}} jobs"),
            unit="short",
        ),
    ]


def _waiting(resource: str) -> str:
    return rate(f"{HOST}_pressure_seconds_total", f'{_HOST}, resource="{resource}", kind="some"')


def _swap(what: str) -> str:
    return f"{HOST}_swap_{what}_bytes{{{_HOST}}}"


def _each(expr: str) -> str:
    """A value for each host, without the other labels of its series: by these, rows of a table are merged."""
    return f"sum by (instance) ({expr})"


def _exporter() -> list[Json]:
    def quantile(share: float, what: str) -> str:
        buckets = rate(f"{EXPORTER}_{what}_duration_seconds_bucket", _HOST)
        return f"histogram_quantile({share}, sum by (instance, le) ({buckets}))"

    lost = [
        Query(f"sum by (instance) ({rate(f'{EXPORTER}_{one}_total', _HOST)})", f"{_LEGEND} {text}")
        for one, text in (
            ("samples_dropped", "samples dropped"),
            ("containers_refused", "containers refused"),
        )
    ]
    return [
        row("Exporter"),
        stat("Exporters", "Those that answer.", f"count({EXPORTER}_build_info{{{_HOST}}})"),
        stat(
            "Lag",
            "How late the last sample of the worst host began.",
            f"max({EXPORTER}_sample_lag_seconds{{{_HOST}}})",
            unit="s",
            steps=[(1, "orange"), (5, "red")],
        ),
        stat(
            "Samples dropped",
            "Samples that were not taken or failed, in the time that is shown.",
            f"round(sum(increase({EXPORTER}_samples_dropped_total{{{_HOST}}}[$__range])))",
            steps=[(1, "orange")],
            over_range=True,
        ),
        stat(
            "Containers refused",
            "Containers beyond what is watched at most, in the time that is shown: they are in no total.",
            f"round(sum(increase({EXPORTER}_containers_refused_total{{{_HOST}}}[$__range])))",
            steps=[(1, "red")],
            over_range=True,
        ),
        stat(
            "Engines that answer",
            "Engine sockets that tell of their containers; without one, names, labels and images "
            "are missing.",
            f"sum({EXPORTER}_engine_up{{{_HOST}}})",
        ),
        stat(
            "Engines that do not",
            "Engine sockets that do not answer.",
            f"count({EXPORTER}_engine_up{{{_HOST}}} == 0) or vector(0)",
            steps=[(1, "orange")],
        ),
        series(
            "Time of a sample",
            "What reading all containers once takes: median and 99th percentile.",
            Query(quantile(0.5, "sample"), f"{_LEGEND} median"),
            Query(quantile(0.99, "sample"), f"{_LEGEND} 99 %"),
            unit="s",
        ),
        series(
            "Time of a scrape",
            "What writing one answer takes, and what Prometheus sees of it: with the wait for a "
            "fresh sample and the network.",
            Query(quantile(0.99, "scrape"), f"{_LEGEND} 99 %"),
            Query(
                f"scrape_duration_seconds{{{_HOST}}} and on (instance) {EXPORTER}_build_info",
                f"{_LEGEND} seen by Prometheus",
            ),
            unit="s",
        ),
        series(
            "Lost",
            "Samples, containers and readings per second that were lost.",
            *lost,
            Query(
                f"sum by (instance, kind) ({rate(f'{EXPORTER}_read_errors_total', _HOST)})",
                "{{instance}} not read {{kind}}",
            ),
            unit="short",
        ),
        series(
            "Lag",
            "How late a sample of the timetable began.",
            Query(f"{EXPORTER}_sample_lag_seconds{{{_HOST}}}", _LEGEND),
            unit="s",
        ),
    ]


def _bounds() -> list[Json]:
    def bounded(title: str, text: str, name: str) -> Json:
        return series(
            title,
            text,
            Query(f"{EXPORTER}_{name}{{{_HOST}}}", _LEGEND),
            Query(f"{EXPORTER}_{name}_max{{{_HOST}}}", f"{_LEGEND} limit"),
            unit="short",
            width=8,
        )

    return [
        row("Bounds"),
        bounded("Containers", "Containers that are shown, and how many are watched at most.", "containers"),
        bounded(
            "Rows of totals",
            "One for each repository, workflow and job that was seen since the exporter began. At "
            "its limit all new ones go to the row `other`.",
            "totals_rows",
        ),
        table(
            "Engines",
            "The sockets that tell names, labels and images of containers; 1 is one that answers.",
            {"instance": "Host", "engine": "Engine", "socket": "Socket"},
            [
                Column(
                    "Answers", f"sum by (instance, engine, socket) ({EXPORTER}_engine_up{{{_HOST}}})", "short"
                )
            ],
            width=8,
            height=8,
        ),
    ]


def _process() -> list[Json]:
    def of_exporter(expr: str) -> str:
        return f"{expr} and on (instance) {EXPORTER}_build_info"

    return [
        row("What the exporter itself takes"),
        series(
            "CPU",
            "Cores that the exporter uses.",
            Query(of_exporter(rate("process_cpu_seconds_total", _HOST)), _LEGEND),
            unit=CORES,
            width=8,
        ),
        series(
            "Memory",
            "Resident memory of the exporter.",
            Query(of_exporter(f"process_resident_memory_bytes{{{_HOST}}}"), _LEGEND),
            unit="bytes",
            width=8,
        ),
        series(
            "Open files",
            "Descriptors that the exporter holds open, and how many it may. It keeps those of each "
            "container's counters.",
            Query(of_exporter(f"process_open_fds{{{_HOST}}}"), _LEGEND),
            Query(of_exporter(f"process_max_fds{{{_HOST}}}"), f"{_LEGEND} limit"),
            unit="short",
            width=8,
        ),
    ]
