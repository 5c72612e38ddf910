"""What an operator has said about who may do what."""

from msgspec import Struct

DEFAULT_JOB_TOKEN_SECONDS = 86_400.0
DEFAULT_RATE_LIMIT = 2_000


class AccessRules(Struct, frozen=True, kw_only=True):
    """The settings of access; what is not said of a token is not asked for.

    ``job_key`` signs the tokens of jobs, ``job_token_seconds`` is how long they last at most. ``read_token_mints`` lets
    read tokens make them too. ``rate_limit`` are requests a second of a token that is limited to some runs, 0 for no
    limit. ``loopback`` says that only this machine reaches the receiver, ``tls`` that it speaks HTTPS.
    """

    read_token: str | None = None
    push_token: str | None = None
    job_key: str | None = None
    job_token_seconds: float = DEFAULT_JOB_TOKEN_SECONDS
    read_token_mints: bool = False
    rate_limit: int = DEFAULT_RATE_LIMIT
    loopback: bool = False
    tls: bool = False
