"""The dashboard `ephemerd`: the panels of ephemerd's own rig, for its daemon and for `--dialect ephemerd`.

Decided where a query of the original misleads or fails:

- A ratio to a limit leaves out who has none; the original divided by 0 there and showed infinity.
- Series are matched by all of their labels, so that two hosts with a container of the same name do not collide, and
  the host stays in the result.
- Numbers of the daemon are added up over hosts.
- Rates span what the scrape interval asks for, in place of a fixed minute.
"""

from scripts.dashboards.grafana import Json, Query, Variable, dashboard, series, stat
from scripts.dashboards.promql import HERE, rate

_CONTAINER = "ephemerd_container"
_LEGEND = "{{id}} ({{runtime}})"
NEEDS_GATEWAY = "From `jobmeter gateway --dialect ephemerd` or ephemerd itself; no exporter has it."
"""Ends the description of a panel whose series the gateway has, and `jobmeter exporter` has not."""


def page() -> Json:
    """The whole dashboard; its address is that of the original."""
    return dashboard(
        "ephemerd-main",
        "ephemerd",
        "The panels of ephemerd's rig, for its daemon or jobmeter's exporter and gateway with --dialect ephemerd.",
        [*_jobs(), *_containers()],
        [
            Variable("instance", "Host", f"{_CONTAINER}_memory_bytes", "instance"),
            Variable("repo", "Repository", f"{_CONTAINER}_memory_bytes", "repo"),
        ],
        tag="ephemerd",
    )


def _jobs() -> list[Json]:
    def p95(what: str) -> str:
        return f"histogram_quantile(0.95, sum by (repo, le) (rate(ephemerd_job_{what}_seconds_bucket[5m])))"

    return [
        stat("Active jobs", f"Jobs that run now, on all hosts. {NEEDS_GATEWAY}", "sum(ephemerd_jobs_active)"),
        stat(
            "Concurrent capacity",
            f"So many jobs may run at once, on all hosts. {NEEDS_GATEWAY}",
            "sum(ephemerd_concurrent_capacity)",
        ),
        stat(
            "Draining",
            f"Hosts that take no new job. {NEEDS_GATEWAY}",
            "sum(ephemerd_draining)",
            steps=[(1, "orange")],
        ),
        series(
            "Jobs completed (rate, 5m)",
            f"Jobs per second, by how they ended. {NEEDS_GATEWAY}",
            Query("sum by (status) (rate(ephemerd_jobs_total[5m]))", "{{status}}"),
            unit="short",
        ),
        series(
            "Job duration (p95, 5m)",
            f"95 % of the jobs took no longer than this. {NEEDS_GATEWAY}",
            Query(p95("duration"), "{{repo}}"),
            unit="s",
        ),
        series(
            "Job startup (p95, 5m)",
            "95 % of the jobs waited no longer than this for their container. ephemerd itself "
            f"never fills it. {NEEDS_GATEWAY}",
            Query(p95("startup"), "{{repo}}"),
            unit="s",
        ),
    ]


def _containers() -> list[Json]:
    memory = f"{_CONTAINER}_memory_bytes{{{HERE}}}"
    received, sent = (f"{_CONTAINER}_network_{one}_bytes_total" for one in ("rx", "tx"))
    return [
        series(
            "Container CPU utilization",
            "CPU in use as a share of the limit; a container without one is not here.",
            Query(
                f"{rate(f'{_CONTAINER}_cpu_usage_seconds_total')} / ({_CONTAINER}_cpu_limit{{{HERE}}} > 0)",
                _LEGEND,
            ),
            unit="percentunit",
            top=1,
        ),
        series(
            "Container memory usage",
            "Memory charged to a container, page cache included.",
            Query(memory, _LEGEND),
            unit="bytes",
        ),
        series(
            "Container memory vs limit",
            "Memory as a share of the limit; a container without one is not here. It may "
            "stand at 100 % because of page cache alone.",
            Query(f"{memory} / ({_CONTAINER}_memory_limit_bytes{{{HERE}}} > 0)", _LEGEND),
            unit="percentunit",
            top=1,
            steps=[(0.9, "orange")],
        ),
        series(
            "Container network — download",
            "Bytes received per second.",
            Query(rate(received), _LEGEND),
            unit="Bps",
        ),
        series(
            "Container network — upload", "Bytes sent per second.", Query(rate(sent), _LEGEND), unit="Bps"
        ),
        series(
            "Container network — bytes transferred per job (total)",
            "Bytes both ways since the container was first seen.",
            Query(f"{received}{{{HERE}}} + {sent}{{{HERE}}}", _LEGEND),
            unit="bytes",
            width=24,
        ),
    ]
