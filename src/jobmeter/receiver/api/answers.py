"""What is said of stored runs: the functions behind the API and behind the pages.

Each takes a connection, reads, and returns a value of ``types``; none knows HTTP.
"""

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from jobmeter.model.exits import Exit
from jobmeter.model.job import Job
from jobmeter.model.summarize import RunFold, rfc3339_of
from jobmeter.model.summary import Summary
from jobmeter.receiver.api import courses
from jobmeter.receiver.api.buckets import Course
from jobmeter.receiver.api.courses import CourseFold
from jobmeter.receiver.api.parameters import cursor_after
from jobmeter.receiver.api.types import RunDetail, RunItem, RunList, RunTimeline
from jobmeter.receiver.store.courses import kept_course
from jobmeter.receiver.store.folding import first_record, fold_stored, silence, summary_of
from jobmeter.receiver.store.queries import Run, RunFilter, find_run, looked_down_to, newest_runs
from jobmeter.receiver.store.scopes import Scopes
from jobmeter.receiver.times import begin_of
from jobmeter.report.figures import largest, memory_peak, seen_seconds, total_cpu_seconds

_MAX_NUMBER = 2**63


class Found(Struct):
    """A run, and the summary that can be shown of it; ``raw`` is the summary as it was sent, if it is one."""

    detail: RunDetail
    raw: bytes | None = None


def list_runs(connection: Connection, wanted: RunFilter, before: int | None, limit: int) -> RunList:
    """At most ``limit`` runs, newest first, and the cursor of those after them: also where none was found so far."""
    found = RunList()
    last: int | None = None
    lowest = looked_down_to(connection, wanted, before)
    for run in newest_runs(connection, wanted, before, limit + 1, lowest):
        if len(found.runs) == limit and last is not None:
            lowest = last
            break
        found.runs.append(_item(run))
        last = run.id
    if lowest is not None:
        found.next_cursor = cursor_after(lowest)
    return found


def describe_run(connection: Connection, run_uid: str, scopes: Scopes = None) -> Found | None:
    """One run with its summary, of a running one made from what has come; None when there is none."""
    run = find_run(connection, run_uid, scopes)
    if run is None:
        return None
    detail = _detail(run)
    if _goes_on(run):
        fold = RunFold(timeline_points=2)
        fold_stored(connection, run.key, fold)
        detail.summary = _provisional(fold, run)
        detail.provisional = detail.summary is not None
        return Found(detail)
    detail.summary, as_sent = _summary(run)
    return Found(detail, run.summary if as_sent else None)


def course_of(
    connection: Connection,
    run_uid: str,
    *,
    points: int,
    resolution_seconds: float | None,
    scopes: Scopes = None,
) -> RunTimeline | None:
    """The course of a run in at most ``points`` buckets; None without a run.

    They are ``resolution_seconds`` long or the meter's interval, doubled as often as needed.
    """
    run = find_run(connection, run_uid, scopes)
    if run is None:
        return None
    return _read(connection, run, points, resolution_seconds)[1]


def show_run(
    connection: Connection,
    run_uid: str,
    *,
    points: int,
    resolution_seconds: float | None = None,
    scopes: Scopes = None,
) -> tuple[Found, RunTimeline] | None:
    """Both, the run and its course, for who shows both: what was streamed is read once."""
    run = find_run(connection, run_uid, scopes)
    if run is None:
        return None
    fold, course = _read(connection, run, points, resolution_seconds)
    detail = _detail(run)
    if not _goes_on(run):
        detail.summary, as_sent = _summary(run)
        return Found(detail, run.summary if as_sent else None), course
    detail.summary = None if fold is None else _provisional(fold, run)
    detail.provisional = detail.summary is not None
    return Found(detail), course


def _read(
    connection: Connection, run: Run, points: int, resolution_seconds: float | None
) -> tuple[RunFold | None, RunTimeline]:
    """What was streamed, as far as it must be read: the course of a long run that is over was kept."""
    if points == courses.POINTS and resolution_seconds is None and not _goes_on(run):
        kept = kept_course(connection, run.key)
        course = kept and courses.decode(kept, run.next_sequence)
        if course:
            return None, _timeline(run, course)
    first = first_record(connection, run.key)
    if first is None:
        return None, _timeline(run, Course(resolution_seconds=resolution_seconds or courses.FINEST))
    folds = CourseFold(first, points, resolution_seconds)
    fold_stored(connection, run.key, folds.fold)
    return folds.fold, _timeline(run, folds.course())


def _timeline(run: Run, course: Course) -> RunTimeline:
    return RunTimeline(run_uid=run.run_uid, state=run.state, **msgspec.structs.asdict(course))


def _goes_on(run: Run) -> bool:
    """Whether the summary is still to be made; of a reopened run there is one that no longer holds."""
    return run.summary is None or (run.state == "running" and not run.pushed)


def _item(run: Run) -> RunItem:
    item = RunItem(
        run_uid=run.run_uid,
        state=run.state,
        job=_job(run),
        received_at=_time(run.received_at),
        start_time=None if run.start_time is None else _time(run.start_time),
    )
    summary = None if _goes_on(run) else _summary(run)[0]
    if summary is not None:
        box = largest(summary)
        peak = memory_peak(box) if box else None
        item.start_time, item.end_time = summary.start_time, summary.end_time
        item.duration_seconds = seen_seconds(summary)
        item.cpu_seconds = total_cpu_seconds(summary)
        if peak:
            item.memory_peak_source, item.memory_peak_bytes = peak[0], int(peak[1])
        item.container_count = len(summary.containers)
        item.exit_reason, item.exit_detail = summary.exit.reason, summary.exit.detail
    elif run.state == "running":
        item.duration_seconds = _seconds_so_far(run)
    return item


def _seconds_so_far(run: Run) -> float:
    """Since its start, or since it was first heard of where its clock is ahead of ours."""
    return (run.heard_at - begin_of(run.start_time, run.received_at, run.heard_at)) / 1000


def _time(milliseconds: int) -> str:
    return rfc3339_of(milliseconds / 1000)


def _job(run: Run) -> Job:
    try:
        return msgspec.json.decode(run.job_json, type=Job)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Job()


def _summary(run: Run) -> tuple[Summary | None, bool]:
    """The summary of a run and whether it is so as it was sent.

    A collector of seed 000 names neither the run nor the job in it; they are filled in.
    """
    if run.summary is None:
        return None, False
    as_sent = True
    try:
        try:
            summary = msgspec.json.decode(run.summary, type=Summary)
        except msgspec.ValidationError:
            sent = msgspec.json.decode(run.summary, type=dict[str, Any])
            summary = msgspec.convert({"run_uid": run.run_uid, "job": _job(run)} | sent, Summary)
            as_sent = False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, False
    return (summary, as_sent) if _is_plausible(summary) else (None, False)


def _is_plausible(value: Any) -> bool:
    """Whether all numbers are such that one can calculate with them and tell them."""
    match value:
        case None | str():
            return True
        case int() | float():
            return abs(value) <= _MAX_NUMBER
        case Struct():
            return all(_is_plausible(getattr(value, name)) for name in value.__struct_fields__)
        case dict():
            return all(map(_is_plausible, value.values()))
    return all(map(_is_plausible, value))


def _detail(run: Run) -> RunDetail:
    return RunDetail(run_uid=run.run_uid, state=run.state, job=_job(run), received_at=_time(run.received_at))


def _provisional(fold: RunFold, run: Run) -> Summary | None:
    """The summary of what was streamed so far; a run that goes on has no end yet."""
    summary = summary_of(fold, Exit() if run.state == "running" else silence())
    return summary if summary is not None and _is_plausible(summary) else None
