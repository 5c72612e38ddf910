"""Where evidence is to go, as the command line and the job's environment say it."""

from typing import Literal

from msgspec import Struct


class UploadOptions(Struct, frozen=True, kw_only=True):
    """One place. ``address`` is GitLab's API, a directory, a presigned URL, or the base of newer artifacts.

    ``job_id`` is GitLab's; ``runtime_url`` and ``run_id`` are for older artifacts. ``ca_file`` has authorities that
    are accepted besides the system's.
    """

    kind: Literal["gitlab", "actions", "directory", "presigned"]
    address: str | None = None
    token: str | None = None
    job_id: str | None = None
    runtime_url: str | None = None
    run_id: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        """Without the token and the URL, which may be one."""
        return f"UploadOptions({self.kind})"
