"""Lines in the log that say who did what, from where. No token is in them, nor a part of one."""

import time
from collections import OrderedDict

from jobmeter.ops.log import Notices
from jobmeter.ops.routing import Route
from jobmeter.receiver.access.limits import neighbourhood

_SPARING_SECONDS = 10.0
_MAX_REMEMBERED = 1024


class Audit:
    """Writes the lines. What anybody can make happen is said of each neighbourhood once in a while."""

    def __init__(self, log: Notices) -> None:
        self._log = log
        self._said_at: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def done(self, action: str, *, who: str, at: str, **fields: object) -> None:
        """Somebody has done something, from this address."""
        self._log.info("audit", action=action, who=who, address=at, **fields)

    def refused(self, route: Route, at: str, status: int) -> None:
        """Somebody was not let in; ``unsaid`` are those of the neighbourhood since the line before."""
        now, near = time.monotonic(), neighbourhood(at)
        said_at, unsaid = self._said_at.get(near, (-_SPARING_SECONDS, 0))
        if now - said_at < _SPARING_SECONDS:
            self._said_at[near] = (said_at, unsaid + 1)
            return
        self._said_at[near] = (now, 0)
        self._said_at.move_to_end(near)
        if len(self._said_at) > _MAX_REMEMBERED:
            self._said_at.popitem(last=False)
        self._log.info(
            "audit",
            action="refused",
            route=f"{route.method} {route.path}",
            status=status,
            address=at,
            unsaid=unsaid,
        )
