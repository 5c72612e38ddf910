"""Pieces of PromQL that the dashboards have in common."""

from scripts.dashboards.grafana import Variable

CONTAINER = "jobmeter_container"
REPOSITORY = "jobmeter_repository"
EXPORTER = "jobmeter_exporter"
HOST = "jobmeter_host"

HERE = 'instance=~"$instance", repo=~"$repo"'
"""What is chosen at the top of the dashboard."""
ALIVE = "unless on (id, instance) jobmeter_container_end_time_seconds"
"""Leaves out containers that have ended, whose last values are still shown."""
OUTERMOST = '* on (id, instance) group_left () jobmeter_container_info{parent=""}'
"""Leaves out containers that lie within another one, whose account they are in."""
_NOT_FREE = 'mode!~"idle|iowait"'
INSTANCE = Variable("instance", "Host", f"{EXPORTER}_build_info", "instance")
REPOSITORIES = Variable("repo", "Repository", f'{REPOSITORY}_jobs_total{{instance=~"$instance"}}', "repo")


def rate(series: str, chosen: str = HERE) -> str:
    """Growth per second of a counter's chosen series."""
    return f"rate({series}{{{chosen}}}[$__rate_interval])"


def busy(*chosen: str) -> str:
    """Share of the time in which the CPUs of each host were not free; what its hypervisor gave to others was not."""
    spent = f"{HOST}_cpu_seconds_total"
    not_free, whole = rate(spent, ", ".join((*chosen, _NOT_FREE))), rate(spent, ", ".join(chosen))
    return f"sum by (instance) ({not_free}) / sum by (instance) ({whole})"


def named(expr: str) -> str:
    """Series of containers with the container's name."""
    return f"{expr} * on (id, instance) group_left (name) jobmeter_container_info"


def highest(expr: str, only: str = "") -> str:
    """The 15 highest series of containers at each moment, with their names; `only` those that are left by it."""
    return f"topk(15, {named(expr)}{only and ' '}{only})"
