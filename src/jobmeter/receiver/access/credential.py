"""What a token is good for, once it has been found."""

import time

from msgspec import Struct

from jobmeter.receiver.access.grant import Grant, Right


class Credential(Struct, frozen=True, kw_only=True):
    """What may be done with it and until when, in seconds since 1970.

    ``token_id`` and ``fingerprint`` are there for a token of the database; ``made_by`` is the fingerprint or the id of
    that with which it was minted, without which it is nothing any more.
    """

    rights: frozenset[Right]
    grant: Grant
    expires_at: float | None = None
    token_id: int | None = None
    fingerprint: str | None = None
    made_by: str | int | None = None

    @property
    def hangs_on_the_database(self) -> bool:
        """Whether it may be taken back there."""
        return self.token_id is not None or self.made_by is not None

    @property
    def is_valid(self) -> bool:
        """Whether its time has not passed."""
        return self.expires_at is None or time.time() < self.expires_at
