"""Which runs somebody may see or store: those of an organization, a repository, a workflow, a job."""

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, and_, false, or_, true

from jobmeter.receiver.store.forms import both_forms
from jobmeter.receiver.store.schema import runs
from jobmeter.receiver.store.usage_tables import jobs


class Scope(Struct, frozen=True, kw_only=True):
    """The runs of an organization, or of a part of it; None does not narrow it further.

    ``repository`` is the full path or the name alone: a run may have been stored under either.
    """

    organization: str
    repository: str | None = None
    workflow: str | None = None
    job: str | None = None

    def covers(
        self, organization: str | None, repository: str | None, workflow: str | None, job: str | None
    ) -> bool:
        """Whether a run with these names is one of them; a name that is not known is not the one asked for."""
        return (
            organization == self.organization
            and (self.repository is None or repository in self._repositories())
            and (self.workflow is None or workflow == self.workflow)
            and (self.job is None or job == self.job)
        )

    def includes(self, other: "Scope") -> bool:
        """Whether all runs of the other are among these."""
        return self.covers(other.organization, other.repository, other.workflow, other.job)

    def condition(self, of: Table = runs) -> ColumnElement[bool]:
        """The same of a row of runs, or of jobs, which have repositories by their names alone."""
        found = [of.c.organization == self.organization]
        if self.repository is not None:
            forms = self._repositories()
            found.append(of.c.repository == forms[0] if of is jobs else of.c.repository.in_(forms))
        if self.workflow is not None:
            found.append(of.c.workflow == self.workflow)
        if self.job is not None:
            found.append(of.c.job == self.job)
        return and_(*found)

    def _repositories(self) -> tuple[str, str]:
        return both_forms(self.organization, self.repository or "")

    def __str__(self) -> str:
        """As a path; what it is not narrowed to is left out, or a star before something that is there."""
        name = None if self.repository is None else self._repositories()[0]
        parts = [self.organization, name, self.workflow, self.job]
        while parts[-1] is None:
            parts.pop()
        return "/".join("*" if part is None else part for part in parts)


Scopes = tuple[Scope, ...] | None
"""Of each the runs; None is all runs there are, those without a name included, and an empty tuple none."""


def covered(
    scopes: Scopes, organization: str | None, repository: str | None, workflow: str | None, job: str | None
) -> bool:
    """Whether a run with these names is within one of the scopes."""
    return scopes is None or any(one.covers(organization, repository, workflow, job) for one in scopes)


def covered_job(scopes: Scopes, names: tuple[str, str, str, str]) -> bool:
    """The same of a job, whose repository is told by its name alone: `acme/engine` of `acme` is `acme/acme/engine`."""
    organization, repository, workflow, job = names
    return covered(scopes, organization, f"{organization}/{repository}", workflow, job)


def within(scopes: Scopes, of: Table = runs) -> ColumnElement[bool]:
    """The condition that keeps a query of runs, or of jobs, to what is within one of the scopes."""
    if scopes is None:
        return true()
    return or_(*(one.condition(of) for one in scopes)) if scopes else false()
