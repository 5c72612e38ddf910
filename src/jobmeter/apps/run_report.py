"""The reports of a finished `jobmeter run`: on stderr and in files."""

import os
import sys
from collections.abc import Mapping

from jobmeter.apps import outputs
from jobmeter.apps.run_record import RunRecord
from jobmeter.config.settings import RunSettings
from jobmeter.model import summary as summaries
from jobmeter.model.summary import Summary
from jobmeter.model.timeline import Timeline


def check_outputs(settings: RunSettings) -> None:
    """Refuse outputs that cannot be made before the command starts. Raises UsageError."""
    outputs.check_file("--json", settings.json)
    outputs.check_file("--markdown", settings.markdown)
    outputs.check_file("--html", settings.html)
    if settings.html:
        from jobmeter.report.html import require_html

        require_html()


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
    if target is None and step_summary and os.path.exists(step_summary) and os.access(step_summary, os.W_OK):
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

    terminal = sys.stderr.isatty()
    colour = terminal and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
    columns = os.get_terminal_size(sys.stderr.fileno()).columns if terminal else 0
    width = columns or 80  # A serial console does not know how wide it is.
    text = render_terminal(summary, timeline, width=max(40, min(width, 120)), colour=colour)
    try:
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        sys.stderr.flush()
    except OSError:
        return  # Nobody reads; the job's exit code stays.
