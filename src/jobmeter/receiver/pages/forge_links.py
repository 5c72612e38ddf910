"""Where a run, its commit and its repository are shown by their forge, as far as the run's own facts tell it.

Nothing of this is ours: whoever sends a run says which address it has. So only addresses that begin with https are
made, out of parts that cannot change what they mean.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from jobmeter.model.job import Job

_HOST = re.compile(r"(?=.{1,253}(?::|$))[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_MAX_CHARACTERS = 1000
_FORGES = ("github", "gitlab", "forgejo", "gitea")


class ForgeLink(NamedTuple):
    """What is shown there, and its address."""

    what: str
    address: str


def forge_links(job: Job) -> list[ForgeLink]:
    """The links, the nearest to the run first; none where the forge's address is not known to be one.

    Forgejo and Gitea find a run by its number within the repository, which a job is not told as its id: there the
    commit is as near as it gets.
    """
    server, path = _server(job.server_url or ""), _path(job)
    if server is None or path is None or job.forge not in _FORGES:
        return []
    repository = f"{server}/{path}"
    inside = f"{repository}/-" if job.forge == "gitlab" else repository
    return [*_run(job, inside), *_commit(job, inside), ForgeLink("repository", repository)]


def host_of(job: Job) -> str:
    """The name of the forge's machine, for people who look where a link goes."""
    return urlsplit(_server(job.server_url or "") or "").netloc


def _server(told: str) -> str | None:
    """The address without its last slash; None for any that is not plainly https."""
    if len(told) > _MAX_CHARACTERS or not told.isascii() or not told.isprintable() or " " in told:
        return None
    try:
        parts = urlsplit(told)
    except ValueError:
        return None
    if parts.scheme != "https" or parts.query or parts.fragment or not _HOST.fullmatch(parts.netloc):
        return None
    segments = [segment for segment in parts.path.split("/") if segment]
    return None if _moves(segments) else "/".join((f"https://{parts.netloc}", *map(_quoted, segments)))


def _path(job: Job) -> str | None:
    """The repository's path on the forge; GitLab has groups within groups."""
    name = job.repository or ""
    segments = (name if "/" in name else f"{job.organization or ''}/{name}").split("/")
    if not all(segments) or _moves(segments) or sum(map(len, segments)) > _MAX_CHARACTERS:
        return None
    return "/".join(map(_quoted, segments))


def _run(job: Job, repository: str) -> Iterator[ForgeLink]:
    run_id = job.run_id or ""
    if not _NUMBER.fullmatch(run_id):
        return
    if job.forge == "github":
        attempt = f"/attempts/{job.attempt}" if job.attempt is not None and job.attempt > 0 else ""
        yield ForgeLink("run", f"{repository}/actions/runs/{run_id}{attempt}")
    elif job.forge == "gitlab":
        yield ForgeLink("pipeline", f"{repository}/pipelines/{run_id}")


def _commit(job: Job, repository: str) -> Iterator[ForgeLink]:
    if _COMMIT.fullmatch(job.sha or ""):
        yield ForgeLink("commit", f"{repository}/commit/{job.sha}")


def _moves(segments: list[str]) -> bool:
    return any(segment in (".", "..") for segment in segments)


def _quoted(segment: str) -> str:
    return quote(segment, safe="")
