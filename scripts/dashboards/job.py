"""The dashboard `job`: one run of one job, its containers over time."""

from scripts.dashboards.grafana import CORES, Json, Query, Steps, Variable, dashboard, row, series, stat
from scripts.dashboards.promql import ALIVE, CONTAINER, HOST, busy, rate

_JOB = "jobmeter_job_info"
_CHOSEN = 'repo="$repo", workflow="$workflow", job="$job", run_id="$run"'
_INFO = f"jobmeter_container_info{{{_CHOSEN}}}"
_REPO = 'repo="$repo"'


def page() -> Json:
    """The whole dashboard."""
    variables = [
        Variable("repo", "Repository", _JOB, "repo", multi=False),
        Variable("workflow", "Workflow", f"{_JOB}{{{_REPO}}}", "workflow", multi=False),
        Variable("job", "Job", f'{_JOB}{{{_REPO}, workflow="$workflow"}}', "job", multi=False),
        Variable(
            "run",
            "Run",
            f'{_JOB}{{{_REPO}, workflow="$workflow", job="$job"}}',
            "run_id",
            multi=False,
            newest_first=True,
        ),
    ]
    return dashboard(
        "jobmeter-job",
        "jobmeter / job",
        "One run of one job: what each of its containers used over time, and what held it back. Choose it at the top.",
        [*_whole(), *_processor(), *_memory(), *_traffic(), *_host()],
        variables,
    )


def _of_job(expr: str) -> str:
    """Series of containers, those of the job alone, with their names."""
    return f"{expr} * on (id, instance) group_left (name) {_INFO}"


def _kept(name: str) -> str:
    return _of_job(f"{CONTAINER}_{name}{{{_REPO}}}")


def _gauge(name: str) -> str:
    """What has a value only while the container runs."""
    return f"{_kept(name)} {ALIVE}"


def _rate(name: str, more: str = "") -> str:
    return _of_job(rate(f"{CONTAINER}_{name}", f"{_REPO}{more}"))


def _last(name: str, top: str = 'parent=""') -> str:
    """Where each of the job's containers stood last; those inside of another one are in the other's account."""
    info = f"max by (id, instance) (last_over_time(jobmeter_container_info{{{_CHOSEN}, {top}}}[$__range]))"
    return f"last_over_time({CONTAINER}_{name}{{{_REPO}}}[$__range]) * on (id, instance) group_left () {info}"


def _total(title: str, text: str, expr: str, unit: str, steps: Steps = ()) -> Json:
    return stat(title, text, expr, unit=unit, width=4, steps=steps, over_range=True)


def _whole() -> list[Json]:
    peak = f"max_over_time({CONTAINER}_memory_working_set_bytes{{{_REPO}}}[$__range])"
    info = f"max by (id, instance) (last_over_time({_INFO}[$__range]))"
    return [
        _total(
            "CPU time", "CPU time of all its containers.", f"sum({_last('cpu_usage_seconds_total')})", "s"
        ),
        _total(
            "Throttled",
            "Time for which its threads stood still because of a CPU limit, added up.",
            f"sum({_last('cpu_throttled_seconds_total')})",
            "s",
            [(10, "orange")],
        ),
        _total(
            "Highest memory",
            "The highest working set of one of its containers that a scrape has seen.",
            f"max({peak} * on (id, instance) group_left () {info})",
            "bytes",
        ),
        _total(
            "OOM kills",
            "Processes killed for want of memory.",
            f"sum({_last('memory_oom_kills_total')})",
            "short",
            [(1, "red")],
        ),
        _total("Received", "Bytes received.", f"sum({_last('network_receive_bytes_total')})", "bytes"),
        _total("Sent", "Bytes sent.", f"sum({_last('network_transmit_bytes_total')})", "bytes"),
    ]


def _processor() -> list[Json]:
    throttled, periods = (
        rate(f"{CONTAINER}_cpu_{one}_total", _REPO) for one in ("throttled_periods", "periods")
    )
    return [
        row("CPU"),
        series(
            "CPU",
            "Cores in use, and the limit that binds the container where it has one.",
            Query(_rate("cpu_usage_seconds_total"), "{{name}}"),
            Query(_gauge("cpu_limit_cores"), "{{name}} limit"),
            unit=CORES,
        ),
        series(
            "User and kernel",
            "Cores in use by programs, and by the kernel for them: much of the latter is a sign "
            "of many short processes or small reads.",
            Query(_rate("cpu_user_seconds_total"), "{{name}} user"),
            Query(_rate("cpu_system_seconds_total"), "{{name}} kernel"),
            unit=CORES,
        ),
        series(
            "Throttled",
            "Share of the scheduler's periods in which it ran into its CPU limit. Above one half a higher "
            "limit makes the job faster.",
            Query(_of_job(f"{throttled} / {periods}"), "{{name}}"),
            unit="percentunit",
            top=1,
            steps=[(0.5, "orange")],
        ),
        series(
            "Waiting for CPU",
            "Share of the time in which some, or all, of its work was ready and had no CPU.",
            Query(_rate("pressure_seconds_total", ', resource="cpu"'), "{{name}} {{kind}}"),
            unit="percentunit",
            top=1,
        ),
    ]


def _memory() -> list[Json]:
    return [
        row("Memory"),
        series(
            "Memory",
            "Working set (what the kernel cannot take back at once), the part of it that no file backs, and "
            "the limit where there is one.",
            Query(_gauge("memory_working_set_bytes"), "{{name}} working set"),
            Query(_gauge("memory_anon_bytes"), "{{name}} anonymous"),
            Query(_gauge("memory_limit_bytes"), "{{name}} limit"),
            unit="bytes",
        ),
        series(
            "With page cache",
            "All memory that is charged to it, with the files that the kernel keeps for it, and the "
            "most of it so far: an upper bound, not a need.",
            Query(_gauge("memory_usage_bytes"), "{{name}} charged"),
            Query(_kept("memory_charged_peak_bytes"), "{{name}} peak"),
            unit="bytes",
        ),
        series(
            "Waiting for memory",
            "Share of the time in which some, or all, of its work waited for memory to be freed. "
            "More than a few percent: it is too little.",
            Query(_rate("pressure_seconds_total", ', resource="memory"'), "{{name}} {{kind}}"),
            unit="percentunit",
            steps=[(0.1, "orange")],
        ),
        series(
            "OOM kills",
            "Processes killed for want of memory since the container began.",
            Query(_kept("memory_oom_kills_total"), "{{name}}"),
            unit="short",
            steps=[(1, "red")],
        ),
    ]


def _traffic() -> list[Json]:
    return [
        row("Network, disk, processes"),
        series(
            "Network",
            "Bytes per second through the container's own network namespace; one that shares the host's or "
            "another's has none.",
            Query(_rate("network_receive_bytes_total"), "{{name}} in"),
            Query(_rate("network_transmit_bytes_total"), "{{name}} out"),
            unit="binBps",
        ),
        series(
            "Disk",
            "Bytes per second from and to disks; what the page cache answers is not there.",
            Query(_rate("io_read_bytes_total"), "{{name}} read"),
            Query(_rate("io_written_bytes_total"), "{{name}} written"),
            unit="binBps",
        ),
        series(
            "Waiting for I/O",
            "Share of the time in which some, or all, of its work waited for a disk.",
            Query(_rate("pressure_seconds_total", ', resource="io"'), "{{name}} {{kind}}"),
            unit="percentunit",
        ),
        series(
            "Processes",
            "Its processes and threads, and how many it may have.",
            Query(_gauge("processes"), "{{name}}"),
            Query(_gauge("processes_limit"), "{{name}} limit"),
            unit="short",
        ),
    ]


def _host() -> list[Json]:
    """How full the machine was around the job, and how much of that was the job itself."""
    outermost = f'jobmeter_container_info{{{_CHOSEN}, parent=""}}'
    cores = rate(f"{CONTAINER}_cpu_usage_seconds_total", _REPO)
    memory = f"{CONTAINER}_memory_working_set_bytes{{{_REPO}}}"
    total = f"sum by (instance) ({HOST}_memory_total_bytes)"

    def by_job(expr: str) -> str:
        return f"sum by (instance) ({expr} * on (id, instance) group_left () {outermost})"

    return [
        row("The host that it runs on"),
        series(
            "CPU of the host",
            "Share of the host's CPUs that is busy, and what of it this job uses. Where the host is full and the job "
            "has little of it, others slow it down.",
            Query(f"{busy()} and on (instance) {outermost}", "{{instance}} all"),
            Query(f"{by_job(cores)} / sum by (instance) ({HOST}_cpus)", "{{instance}} this job"),
            unit="percentunit",
            top=1,
        ),
        series(
            "Memory of the host",
            "Share of the host's memory that is in use, and the working sets of this job.",
            Query(
                f"1 - sum by (instance) ({HOST}_memory_available_bytes) / {total} and on (instance) {outermost}",
                "{{instance}} all",
            ),
            Query(f"{by_job(f'({memory} {ALIVE})')} / {total}", "{{instance}} this job"),
            unit="percentunit",
            top=1,
        ),
    ]
