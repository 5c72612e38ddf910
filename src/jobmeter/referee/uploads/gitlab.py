"""GitLab's own place for what a referee found: an artifact of the job, sent as its runner sends one."""

import gzip
import secrets
from dataclasses import dataclass, field

from yarl import URL

from jobmeter.referee.uploads.port import Attachment
from jobmeter.referee.uploads.sending import USUAL, Parcel, Rules, Sending

_QUERY = "artifact_format=gzip&artifact_type=metrics_referee"
_FILE = "metrics_referee.json"
_ADVICE = {
    401: "the job's token is not accepted, which holds while the job runs",
    403: "the job is over, or its token may not",
    413: "the file is larger than this GitLab takes of an artifact",
}


def _same_request(asked: URL, location: URL) -> URL:
    """The same at another host, as GitLab's runner understands 307, with its token."""
    return location.origin().join(asked.relative())


_RULES = Rules(final=frozenset({403, 413}), redirect=_same_request, advice=_ADVICE)


@dataclass(frozen=True)
class GitLab:
    """The job ``job_id`` below ``api``, as https://gitlab.example/api/v4; ``token`` is the job's own."""

    api: str
    job_id: str
    token: str = field(repr=False)
    sending: Sending = USUAL

    async def upload(self, attachment: Attachment) -> str:
        """Attach it, compressed. Raises SendError."""
        boundary = secrets.token_hex(30)
        parcel = Parcel(
            "GitLab",
            "POST",
            URL(f"{self.api.rstrip('/')}/jobs/{self.job_id}/artifacts?{_QUERY}", encoded=True),
            {"Content-Type": f"multipart/form-data; boundary={boundary}", "JOB-TOKEN": self.token},
            _form(boundary, gzip.compress(attachment.content, mtime=0)),
            chunked=True,
        )
        await self.sending.send(parcel, _RULES)
        return f"attached to GitLab's job {self.job_id} as {_FILE}"


def _form(boundary: str, content: bytes) -> bytes:
    """One part, to the byte as its runner writes it."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{_FILE}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
