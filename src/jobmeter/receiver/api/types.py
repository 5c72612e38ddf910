"""What the API answers about runs; the OpenAPI document is generated from these types."""

from typing import Annotated

from msgspec import Meta, Struct, field

from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from jobmeter.receiver.api.buckets import Course
from jobmeter.receiver.store.history import MOST_LOOKED_AT
from jobmeter.receiver.store.queries import State

_Uid = Annotated[str, Meta(description="The run's key.")]
_State = Annotated[
    State,
    Meta(description="running: parts still come; lost: it fell silent without an end; finished: all others."),
]
_ReceivedAt = Annotated[str, Meta(description="RFC 3339, UTC: when the run was first heard of.")]
_Job = Annotated[Job, Meta(description="Which job of which forge it was; null where not known.")]


class RunItem(Struct, kw_only=True):
    """One run of a list; what is not known, as the use of a run that still streams, is null."""

    run_uid: _Uid
    state: _State
    job: _Job
    received_at: _ReceivedAt
    start_time: Annotated[str | None, Meta(description="RFC 3339, UTC.")] = None
    end_time: Annotated[str | None, Meta(description="RFC 3339, UTC.")] = None
    duration_seconds: Annotated[
        float | None,
        Meta(
            description="From its start to its end; of a running run to when something of it was last stored."
        ),
    ] = None
    cpu_seconds: Annotated[
        float | None, Meta(description="CPU time of the job, that of no nameable container included.")
    ] = None
    memory_peak_bytes: Annotated[
        int | None, Meta(description="The highest memory peak of a container at the top.")
    ] = None
    memory_peak_source: Annotated[
        str | None,
        Meta(
            description="What that peak is, in the report's words: `working set`, `RSS sum`, `largest process`, …"
        ),
    ] = None
    container_count: Annotated[int | None, Meta(description="How many containers its summary tells of.")] = (
        None
    )
    exit_reason: Annotated[str | None, Meta(description="How the job ended, as in the summary.")] = None
    exit_detail: Annotated[str | None, Meta(description="One sentence about it, as in the summary.")] = None


class RunList(Struct, kw_only=True):
    """Runs, the newest first."""

    runs: Annotated[list[RunItem], Meta(description="At most `limit` of them.")] = field(default_factory=list)
    next_cursor: Annotated[
        str | None,
        Meta(
            description="`cursor` for the runs that follow; null when there are none. There may be some although fewer "
            f"than `limit` are here: for what no index tells, {MOST_LOOKED_AT:,} runs are looked through at a time."
        ),
    ] = None


class RunDetail(Struct, kw_only=True):
    """One run with all that is known of it; its sections, which marks begin, are in the summary."""

    run_uid: _Uid
    state: _State
    job: _Job
    received_at: _ReceivedAt
    provisional: Annotated[bool, Meta(description="The summary is made of what has come so far.")] = False
    summary: Annotated[
        Summary | None,
        Meta(description="Null when what was sent cannot be read as a summary of this version."),
    ] = None


class RunTimeline(Course, kw_only=True):
    """The course of one run; a run that was pushed as a summary alone has no buckets."""

    run_uid: _Uid
    state: _State
