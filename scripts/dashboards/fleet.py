"""The dashboard `fleet`: all containers of all hosts, and what repositories used."""

from scripts.dashboards.grafana import CORES, Column, Json, Query, dashboard, row, series, stat, table
from scripts.dashboards.promql import (
    ALIVE,
    CONTAINER,
    EXPORTER,
    HERE,
    INSTANCE,
    OUTERMOST,
    REPOSITORIES,
    REPOSITORY,
    highest,
    named,
    rate,
)

_HIGHEST = "The 15 highest at each moment."
_LEGEND = "{{name}} · {{repo}}"


def page() -> Json:
    """The whole dashboard."""
    return dashboard(
        "jobmeter-fleet",
        "jobmeter / fleet",
        "Every CI container of every host, and what each repository, workflow and job used.",
        [*_now(), *_repositories(), *_containers()],
        [INSTANCE, REPOSITORIES],
    )


def _now() -> list[Json]:
    memory = f"{CONTAINER}_memory_working_set_bytes{{{HERE}}}"
    return [
        stat(
            "Hosts",
            "Exporters that answer.",
            f'count({EXPORTER}_build_info{{instance=~"$instance"}})',
            width=3,
        ),
        stat(
            "Jobs",
            "Jobs that run, or ended within the linger of the exporter (two minutes).",
            f"count(jobmeter_job_info{{{HERE}}})",
            width=3,
        ),
        stat(
            "Containers",
            "Containers that run, those of no job too.",
            f"count({CONTAINER}_start_time_seconds{{{HERE}}} {ALIVE})",
            width=3,
        ),
        stat(
            "CPU in use",
            "Cores that all containers use together. From the totals: what lives shorter than a scrape "
            "is in it, and what is nested counts once.",
            f"sum({rate(f'{REPOSITORY}_cpu_seconds_total')})",
            unit=CORES,
        ),
        stat(
            "Memory in use",
            "Working sets of all containers together; what is nested counts once.",
            f"sum({memory} {OUTERMOST} {ALIVE})",
            unit="bytes",
        ),
        stat(
            "OOM kills",
            "Processes that the kernel killed for want of memory in the time that is shown.",
            f"round(sum(increase({REPOSITORY}_oom_kills_total{{{HERE}}}[$__range])))",
            width=3,
            steps=[(1, "red")],
            over_range=True,
        ),
        stat(
            "Alerts",
            "Alerts of rules.yaml that fire now.",
            'count(ALERTS{alertname=~"Jobmeter.*", alertstate="firing"}) or vector(0)',
            steps=[(1, "orange")],
        ),
    ]


def _repositories() -> list[Json]:
    def used(what: str) -> str:
        return f"sum by (repo, workflow, job) (increase({REPOSITORY}_{what}_total{{{HERE}}}[$__range]))"

    cores = f"sum by (repo) ({rate(f'{REPOSITORY}_cpu_seconds_total')})"
    return [
        row("Repositories"),
        series(
            "CPU by repository",
            "Cores in use, from the totals: jobs of less than a second are in it. `other` is what "
            "had no row of its own any more, no name is what belongs to no job that is known.",
            Query(cores, "{{repo}}"),
            unit=CORES,
            stacked=True,
        ),
        series(
            "Jobs by repository",
            "Jobs begun in the hour before.",
            Query(f"sum by (repo) (increase({REPOSITORY}_jobs_total{{{HERE}}}[1h]))", "{{repo}}"),
            unit="short",
            stacked=True,
        ),
        table(
            "Jobs in the time that is shown",
            "What each job used, of all its executions and containers together.",
            {"repo": "Repository", "workflow": "Workflow", "job": "Job"},
            [
                Column("CPU time", used("cpu_seconds"), "s"),
                Column("Executions", f"round({used('jobs')})", "short"),
                Column("CPU time of one", f"{used('cpu_seconds')} / ({used('jobs')} > 0)", "s"),
                Column("Received", used("network_receive_bytes"), "bytes"),
                Column("Sent", used("network_transmit_bytes"), "bytes"),
                Column("OOM kills", f"round({used('oom_kills')})", "short", [(1, "red")]),
            ],
        ),
    ]


def _containers() -> list[Json]:
    throttled = (
        f"{rate(f'{CONTAINER}_cpu_throttled_periods_total')} / {rate(f'{CONTAINER}_cpu_periods_total')}"
    )
    memory, limit = (f"{CONTAINER}_memory_{one}_bytes{{{HERE}}}" for one in ("working_set", "limit"))
    waiting = rate(f"{CONTAINER}_pressure_seconds_total", f'{HERE}, kind="some"')
    return [
        row("Containers"),
        series(
            "CPU",
            f"Cores that a container uses. {_HIGHEST}",
            Query(highest(rate(f"{CONTAINER}_cpu_usage_seconds_total")), _LEGEND),
            unit=CORES,
        ),
        series(
            "Memory",
            "Working set: what the kernel cannot take back at once, and what its OOM killer looks at. "
            f"{_HIGHEST}",
            Query(highest(memory, ALIVE), _LEGEND),
            unit="bytes",
        ),
        series(
            "Throttled",
            "Share of the scheduler's periods (of 100 ms) in which a container ran into its CPU limit. "
            f"Above one half a higher limit makes the job faster. {_HIGHEST}",
            Query(highest(throttled), _LEGEND),
            unit="percentunit",
            top=1,
            steps=[(0.5, "orange")],
        ),
        series(
            "Memory and its limit",
            f"Working set as a share of the limit; at 100 % the kernel kills processes. {_HIGHEST}",
            Query(highest(f"{memory} / {limit}", ALIVE), _LEGEND),
            unit="percentunit",
            top=1,
            steps=[(0.9, "orange"), (1, "red")],
        ),
        series(
            "Waiting",
            "Share of the time in which some work of a container waited for CPU, memory or I/O (pressure "
            f"stall information of the kernel). {_HIGHEST}",
            Query(highest(waiting), "{{name}} for {{resource}}"),
            unit="percentunit",
        ),
        series(
            "Network",
            "Bytes per second through a container's own network namespace. The 15 highest of each way.",
            Query(highest(rate(f"{CONTAINER}_network_receive_bytes_total")), "{{name}} in"),
            Query(highest(rate(f"{CONTAINER}_network_transmit_bytes_total")), "{{name}} out"),
            unit="binBps",
        ),
        series(
            "Disk",
            "Bytes per second from and to disks. The 15 highest of each way.",
            Query(highest(rate(f"{CONTAINER}_io_read_bytes_total")), "{{name}} read"),
            Query(highest(rate(f"{CONTAINER}_io_written_bytes_total")), "{{name}} written"),
            unit="binBps",
        ),
        series(
            "Processes",
            f"Processes and threads of a container. {_HIGHEST}",
            Query(highest(f"{CONTAINER}_processes{{{HERE}}}", ALIVE), _LEGEND),
            unit="short",
        ),
        table(
            "Containers now",
            "Each container with its host; an empty column was not read or has no limit.",
            {"name": "Container", "repo": "Repository", "instance": "Host"},
            [
                Column("CPU", _per_container(rate(f"{CONTAINER}_cpu_usage_seconds_total")), CORES),
                Column("CPU limit", _per_container(f"{CONTAINER}_cpu_limit_cores{{{HERE}}}"), CORES),
                Column("Memory", _per_container(f"{CONTAINER}_memory_working_set_bytes{{{HERE}}}"), "bytes"),
                Column("Memory limit", _per_container(f"{CONTAINER}_memory_limit_bytes{{{HERE}}}"), "bytes"),
                Column(
                    "OOM kills",
                    _per_container(f"{CONTAINER}_memory_oom_kills_total{{{HERE}}}"),
                    "short",
                    [(1, "red")],
                ),
            ],
        ),
    ]


def _per_container(expr: str) -> str:
    return f"sum by (id, name, repo, instance) ({named(expr)} {ALIVE})"
