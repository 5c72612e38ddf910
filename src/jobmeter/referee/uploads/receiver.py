"""jobmeter's own receiver, which keeps evidence with the run that it is of."""

import gzip
from dataclasses import dataclass, field
from urllib.parse import quote

from yarl import URL

from jobmeter.referee.uploads.sending import USUAL, Parcel, Rules, Sending

_GZIP_LEVEL = 1
"""The highest takes a hundred times as long for a few hundredths of the size."""
_RULES = Rules(advice={401: "its push token is another one", 403: "the token may not push"})


@dataclass(frozen=True)
class Receiver:
    """The one at ``address``; ``token`` is its push token."""

    address: str
    token: str | None = field(default=None, repr=False)
    sending: Sending = USUAL

    async def keep(self, packed: bytes, run_uid: str | None) -> None:
        """Have a packed document kept with this run, or with the one of its job. Raises SendError.

        404 is the status of a run that is not there, or not there yet; 409 also that of names which several have.
        """
        path = "evidence" if run_uid is None else f"runs/{quote(run_uid, safe='')}/evidence"
        url = URL(f"{self.address.rstrip('/')}/api/v1/{path}", encoded=True)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        await self.sending.send(Parcel("the receiver", "POST", url, headers, packed), _RULES)


def packed(document: bytes) -> bytes:
    """As it is sent."""
    return gzip.compress(document, _GZIP_LEVEL, mtime=0)
