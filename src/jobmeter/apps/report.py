"""`jobmeter report`: a journal or a summary in any form, two of them side by side, or a referee's evidence."""

import sys
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from jobmeter.apps import outputs
from jobmeter.apps.evidence_report import evidence_in, render_evidence
from jobmeter.apps.load import Loaded, load
from jobmeter.apps.newest import newest
from jobmeter.config.settings import ReportSettings
from jobmeter.model import summary as summaries
from jobmeter.model.errors import JobmeterError, UsageError
from jobmeter.model.summarize import rfc3339

_FOR_PEOPLE = (None, "terminal", "markdown", "html")


def report(settings: ReportSettings, environ: Mapping[str, str]) -> int:
    """Write the report to stdout or to the named file; where it is sent, only if a form or a file was named."""
    outputs.check_file("--output", settings.output)
    if not settings.files:
        found = newest(environ)
        if found.remark is not None:
            outputs.say(found.remark)
        settings = msgspec.structs.replace(settings, files=(found.path,))
    if settings.receiver is not None or settings.push_endpoint is not None:
        from jobmeter.apps.replay import replay

        replay(settings)
        if settings.format is None and settings.output is None:
            return 0
    document = evidence_in(settings.files[0]) if len(settings.files) == 1 else None
    if document is not None:
        width, colour = _terminal(settings, environ)
        text = render_evidence(document, settings.format, width=width, colour=colour)
    else:
        text = _of_runs(settings, environ)
    if settings.output is None:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
        return 0
    try:
        outputs.write_file(settings.output, text)
    except OSError as error:
        raise JobmeterError(f"{settings.output} could not be written: {error.strerror}") from None
    return 0


def _of_runs(settings: ReportSettings, environ: Mapping[str, str]) -> str:
    keep = settings.format == "jsonl"
    runs = [load(path, settings.run, settings.top, keep_samples=keep) for path in settings.files]
    if settings.format in _FOR_PEOPLE:
        runs = [_as_it_goes_on(run) for run in runs]
    return _compare(runs, settings, environ) if len(runs) == 2 else _render(runs[0], settings, environ)


def _as_it_goes_on(run: Loaded) -> Loaded:
    """A run whose meter still writes has no end yet; what programs read has to call it lost, as the contract does."""
    if not run.running:
        return run
    from jobmeter.report.verdict import RUNNING

    return msgspec.structs.replace(run, summary=msgspec.structs.replace(run.summary, exit=RUNNING))


def _render(run: Loaded, settings: ReportSettings, environ: Mapping[str, str]) -> str:
    match settings.format:
        case "json":
            return summaries.encode(run.summary).decode()
        case "jsonl":
            return _samples(run)
        case "markdown":
            from jobmeter.report.markdown import render_markdown

            return render_markdown(run.summary, run.timeline)
        case "html":
            from jobmeter.report.html import render_html, require_html

            require_html()
            return render_html(run.summary, run.timeline)
        case "csv":
            from jobmeter.report.tables import render_csv

            return render_csv(run.summary, run.timeline)
        case "openmetrics":
            from jobmeter.report.openmetrics import render_openmetrics

            return render_openmetrics(run.summary)
    from jobmeter.report.terminal import render_terminal

    width, colour = _terminal(settings, environ)
    return render_terminal(run.summary, run.timeline, width=width, colour=colour)


def _compare(runs: list[Loaded], settings: ReportSettings, environ: Mapping[str, str]) -> str:
    if settings.format == "markdown":
        from jobmeter.report.compare import compare_markdown

        return compare_markdown(runs[0].summary, runs[1].summary)
    if settings.format not in (None, "terminal"):
        raise UsageError(
            f"--format {settings.format} shows one run; two are compared as terminal or markdown"
        )
    from jobmeter.report.compare import render_comparison

    width, colour = _terminal(settings, environ)
    return render_comparison(runs[0].summary, runs[1].summary, width=width, colour=colour)


def _samples(run: Loaded) -> str:
    """One JSON object a sample: its time, then the counters as they were read."""
    if not run.samples:
        raise UsageError("--format jsonl shows samples, which only a journal has")
    begun = datetime.fromisoformat(run.summary.start_time)
    lines = []
    for tick in run.samples:
        time = rfc3339(begun + timedelta(seconds=tick.sample.elapsed_seconds))
        body = msgspec.to_builtins(tick.sample)
        lines.append(msgspec.json.encode({"run_uid": tick.run_uid, "time": time, **body}).decode())
    return "\n".join(lines)


def _terminal(settings: ReportSettings, environ: Mapping[str, str]) -> tuple[int, bool]:
    width = settings.width or outputs.terminal_columns(sys.stdout, environ)
    terminal = settings.output is None and sys.stdout.isatty()
    colour = terminal and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
    return max(40, min(width, 160)), colour
