"""What the API answers about history; the OpenAPI document is generated from these types."""

from typing import Annotated

from msgspec import Meta, Struct, field

from jobmeter.model.history.compare import Difference
from jobmeter.model.history.digest import Digest, Level, PastRun, Waste
from jobmeter.model.history.fleet import Account

_Organization = Annotated[str, Meta(description="The owner of the repository; empty where not known.")]
_Repository = Annotated[str, Meta(description="The repository, without its organization.")]
_Workflow = Annotated[str, Meta(description="The workflow; empty where not known.")]
_Job = Annotated[str, Meta(description="The job's name; empty where not known.")]
_Next = Annotated[str | None, Meta(description="`cursor` for what follows; null when there is nothing.")]
_LastRun = Annotated[
    str | None, Meta(description="RFC 3339, UTC: when the last run began; null when its runs are gone.")
]


class JobHistory(Struct, kw_only=True):
    """The runs of one job that are over, newest first, and what they say together."""

    organization: _Organization
    repository: _Repository
    workflow: _Workflow
    job: _Job
    runs: Annotated[list[PastRun], Meta(description="At most `limit` of them; none of a job that never ran.")]
    digest: Annotated[Digest, Meta(description="Of these runs.")]
    next_cursor: _Next = None


class RepositoryItem(Struct, kw_only=True):
    """A repository of which jobs ran."""

    organization: _Organization
    repository: _Repository
    jobs: Annotated[int, Meta(description="How many jobs of it ran, of all its workflows.")]
    runs: Annotated[int, Meta(description="How many runs these had; runs that go on are not counted.")]
    last_run_at: _LastRun = None


class RepositoryList(Struct, kw_only=True):
    """Repositories of which jobs ran."""

    repositories: Annotated[list[RepositoryItem], Meta(description="At most `limit` of them.")]
    next_cursor: _Next = None


class Recent(Struct, kw_only=True):
    """The last of the runs that levels are of, oldest first, a value for each; null where it was not read."""

    duration: Annotated[list[float | None], Meta(description="Seconds.")] = field(default_factory=list)
    cpu_seconds: Annotated[list[float | None], Meta(description="CPU time.")] = field(default_factory=list)
    memory: Annotated[list[float | None], Meta(description="The need of the largest container, bytes.")] = (
        field(default_factory=list)
    )


class JobItem(Struct, kw_only=True):
    """One job of a repository, by its last runs."""

    workflow: _Workflow
    job: _Job
    runs: Annotated[int, Meta(description="How many runs it had.")]
    last_run: Annotated[PastRun | None, Meta(description="The newest of them that is there.")] = None
    ref: Annotated[
        str | None,
        Meta(description="The git reference that levels are of, as in the digest of the job's history."),
    ] = None
    leg: Annotated[str, Meta(description="The leg of the matrix that they are of.")] = ""
    levels: Annotated[
        tuple[Level, ...],
        Meta(
            description="The newest level of memory, CPU time and duration among the last 200 runs, as the digest of "
            "these has it."
        ),
    ] = ()
    cpu: Annotated[Waste, Meta(description="CPU reserved and used, of the last 30 runs.")] = Waste()
    memory: Annotated[Waste, Meta(description="Memory reserved and needed, of the same.")] = Waste()
    recent: Annotated[Recent, Meta(description="The last 30 of that branch and leg, run by run.")] = field(
        default_factory=Recent
    )


class RepositoryDetail(Struct, kw_only=True):
    """A repository and its jobs."""

    organization: _Organization
    repository: _Repository
    total: Annotated[int, Meta(description="So many jobs there are, of those with `words`.")]
    jobs: Annotated[list[JobItem], Meta(description="At most `limit` of them.")]
    ordered: Annotated[
        int,
        Meta(
            description="So many of them are in this order, those that ran last; of the others none follows. Fewer "
            "than all only where they are ordered by what they used."
        ),
    ]
    next_cursor: _Next = None


class Side(Struct, kw_only=True):
    """What is compared: one run, or the last whole runs of a branch; and of which job."""

    organization: _Organization
    repository: _Repository
    workflow: _Workflow
    job: _Job
    ref: Annotated[str | None, Meta(description="The git reference.")] = None
    runs: Annotated[list[PastRun], Meta(description="Newest first.")] = field(default_factory=list)


class Comparison(Struct, kw_only=True):
    """Two sides of one job, or of two."""

    before: Annotated[Side, Meta(description="What it is compared with.")]
    after: Annotated[Side, Meta(description="What is looked at.")]
    differences: Annotated[list[Difference], Meta(description="Of each measure that a side tells.")]


class FleetJob(Struct, kw_only=True):
    """One job over the time."""

    organization: _Organization
    repository: _Repository
    workflow: _Workflow
    job: _Job
    account: Annotated[Account, Meta(description="Its runs together.")]


class FleetDay(Struct, kw_only=True):
    """One day."""

    day: Annotated[str, Meta(description="UTC, as 2026-11-21.")]
    account: Annotated[Account, Meta(description="The runs that began on it; costs are null.")]


class Fleet(Struct, kw_only=True):
    """All runs of a time."""

    since: Annotated[str, Meta(description="The first day, UTC.")]
    until: Annotated[str, Meta(description="The last day, UTC.")]
    currency: Annotated[str | None, Meta(description="Of the price table; null without one.")] = None
    total: Annotated[Account, Meta(description="All of them together.")] = field(default_factory=Account)
    jobs: Annotated[
        list[FleetJob],
        Meta(
            description="Those that waste most, at most `limit`: by cost, without prices by core-hours with "
            "4 GiB-hours as one."
        ),
    ] = field(default_factory=list)
    days: Annotated[list[FleetDay], Meta(description="Each day with a run, in their order.")] = field(
        default_factory=list
    )
