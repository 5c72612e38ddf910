"""What `--upload` says, with what a job's environment says of its forge."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from jobmeter.config.options import web_address
from jobmeter.model.errors import UsageError
from jobmeter.referee.uploads.options import UploadOptions

GITLAB, ACTIONS = "gitlab", "actions"


def upload_place(text: str) -> str:
    """gitlab, actions, a directory, or a presigned URL, of which only the host is ever repeated."""
    accepted = f"accepted are {GITLAB}, {ACTIONS}, a directory that is there, and a presigned URL"
    if text in (GITLAB, ACTIONS):
        return text
    if "://" in text:
        _check_url(text)
    elif not os.path.isdir(text):
        raise UsageError(f"{text[:80]!r} is none of them; {accepted}")
    elif not os.access(text, os.W_OK | os.X_OK):
        raise UsageError(f"the directory {text[:80]!r} is not writable; {accepted}")
    return text


def _check_url(text: str) -> None:
    web_address(text.partition("?")[0], "https://bucket.s3.example/evidence.json?X-Amz-Signature=…")
    if not (text.isascii() and text.isprintable()) or " " in text or "#" in text:
        raise UsageError(
            f"the URL of {urlsplit(text).hostname!r} has a fragment, a blank or another sign than ASCII"
        )
    if urlsplit(text).username is not None:
        raise UsageError(f"the URL of {urlsplit(text).hostname!r} has a user name; a presigned URL has none")


def upload_options(text: str, environ: Mapping[str, str]) -> UploadOptions:
    """The place that ``text`` names. Raises UsageError for a job whose environment does not have what it needs."""
    if text == GITLAB:
        return UploadOptions(
            kind="gitlab",
            address=_address(environ, "CI_API_V4_URL", GITLAB),
            job_id=_job_id(environ),
            token=_needed(environ, "CI_JOB_TOKEN", GITLAB),
            ca_file=environ.get("CI_SERVER_TLS_CA_FILE") or None,
        )
    if text == ACTIONS:
        if not environ.get("ACTIONS_RESULTS_URL"):
            _needed(environ, "ACTIONS_RUNTIME_URL", ACTIONS)
        return UploadOptions(
            kind="actions",
            token=_needed(environ, "ACTIONS_RUNTIME_TOKEN", ACTIONS),
            address=_known_address(environ, "ACTIONS_RESULTS_URL"),
            runtime_url=_known_address(environ, "ACTIONS_RUNTIME_URL"),
            run_id=environ.get("GITHUB_RUN_ID") or None,
        )
    return UploadOptions(kind="presigned" if "://" in text else "directory", address=text)


def _needed(environ: Mapping[str, str], name: str, place: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise UsageError(f"--upload {place} needs {name}, which a job of that forge has in its environment")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise UsageError(f"{name} has a blank, or a sign that no header can have")
    return value


def _address(environ: Mapping[str, str], name: str, place: str) -> str:
    _needed(environ, name, place)
    return _known_address(environ, name) or ""


def _known_address(environ: Mapping[str, str], name: str) -> str | None:
    if not environ.get(name):
        return None
    try:
        return web_address(environ[name], "https://forge.example")
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _job_id(environ: Mapping[str, str]) -> str:
    job_id = _needed(environ, "CI_JOB_ID", GITLAB)
    if not (job_id.isascii() and job_id.isdigit()):
        raise UsageError(f"CI_JOB_ID: {job_id[:40]!r} is no number")
    return job_id
