"""The page with what runs now; its rows are sent again while it is looked at."""

from jobmeter.model.quantities import format_percent
from jobmeter.model.rates import MIN_SPAN_SECONDS
from jobmeter.receiver.live import Now, Recent, RunningJob
from jobmeter.receiver.pages.layout import address
from jobmeter.report.figures import cores, duration, moment, roughly, size
from jobmeter.report.html_parts import SCROLLING, bar, text
from jobmeter.report.html_spark import spark
from jobmeter.report.notes import job_identity
from jobmeter.report.sparkline import resample
from jobmeter.report.text import clean, fit, plural

_NAME_CELLS = 120
_CONTAINER_CELLS = 30
LATE_SECONDS = 15.0
"""From here on something is in the way of the samples."""
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
        f'{SCROLLING}<table class="runs now"><thead><tr><th scope="col">job</th>'
        f'{heads}</tr></thead><tbody data-live="rows">{rows}</tbody></table></div></div>'
        f'<div data-live="nothing"{" hidden" if rows else ""}>{_NOTHING}</div>{_given_up(now)}'
    )


def _given_up(now: Now) -> str:
    """Where a run has gone that is here no more, and did not end."""
    if now.lost_after_seconds is None:
        return ""
    return (
        f'<p class="hinted">A run that is silent for {text(roughly(now.lost_after_seconds))} counts as lost and '
        'leaves this page; <a href="/runs?state=lost">the lost runs</a> are in the list.</p>'
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
    return {job.run_uid: _row(job, now) for job in now.jobs}


def _row(job: RunningJob, now: Now) -> str:
    name = fit(job_identity(job.job), _NAME_CELLS) or f"run {job.run_uid}"
    link = f'<a href="{text(address("runs", job.run_uid))}">{text(name)}</a>'
    cells = zip(
        _TITLES,
        (_since(job, now.time), _cpu(job), _memory(job), _throttled(job), _lag(job, now)),
        strict=True,
    )
    told = "".join(f'<td data-label="{title}">{cell}</td>' for title, cell in cells)
    return f'<tr data-uid="{text(job.run_uid)}"><th scope="row">{link}</th>{told}</tr>'


def _since(job: RunningJob, time: str) -> str:
    """How long it runs; the day is told where it is not today."""
    begun = f"since {moment(job.start_time).removeprefix(time[:10]).strip()}" if job.start_time else ""
    if job.running_seconds is not None and job.running_seconds >= MIN_SPAN_SECONDS:
        return text(roughly(job.running_seconds)) + _small(begun)
    return ("not known" if job.silent_seconds >= LATE_SECONDS else "just begun") + _small(begun)


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


def _lag(job: RunningJob, now: Now) -> str:
    """How old the newest sample is, and how much of that its way took; of a silent run when it is given up."""
    age = job.silent_seconds if job.sample_age_seconds is None else job.sample_age_seconds
    told = f"none for {roughly(age)}" if job.sample_age_seconds is None else _age(age)
    about = f"{duration(job.delivery_seconds)} on its way" if job.delivery_seconds is not None else ""
    if job.silent_seconds >= LATE_SECONDS and now.lost_after_seconds is not None:
        restarted = now.listening_seconds is not None and job.silent_seconds > now.listening_seconds
        since = " since the receiver was started" if restarted else ""
        about = f"lost after {roughly(now.lost_after_seconds)} of silence{since}"
    late = ' class="warn"' if age >= LATE_SECONDS else ""
    return f"<span{late}>{text(told)}</span>{_small(about)}"


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 100 else f"{roughly(seconds)} ago"


def _small(told: str) -> str:
    return f" <small>{text(told)}</small>" if told else ""
