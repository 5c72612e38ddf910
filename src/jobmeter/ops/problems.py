"""What goes wrong in a request, as RFC 9457 problem JSON: one sentence that names the field and what is accepted."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(Struct, kw_only=True, omit_defaults=False):
    """The body of every answer that is not a success."""

    type: Annotated[
        str, Meta(description="Always about:blank: the status says what kind of problem it is.")
    ] = "about:blank"
    title: Annotated[str, Meta(description="The name of the status.")]
    status: Annotated[int, Meta(description="The status of the answer.")]
    detail: Annotated[str, Meta(description="One sentence: what is wrong, where, what is accepted.")]


class Problem(Exception):
    """An answer that is not a success; ``members`` are extra members of its body.

    ``people`` is the sentence for who looks at a page, where ``detail`` speaks to programs.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        people: str | None = None,
        headers: dict[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.people = detail if people is None else people
        self.headers = headers or {}
        self.members = members

    def body(self) -> bytes:
        """The problem as JSON."""
        details = ProblemDetails(title=HTTPStatus(self.status).phrase, status=self.status, detail=self.detail)
        return msgspec.json.encode(msgspec.to_builtins(details) | self.members)

    def response(self) -> Response:
        """The problem as an answer."""
        return Response(self.body(), self.status, self.headers, MEDIA_TYPE)


class NotFound(Problem):
    """There is no such thing."""

    def __init__(self, detail: str, *, people: str | None = None) -> None:
        super().__init__(404, detail, people=people)


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    def __init__(self, method: str, accepted: Sequence[str]) -> None:
        listed = ", ".join(accepted)
        super().__init__(405, f"The method {method} is not accepted here; accepted are {listed}.",
                         headers={"Allow": listed})  # fmt: skip


class TooLarge(Problem):
    """The body is larger than what is accepted."""

    def __init__(self, limit: int, what: str = "The body") -> None:
        super().__init__(413, f"{what} is too large; at most {limit} bytes are accepted.")


class Unavailable(Problem):
    """It cannot be done now; the same request is welcome after some seconds, ``closing`` over another connection."""

    def __init__(self, detail: str, retry_after_seconds: int = 1, *, closing: bool = False) -> None:
        headers = {"Retry-After": str(retry_after_seconds)}
        super().__init__(503, detail, headers=headers | ({"Connection": "close"} if closing else {}))
