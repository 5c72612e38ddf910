"""The guard before the receiver's routes: who asks, and what that one may do."""

from starlette.types import Scope

from jobmeter.ops.access import Tokens
from jobmeter.ops.routing import Route
from jobmeter.receiver.access.grant import ANYONE, put_grant


class Guard:
    """Lets in who may."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def admit(self, route: Route, scope: Scope) -> None:
        """Raises a problem for who may not."""
        self._tokens.admit(route, scope)
        put_grant(scope, ANYONE)
