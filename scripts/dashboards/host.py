"""The dashboard `host`: the machines, and how their exporters are."""

from scripts.dashboards.grafana import CORES, Column, Json, Query, dashboard, row, series, stat, table
from scripts.dashboards.promql import ALIVE, CONTAINER, EXPORTER, INSTANCE, OUTERMOST, REPOSITORY, rate

_HOST = 'instance=~"$instance"'
_LEGEND = "{{instance}}"


def page() -> Json:
    """The whole dashboard."""
    return dashboard(
        "jobmeter-host",
        "jobmeter / host",
        "What containers take of each host, and whether its exporter can be trusted.",
        [*_machine(), *_exporter(), *_bounds(), *_process()],
        [INSTANCE],
    )


def _machine() -> list[Json]:
    memory = f"{CONTAINER}_memory_working_set_bytes{{{_HOST}}}"
    waiting = f'{_HOST}, kind="some"'
    return [
        row("What containers take of the host"),
        series(
            "CPU",
            "Cores that all containers of a host use together.",
            Query(f"sum by (instance) ({rate(f'{REPOSITORY}_cpu_seconds_total', _HOST)})", _LEGEND),
            unit=CORES,
        ),
        series(
            "Memory",
            "Working sets of all containers of a host together; what is nested counts once.",
            Query(
                f"sum by (instance) ({memory} {OUTERMOST} {ALIVE})",
                _LEGEND,
            ),
            unit="bytes",
        ),
        series(
            "Waiting",
            "The container of a host that waited most for CPU, memory or I/O: its share of the time. Where "
            "many wait and none is throttled, the host is too small.",
            Query(
                f"max by (instance, resource) ({rate(f'{CONTAINER}_pressure_seconds_total', waiting)})",
                "{{instance}} {{resource}}",
            ),
            unit="percentunit",
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
                f"sum by (instance, kind) ({rate(f'{EXPORTER}_read_errors_total', _HOST)}) "
                f"or on (instance) 0 * {EXPORTER}_build_info{{{_HOST}}}",
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
