"""What a request may do, and with which runs."""

from typing import Literal

from msgspec import Struct
from starlette.requests import HTTPConnection
from starlette.types import Scope as RequestScope

from jobmeter.receiver.store.scopes import Scopes, covered

Right = Literal["read", "push", "mint"]


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


ANYONE = Grant(who="anyone")
"""Where no token is asked for."""


def put_grant(scope: RequestScope, grant: Grant) -> None:
    """Keep it with the request."""
    scope["grant"] = grant


def grant_of(request: HTTPConnection) -> Grant:
    """What the guard has put there. A handler that shows or stores runs keeps to its ``scopes``."""
    grant: Grant = request.scope["grant"]
    return grant
