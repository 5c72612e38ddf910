"""A storage that speaks as S3 does, by a URL that was signed beforehand; the URL is the secret."""

from dataclasses import dataclass, field

from yarl import URL

from jobmeter.referee.uploads.port import Attachment
from jobmeter.referee.uploads.sending import USUAL, Parcel, Rules, Sending

_ADVICE = {403: "the URL may be over, or be signed for something else"}
_RULES = Rules(redirect=lambda _, location: location, advice=_ADVICE)


@dataclass(frozen=True)
class Presigned:
    """One object, put by ``url``."""

    url: str = field(repr=False)
    sending: Sending = USUAL

    async def upload(self, attachment: Attachment) -> str:
        """Put it there as it is. Raises SendError."""
        url = URL(self.url, encoded=True)
        parcel = Parcel(f"the storage {url.host}", "PUT", url, {}, attachment.content)
        await self.sending.send(parcel, _RULES)
        return f"in the storage {url.host}"
