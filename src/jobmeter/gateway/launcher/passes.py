"""Whose a credential of a launched runner is, while it is good."""

from typing import Generic, TypeVar

from jobmeter.gateway.forges.facts import digest
from jobmeter.gateway.forges.own import Credential

Whose = TypeVar("Whose")


def digest_of(credential: Credential) -> str:
    """What is kept of it."""
    return digest(credential.uuid, credential.token)


class Passes(Generic[Whose]):
    """Credentials by their digests."""

    def __init__(self) -> None:
        self._whose: dict[str, Whose] = {}

    def issue(self, told: str, whose: Whose) -> None:
        """The credential with this digest is good."""
        self._whose[told] = whose

    def revoke(self, told: str) -> None:
        """It is not, any more."""
        self._whose.pop(told, None)

    def of(self, shown: Credential) -> Whose | None:
        """None if it is not known, or not any more."""
        return self._whose.get(digest_of(shown))
