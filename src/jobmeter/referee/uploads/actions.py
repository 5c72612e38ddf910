"""Artifacts of Forgejo, Gitea and GitHub: by the newer protocol where the forge has it, else by the older one."""

import binascii
from dataclasses import dataclass, field

import msgspec

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.actions_v3 import ActionsV3
from jobmeter.referee.uploads.actions_v4 import ActionsV4, NotThere
from jobmeter.referee.uploads.port import Attachment
from jobmeter.referee.uploads.sending import USUAL, Sending

_SCOPE = "Actions.Results"


class Scope(msgspec.Struct, frozen=True):
    """Whose a runtime token is: the forge's own numbers, as texts; ``task`` where the token has it."""

    run: str
    job: str
    task: str | None = None


class _Claims(msgspec.Struct):
    scp: str = ""
    task: int | None = msgspec.field(name="TaskID", default=None)


def scope_of(token: str) -> Scope | None:
    """What the token says of itself; None for one that is of an older forge. It is not verified: the forge does."""
    try:
        _, payload, _ = token.split(".")
        text = binascii.a2b_base64(payload.replace("-", "+").replace("_", "/") + "==")
        claims = msgspec.json.decode(text, type=_Claims)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    for scope in claims.scp.split():
        name, _, numbers = scope.partition(":")
        run, separator, job = numbers.partition(":")
        if name == _SCOPE and separator and run and job:
            return Scope(run, job, None if claims.task is None else str(claims.task))
    return None


@dataclass(frozen=True)
class Actions:
    """Of one job; ``token`` is its runtime token. ``results_url`` is where the newer protocol is, ``runtime_url`` the
    older one; ``run_id`` is for tokens that do not tell it.
    """

    token: str = field(repr=False)
    results_url: str | None = None
    runtime_url: str | None = None
    run_id: str | None = None
    sending: Sending = USUAL

    async def upload(self, attachment: Attachment) -> str:
        """Attach it as an artifact of the run. Raises SendError."""
        scope = scope_of(self.token)
        if self.results_url is not None and scope is not None:
            newer = ActionsV4(self.results_url, self.token, scope.run, scope.job, self.sending)
            try:
                return await newer.upload(attachment)
            except NotThere:
                if self.runtime_url is None:
                    raise
        run_id = scope.run if scope is not None else self.run_id
        if self.runtime_url is None or run_id is None:
            raise SendError(
                "the job's environment does not say where its artifacts go: ACTIONS_RESULTS_URL with a token that "
                "tells its run, or ACTIONS_RUNTIME_URL with GITHUB_RUN_ID",
                retryable=False,
            )
        return await ActionsV3(self.runtime_url, self.token, run_id, self.sending).upload(attachment)
