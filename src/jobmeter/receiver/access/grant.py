"""What a request may do, and with which runs."""

from typing import Literal, get_args

from msgspec import Struct
from starlette.requests import HTTPConnection
from starlette.types import Scope as RequestScope

from jobmeter.ops.problems import Problem
from jobmeter.receiver.store.forms import name_alone
from jobmeter.receiver.store.scopes import Scopes, covered

Right = Literal["read", "push", "mint"]
RIGHTS: tuple[Right, ...] = get_args(Right)


class Grant(Struct, frozen=True, kw_only=True):
    """What the guard found out about who asks.

    ``who`` is the name of the token or of the person, for the log. ``scopes`` are the runs it is about: None are all
    of them.
    """

    who: str
    scopes: Scopes = None

    def covers(
        self, organization: str | None, repository: str | None, workflow: str | None, job: str | None
    ) -> bool:
        """Whether a run with these names is among what it is about."""
        return covered(self.scopes, organization, repository, workflow, job)

    def check_covers(
        self, organization: str | None, repository: str | None, workflow: str | None, job: str | None
    ) -> None:
        """Raises a problem 403 for a run with these names that is not; ``who`` and the names are the sender's own."""
        if not self.covers(organization, repository, workflow, job):
            may = ", ".join(map(str, self.scopes or ())) or "nothing"
            alone = name_alone(organization or "", repository or "")
            names = "/".join(name or "-" for name in (organization, alone, workflow, job))
            raise Problem(
                403, f"The token that was sent stores runs of {may[:500]}; this is one of {names[:500]}."
            )


ANYONE = Grant(who="anyone")
"""Where no token is asked for."""


def put_grant(scope: RequestScope, grant: Grant) -> None:
    """Keep it with the request."""
    scope["grant"] = grant


def granted(scope: RequestScope) -> Grant:
    """What the guard has put there."""
    grant: Grant = scope["grant"]
    return grant


def grant_of(request: HTTPConnection) -> Grant:
    """The same of a request. A handler that shows or stores runs keeps to its ``scopes``."""
    return granted(request.scope)
