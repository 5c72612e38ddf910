"""The sentences around the numbers: which job, which machine, what was missed, what metering cost."""

from typing import NamedTuple

from jobmeter.model.job import Job
from jobmeter.model.quantities import format_percent
from jobmeter.model.summary import Summary
from jobmeter.report.columns import sources
from jobmeter.report.figures import ESTIMATE, LOWER_BOUND, doubt, roughly, size, total_cpu_seconds
from jobmeter.report.text import clean, plural

_DOUBTS = {
    LOWER_BOUND: "≥ CPU time is a lower bound: some processes may have ended unseen",
    ESTIMATE: "≈ CPU time is close but not exact: the kernel's exit records lack the end of each process",
}
_MAX_SURVIVORS = 6
_MAX_WARNINGS = 10
_SHA_LETTERS = 8


class Remark(NamedTuple):
    """What a reader has to know; ``is_warning`` where there is something to be done about it."""

    text: str
    is_warning: bool = False


def identity(summary: Summary) -> str:
    """Which job it was: ``org/repo · workflow / job · run 42, attempt 2``; empty when nothing is known."""
    return job_identity(summary.job)


def job_identity(job: Job) -> str:
    """The same of the job alone."""
    repository = job.repository or ""
    if job.organization and "/" not in repository:
        repository = f"{job.organization}/{repository}".rstrip("/")
    parts = [repository, " / ".join(part for part in (job.workflow, job.job) if part), _matrix(job)]
    parts += [f"run {job.run_id}" if job.run_id else "", _attempt(job), _ref(job)]
    return clean(" · ".join(part for part in parts if part))


def job_variant(job: Job) -> str:
    """What tells it from other runs of the same job: ``arch=arm64 · attempt 2 · main · 8910ac60``."""
    parts = (_matrix(job), _attempt(job), _ref(job), (job.sha or "")[:_SHA_LETTERS])
    return clean(" · ".join(part for part in parts if part))


def _matrix(job: Job) -> str:
    return ", ".join(f"{key}={value}" for key, value in (job.matrix or {}).items())


def _attempt(job: Job) -> str:
    return f"attempt {job.attempt}" if job.attempt is not None and job.attempt > 1 else ""


def _ref(job: Job) -> str:
    return (job.ref or "").removeprefix("refs/heads/").removeprefix("refs/tags/")


def machine(summary: Summary) -> str:
    """The machine and how busy the whole of it was; empty when nothing is known."""
    host = summary.host
    parts = [host.name or "", plural(host.cpus, "CPU") if host.cpus else "", size(host.memory_bytes)]
    if summary.cpu_total_percent.avg is not None:
        parts.append(f"{format_percent(summary.cpu_total_percent.avg / 100)} busy overall")
    if summary.mem_used_percent.peak is not None:
        parts.append(f"memory up to {format_percent(summary.mem_used_percent.peak / 100)}")
    known = [part for part in parts if part]
    return clean("machine: " + " · ".join(known)) if known else ""


def meter(summary: Summary) -> str:
    """Where the numbers come from and what metering cost: one line."""
    own = summary.collector
    ticks = plural(summary.sample_count, "sample") if summary.sample_count else "nothing was sampled"
    if own.interval_seconds and summary.sample_count > 2:
        ticks += f" every {roughly(own.interval_seconds)}"
    cost = [
        f"{own.cpu_seconds:.2f} s CPU" if own.cpu_seconds is not None else "",
        size(own.peak_memory_bytes),
    ]
    parts = [f"source: {sources(summary)}" if sources(summary) else "", ticks]
    if any(cost):
        parts.append("meter used " + ", ".join(part for part in cost if part))
    if own.late_ticks:
        parts.append(f"{plural(own.late_ticks, 'tick')} late")
    if own.read_errors:
        parts.append(plural(own.read_errors, "failed read"))
    return " · ".join(part for part in parts if part)


def remarks(summary: Summary) -> list[Remark]:
    """What the reader has to know of the numbers: what may be missing, what still runs, warnings."""
    found = []
    if not summary.cpu_complete and total_cpu_seconds(summary) is not None:
        found.append(_DOUBTS[doubt(summary)])
    if summary.unattributed_cpu_seconds:
        seconds = roughly(summary.unattributed_cpu_seconds)
        found.append(f"{seconds} of CPU time belong to the job but to no container that can be named")
    if summary.survivors:
        names = [f"{each.name} ({each.pid})" for each in summary.survivors[:_MAX_SURVIVORS]]
        hidden = len(summary.survivors) - len(names)
        found.append(f"still running: {', '.join(names)}{f' and {hidden:,} more' if hidden else ''}")
    warnings = [f"warning: {text}" for text in summary.warnings[:_MAX_WARNINGS]]
    if len(summary.warnings) > _MAX_WARNINGS:
        warnings.append(f"… and {plural(len(summary.warnings) - _MAX_WARNINGS, 'warning')} more")
    facts = [Remark(clean(each)) for each in found]
    return facts + [Remark(clean(each), is_warning=True) for each in warnings]
