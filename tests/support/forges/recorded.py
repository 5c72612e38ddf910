"""A forge that answers as it was recorded, one exchange after the other."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.captures import Answered, Asked, Exchange
from tests.support.forges.raw import Line, RawForge, Seen, response

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding"}
)


class RecordedForge(RawForge):
    """Gives the answers of ``exchanges`` in their order."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        super().__init__(self._as_recorded)
        self._left = list(exchanges)

    async def _as_recorded(self, seen: Seen, line: Line) -> None:
        exchange = self._left.pop(0)
        assert exchange.response is not None
        await line.send(written(exchange.response))


def written(answered: Answered) -> bytes:
    """A recorded answer as it goes over the wire, without the coding that the recorder took off."""
    return response(answered.status, answered.body, *end_to_end(answered))


def end_to_end(side: Answered | Asked) -> list[tuple[str, str]]:
    """The headers that are not between two hops only."""
    return [
        (name, value)
        for name, values in side.headers.items()
        for value in values
        if name.lower() not in HOP_BY_HOP
    ]
