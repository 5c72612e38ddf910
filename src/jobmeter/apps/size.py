"""`jobmeter size`: says what a job should request, or writes it into a file."""

import os
import sys
from collections.abc import Mapping

from jobmeter.apps import outputs
from jobmeter.apps.size_source import Sized, sized
from jobmeter.config.size import SizeSettings
from jobmeter.model.errors import JobmeterError, UsageError


def size(settings: SizeSettings, environ: Mapping[str, str]) -> int:
    """Say it on stdout, or show or make the change of a file."""
    if settings.patch is not None:
        _patch(settings.patch, settings)
        return 0
    sys.stdout.write(_said(sized(settings), settings, environ))
    sys.stdout.flush()
    return 0


def _check_known(found: Sized, what: str) -> None:
    """The default of a job without a run, whose name may be mistyped, goes into no file. Raises JobmeterError."""
    if not found.advice.containers:
        reason = found.advice.meta.reason
        raise JobmeterError(f"{what}: {reason[:1].lower()}{reason[1:]}")


def _said(found: Sized, settings: SizeSettings, environ: Mapping[str, str]) -> str:
    from jobmeter.report import sizing_forms

    if settings.format not in ("text", "json"):
        _check_known(found, f"nothing to write as {settings.format}")
    match settings.format:
        case "json":
            return sizing_forms.sizing_json(found.advice).decode()
        case "kubernetes":
            return sizing_forms.kubernetes_yaml(found.advice)
        case "docker":
            return sizing_forms.docker_text(found.advice)
        case "gitlab":
            return sizing_forms.gitlab_yaml(found.advice)
        case "text":
            from jobmeter.report.notes import job_identity
            from jobmeter.report.sizing_text import render_sizing

            width = settings.width or outputs.terminal_columns(sys.stdout, environ)
            colour = sys.stdout.isatty() and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
            width = max(40, min(width, 160))
            return render_sizing(found.advice, job_identity(found.job), width=width, colour=colour)


def _patch(path: str, settings: SizeSettings) -> None:
    """Raises UsageError for a file that cannot be read, or is none that takes advice; JobmeterError without a run."""
    from jobmeter.report.sizing_patch import patch

    if settings.write:
        outputs.check_file("--patch", path)
    before = _text(path)
    found = sized(settings)
    _check_known(found, f"{path} is not changed")
    changed = patch(before, found.advice, name=_shown(path), job=found.job.job)
    meta = found.advice.meta
    if meta.confidence_phase != "confident":
        outputs.say(f"{meta.confidence_phase}: {meta.reason}")
    for name in changed.missing:
        outputs.say(f"{name} is not in {path}, so its advice is left out")
    if changed.after == before:
        outputs.say(f"{path} says that already, nothing is to be changed")
    elif settings.write:
        _write(path, changed.after)
        outputs.say(f"{path} is changed")
    else:
        sys.stdout.write(changed.diff())
        sys.stdout.flush()


def _text(path: str) -> str:
    """The text with its line ends as they are."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"--patch: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--patch: {path} is no text in UTF-8") from None


def _write(path: str, text: str) -> None:
    try:
        outputs.rewrite_file(path, text)
    except OSError as error:
        raise JobmeterError(f"{path} could not be written: {error.strerror}") from None


def _shown(path: str) -> str:
    """As it is named below the working directory, which `git apply` and `patch -p1` want; else as it was named."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
