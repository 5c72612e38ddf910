"""Which job a run belongs to, and on which machine it ran."""

from typing import Annotated

from msgspec import Meta, Struct


class Job(Struct, frozen=True, kw_only=True):
    """One execution of one CI job on a forge; what is not known is null. It is not a run's key."""

    forge: Annotated[str | None, Meta(description="forgejo, gitea, github, gitlab or another word.")] = None
    server_url: Annotated[str | None, Meta(description="The forge's address.")] = None
    organization: Annotated[str | None, Meta(description="The owner of the repository.")] = None
    repository: Annotated[str | None, Meta(description="Its full path: organization/name.")] = None
    workflow: Annotated[str | None, Meta(description="File name of the workflow.")] = None
    job: Annotated[str | None, Meta(description="Name of the job.")] = None
    run_id: Annotated[
        str | None, Meta(description="The forge's id of the run; every leg of a matrix has the same.")
    ] = None
    attempt: Annotated[int | None, Meta(description="Number of the attempt, from 1.")] = None
    matrix: Annotated[
        dict[str, str | int | float | bool | None] | None,
        Meta(description="This leg of the matrix: values by their names."),
    ] = None
    ref: Annotated[str | None, Meta(description="Full git reference, as refs/heads/main.")] = None
    base_ref: Annotated[str | None, Meta(description="Target branch of a pull or merge request.")] = None
    sha: Annotated[str | None, Meta(description="The commit.")] = None
    event: Annotated[str | None, Meta(description="What started the run: push, pull_request, schedule.")] = (
        None
    )
    runner: Annotated[str | None, Meta(description="Name of the runner.")] = None
    runner_labels: Annotated[tuple[str, ...], Meta(description="Labels of the runner.")] = ()

    def __hash__(self) -> int:
        """Of what mostly tells jobs apart; a matrix has no hash."""
        return hash((self.server_url, self.repository, self.workflow, self.job, self.run_id, self.attempt))


class Host(Struct, frozen=True, kw_only=True):
    """The machine; what could not be read is null."""

    name: Annotated[str | None, Meta(description="Its host name.")] = None
    cpus: Annotated[int | None, Meta(description="How many CPUs are online.")] = None
    memory_bytes: Annotated[int | None, Meta(description="All of its memory: MemTotal.")] = None
    kernel: Annotated[str | None, Meta(description="Release of the kernel.")] = None
