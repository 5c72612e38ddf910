"""The reports of a finished `jobmeter run`: on stderr and in files."""

import os
import sys
from collections.abc import Mapping

from msgspec.structs import replace

from jobmeter.apps import outputs
from jobmeter.apps.run_record import RunRecord
from jobmeter.config.settings import RunSettings
from jobmeter.model import summary as summaries
from jobmeter.model.errors import JobmeterError, MissingExtra, UsageError
from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline


def check_outputs(settings: RunSettings) -> RunSettings:
    """Refuse flags that name an output which cannot be made, before the command starts. Raises UsageError.

    One that a variable names, and a page without the library that draws it, is left out: the job runs all the same.
    """
    for name in ("json", "markdown", "html"):
        try:
            outputs.check_file(
                f"--{name}" if name in settings.flags else f"JOBMETER_{name.upper()}", getattr(settings, name)
            )
        except UsageError as error:
            if name in settings.flags:
                raise
            settings = _without(settings, name, error)
    if settings.html:
        from jobmeter.report.html import require_html

        try:
            require_html()
        except MissingExtra as error:
            settings = _without(settings, "html", error)
    return settings


def _without(settings: RunSettings, name: str, error: JobmeterError) -> RunSettings:
    outputs.say(f"{getattr(settings, name)} is not written: {error}")
    return replace(settings, **{name: None})


def write(
    settings: RunSettings, environ: Mapping[str, str], record: RunRecord, *, quiet: bool = False
) -> None:
    """Write every report that was asked for, and print one unless ``quiet``; one that fails is a sentence on stderr."""
    summary, timeline = record.fold.summary(), record.fold.timeline()
    if settings.json:
        target = settings.json
        outputs.attempt(target, lambda: outputs.write_file(target, summaries.encode(summary)))
    _write_markdown(settings, environ, summary, timeline)
    if settings.html:
        _write_html(settings.html, summary, timeline)
    if not quiet:
        outputs.attempt("The report", lambda: _print(environ, summary, timeline))


def _write_markdown(
    settings: RunSettings, environ: Mapping[str, str], summary: Summary, timeline: Timeline
) -> None:
    step_summary = environ.get("GITHUB_STEP_SUMMARY")
    target = settings.markdown
    # In a container the variable may name a place of the machine around it.
    if target is None and step_summary and os.path.isdir(os.path.dirname(step_summary) or "."):
        target = step_summary
    if target is None:
        return
    from jobmeter.report.markdown import render_markdown

    path = target
    outputs.attempt(path, lambda: outputs.append_markdown(path, render_markdown(summary, timeline)))


def _write_html(target: str, summary: Summary, timeline: Timeline) -> None:
    from jobmeter.report.html import render_html

    outputs.attempt(target, lambda: outputs.write_file(target, render_html(summary, timeline)))


def _print(environ: Mapping[str, str], summary: Summary, timeline: Timeline) -> None:
    from jobmeter.report.terminal import render_terminal

    colour = sys.stderr.isatty() and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
    width = outputs.terminal_columns(sys.stderr, environ)
    text = render_terminal(summary, timeline, width=max(40, min(width, 120)), colour=colour)
    try:
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        sys.stderr.flush()
    except OSError:
        return  # Nobody reads; the job's exit code stays.
