"""Artifacts, version 4: one is created, its ZIP goes to a signed URL in one block, and its digest makes it final."""

import binascii
import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec
from yarl import URL

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.artifact import RULES, read_as
from jobmeter.referee.uploads.port import Attachment
from jobmeter.referee.uploads.sending import USUAL, Parcel, Reply, Sending

_SERVICE = "twirp/github.actions.results.api.v1.ArtifactService"
_BLOCK = binascii.b2a_base64(b"jobmeter-0000000", newline=False).decode()
_BLOCKS = f'<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>{_BLOCK}</Latest></BlockList>'


class NotThere(SendError):
    """The forge does not know this protocol."""


class _Created(msgspec.Struct):
    """Forgejo and Gitea write names in one way, GitHub in the other."""

    ok: bool = False
    camel: str = msgspec.field(name="signedUploadUrl", default="")
    snake: str = msgspec.field(name="signed_upload_url", default="")


class _Finished(msgspec.Struct):
    ok: bool = False


@dataclass(frozen=True)
class ActionsV4:
    """Below ``results_url``; ``run`` and ``job`` are the forge's numbers, as the token has them."""

    results_url: str
    token: str = field(repr=False)
    run: str
    job: str
    sending: Sending = USUAL

    async def upload(self, attachment: Attachment) -> str:
        """Attach it. Raises NotThere, SendError."""
        packed = _packed(attachment)
        created = read_as(await self._create(attachment.name), _Created)
        address = created.camel or created.snake
        if not created.ok or not address:
            raise SendError("the forge made no artifact, and says no reason", retryable=False)
        await self._put(address, packed)
        finished = await self._call(
            "FinalizeArtifact",
            name=attachment.name,
            size=str(len(packed)),
            hash=f"sha256:{hashlib.sha256(packed).hexdigest()}",
        )
        if not read_as(finished, _Finished).ok:
            raise SendError("the forge did not take the artifact, and says no reason", retryable=False)
        return f"the artifact {attachment.name} of the run"

    async def _create(self, name: str) -> Reply:
        try:
            return await self._call("CreateArtifact", name=name, version=4)
        except SendError as error:
            if error.status in (404, 405, 501):
                raise NotThere(str(error), retryable=False, status=error.status) from None
            raise

    async def _call(self, method: str, **fields: Any) -> Reply:
        url = URL(f"{self.results_url.rstrip('/')}/{_SERVICE}/{method}", encoded=True)
        told = {"workflow_run_backend_id": self.run, "workflow_job_run_backend_id": self.job, **fields}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        parcel = Parcel("the forge", "POST", url, headers, msgspec.json.encode(told))
        return await self.sending.send(parcel, RULES)

    async def _put(self, address: str, packed: bytes) -> None:
        """To where the forge says; what may write is in the URL, and the token stays here."""
        service = "the forge's storage"
        block = Parcel(service, "PUT", _signed(address, comp="block", blockid=_BLOCK), {}, packed)
        await self.sending.send(block, RULES)
        headers = {"Content-Type": "application/xml", "x-ms-blob-content-type": "application/zip"}
        blocks = Parcel(service, "PUT", _signed(address, comp="blocklist"), headers, _BLOCKS.encode())
        await self.sending.send(blocks, RULES)


def _signed(address: str, **more: str) -> URL:
    """The signed URL to the letter, with more in its query. Raises SendError."""
    try:
        url = URL(f"{address}{'&' if '?' in address else '?'}{urlencode(more)}", encoded=True)
    except ValueError:
        url = URL()
    if (
        url.scheme not in ("http", "https")
        or not url.host
        or not address.isascii()
        or not address.isprintable()
    ):
        raise SendError("the forge says no address to send the artifact to", retryable=False)
    return url


def _packed(attachment: Attachment) -> bytes:
    """A ZIP of the one file, the same for the same content."""
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(attachment.file), attachment.content, zipfile.ZIP_DEFLATED)
    return text.getvalue()
