"""Artifacts, version 3: Forgejo and Gitea say where the file goes, take it in one piece, and are told of its end."""

import binascii
import gzip
import hashlib
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec
from yarl import URL

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.artifact import RULES, read_as
from jobmeter.referee.uploads.port import Attachment
from jobmeter.referee.uploads.sending import USUAL, Parcel, Reply, Sending

_VERSION = "api-version=6.0-preview"


class _Container(msgspec.Struct):
    url: str = msgspec.field(name="fileContainerResourceUrl", default="")


@dataclass(frozen=True)
class ActionsV3:
    """Below ``runtime_url``, as http://forge.example/api/actions_pipeline/."""

    runtime_url: str
    token: str = field(repr=False)
    run_id: str
    sending: Sending = USUAL

    async def upload(self, attachment: Attachment) -> str:
        """Attach it, compressed on its way. Raises SendError."""
        name = attachment.name
        body = msgspec.json.encode({"Type": "actions_storage", "Name": name})
        made = await self._ask("POST", f"?{_VERSION}", {"Content-Type": "application/json"}, body)
        packed = gzip.compress(attachment.content, mtime=0)
        path = quote(f"{name}/{attachment.file}", safe="")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "gzip",
            "Content-Range": f"bytes 0-{len(packed) - 1}/{len(packed)}",
            "x-tfs-filelength": str(len(attachment.content)),
            "x-actions-results-md5": binascii.b2a_base64(
                hashlib.md5(packed, usedforsecurity=False).digest(), newline=False
            ).decode(),
        }
        await self._ask("PUT", f"/{_place(made)}?itemPath={path}", headers, packed)
        await self._ask("PATCH", f"?{_VERSION}&artifactName={quote(name, safe='')}", {}, b"")
        return f"the artifact {name} of the run"

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        base = f"{self.runtime_url.rstrip('/')}/_apis/pipelines/workflows/{quote(self.run_id, safe='')}/artifacts"
        told = {"Accept": f"application/json;{_VERSION}", "Authorization": f"Bearer {self.token}"}
        url = URL(base + path, encoded=True)
        parcel = Parcel("the forge", method, url, told | headers, body)
        return await self.sending.send(parcel, RULES)


def _place(made: Reply) -> str:
    """What the forge calls the artifact in paths. Raises SendError.

    Of the URL that it says only this end is used: its host may be known to people only, and the token is for the
    address that the job was told.
    """
    url = read_as(made, _Container).url
    place = url.partition("?")[0].rpartition("/artifacts/")[2]
    if place == "" or "/artifacts/" not in url or ".." in place or not place.isascii():
        raise SendError("the forge's answer is none that this protocol has", retryable=False)
    return place
