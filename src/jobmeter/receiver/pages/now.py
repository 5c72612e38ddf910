"""The page with what runs now; its rows are sent again while it is looked at."""

from jobmeter.model.quantities import format_percent
from jobmeter.receiver.live import Now, Recent, RunningJob
from jobmeter.receiver.pages.layout import address
from jobmeter.report.figures import cores, duration, moment, roughly, size
from jobmeter.report.html_parts import bar, text
from jobmeter.report.html_spark import spark
from jobmeter.report.notes import job_identity
from jobmeter.report.sparkline import resample
from jobmeter.report.text import clean, fit, plural

_NAME_CELLS = 120
_CONTAINER_CELLS = 30
# From here on something is in the way of the samples.
_LATE_SECONDS = 15.0
_THROTTLED_SHARE = 0.01
_PARTS = 48
"""So many points the last minutes are drawn with."""
_TITLES = ("runs for", "CPU, cores", "memory", "throttled", "newest sample")
_NOTHING = (
    '<p class="card">No job is running now. <a href="/runs">All runs</a> are in the list; a job shows itself here '
    "while it runs with <code>jobmeter run --receiver=URL -- make</code>, URL being the address of this page.</p>"
)


def now_body(now: Now) -> str:
    """The running jobs, the newest first."""
    heads = "".join(f'<th scope="col">{title}</th>' for title in _TITLES)
    rows = "".join(now_rows(now).values())
    return (
        f'<h1 class="plain">Now</h1><p class="lead" data-live="lead">{now_lead(now)}</p>'
        f'<div data-live="events" data-events="/now/events"{"" if rows else " hidden"}>'
        '<div class="card scroll" tabindex="0"><table class="runs now"><thead><tr><th scope="col">job</th>'
        f'{heads}</tr></thead><tbody data-live="rows">{rows}</tbody></table></div></div>'
        f'<div data-live="nothing"{" hidden" if rows else ""}>{_NOTHING}</div>'
    )


def now_lead(now: Now) -> str:
    """One line over all of them, as HTML."""
    if not now.jobs:
        return f"Nothing runs · {text(moment(now.time))}"
    used = sum(job.cpu_cores or 0.0 for job in now.jobs)
    held = sum(job.memory_bytes or 0 for job in now.jobs)
    more = "the newest " if now.more else ""
    parts = [
        f"{more}{plural(len(now.jobs), 'job')}",
        f"{cores(used)} cores",
        f"{size(held)} of memory in use",
    ]
    return text(" · ".join((*parts, moment(now.time))))


def now_rows(now: Now) -> dict[str, str]:
    """The row of each job as HTML, by the key of its run."""
    return {job.run_uid: _row(job, now.time) for job in now.jobs}


def _row(job: RunningJob, time: str) -> str:
    name = fit(job_identity(job.job), _NAME_CELLS) or f"run {job.run_uid}"
    link = f'<a href="{text(address("runs", job.run_uid))}">{text(name)}</a>'
    cells = zip(
        _TITLES, (_since(job, time), _cpu(job), _memory(job), _throttled(job), _lag(job)), strict=True
    )
    told = "".join(f'<td data-label="{title}">{cell}</td>' for title, cell in cells)
    return f'<tr data-uid="{text(job.run_uid)}"><th scope="row">{link}</th>{told}</tr>'


def _since(job: RunningJob, time: str) -> str:
    """How long it runs; the day is told where it is not today."""
    begun = f"since {moment(job.start_time).removeprefix(time[:10]).strip()}" if job.start_time else ""
    return text(roughly(job.running_seconds) if job.running_seconds else "just begun") + _small(begun)


def _cpu(job: RunningJob) -> str:
    if job.cpu_cores is None:
        return ""
    limit = job.cpu_limit_cores
    of = _small(f"of {cores(limit)}" if limit else "")
    return spark(_course(job.recent), "cpu", top=limit or 1.0) + text(cores(job.cpu_cores)) + of


def _course(recent: Recent) -> list[float | None]:
    """The last minutes in equal parts, at the right where there is little yet."""
    if not recent.elapsed_seconds:
        return []
    begin, parts = recent.elapsed_seconds[0], min(_PARTS, len(recent.elapsed_seconds))
    ends = [elapsed - begin for elapsed in recent.elapsed_seconds]
    found = resample(ends, recent.cpu_cores, parts, ends[-1])
    return [None] * (_PARTS - parts) + found


def _memory(job: RunningJob) -> str:
    if job.memory_bytes is None:
        return ""
    limit = job.memory_limit_bytes
    of = f"of {size(limit)}" if limit else ""
    where = f"in {fit(clean(job.container), _CONTAINER_CELLS)}" if job.container else ""
    level = bar(job.memory_bytes / limit, "memory") if limit else ""
    return level + text(size(job.memory_bytes)) + _small(" ".join(one for one in (of, where) if one))


def _throttled(job: RunningJob) -> str:
    """Time that was withheld, in which several CPUs may have a share at once."""
    share = job.throttled_ratio
    if share is None:
        return ""
    tone = ' class="warn"' if share >= _THROTTLED_SHARE else ""
    return f"<span{tone}>{text(format_percent(share))}</span>" + _small("of a CPU")


def _lag(job: RunningJob) -> str:
    """How old the newest sample is, and how much of that its way took."""
    if job.sample_age_seconds is None:
        return text(f"none for {roughly(job.silent_seconds)}")
    late = ' class="warn"' if job.sample_age_seconds >= _LATE_SECONDS else ""
    way = f"{duration(job.delivery_seconds)} on its way" if job.delivery_seconds is not None else ""
    return f"<span{late}>{text(_age(job.sample_age_seconds))}</span>" + _small(way)


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 100 else f"{roughly(seconds)} ago"


def _small(told: str) -> str:
    return f" <small>{text(told)}</small>" if told else ""
