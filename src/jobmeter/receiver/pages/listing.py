"""The page with a list of runs: the newest, and those of a filter."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from jobmeter.receiver.api.types import RunItem, RunList
from jobmeter.receiver.pages.layout import address
from jobmeter.report.figures import cores, duration, moment, size
from jobmeter.report.html_parts import text
from jobmeter.report.notes import job_identity
from jobmeter.report.text import clean, fit
from jobmeter.report.verdict import TONES

FIELDS = ("organization", "repository", "workflow", "job", "ref")
_CHOICES = {
    "state": {"running": "running", "finished": "finished", "lost": "lost"},
    "ended": {"failed": "failed, killed or lost", "whole": "went to the end"},
}
_NAME_CELLS, _DETAIL_CELLS = 120, 160
_HINTS = {"repository": "path or name", "ref": "refs/heads/main"}
_REASONS = {"oom": "out of memory", "unknown": "", None: ""}


def runs_body(found: RunList, query: Mapping[str, str]) -> str:
    """The runs as a table below the filter, which is filled in with what was asked for."""
    rows = "".join(_row(item) for item in found.runs)
    return (
        f'<h1 class="plain">Runs</h1>{_filter(query)}'
        + (f'<div class="card scroll" tabindex="0">{_table(rows)}</div>' if rows else _nothing(query))
        + _pager(found, query)
    )


def _table(rows: str) -> str:
    titles = ("state", "began, UTC", "took", "cores", "CPU time", "memory", "end")
    heads = "".join(f'<th scope="col"{_left(title)}>{title}</th>' for title in titles)
    return (
        f'<table class="runs"><thead><tr><th scope="col">job</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _row(item: RunItem) -> str:
    name = fit(job_identity(item.job), _NAME_CELLS) or "a job without a name"
    link = f'<a href="{text(address("runs", item.run_uid))}">{text(name)}</a>'
    cells = {
        "state": text(item.state),
        "began": _began(item),
        "took": text(duration(item.duration_seconds))
        + _small("when last heard of" if item.state == "running" else None),
        "cores": text(cores(_average_cores(item))),
        "CPU time": text(duration(item.cpu_seconds)),
        "memory": text(size(item.memory_peak_bytes)) + _small(item.memory_peak_source),
        "end": _end(item),
    }
    told = "".join(f'<td data-label="{title}"{_left(title)}>{cell}</td>' for title, cell in cells.items())
    return f'<tr><th scope="row">{link}{"".join(map(_small, _details(item)))}</th>{told}</tr>'


def _details(item: RunItem) -> Iterator[str]:
    """What tells a run from others of the same name, and what explains its row."""
    if not item.job.run_id:
        yield f"run {item.run_uid}"
    if item.exit_detail:
        yield item.exit_detail
    if item.container_count == 0:
        yield "no containers"
    elif item.container_count is None and item.state == "finished":
        yield "no summary that can be listed"


def _small(told: str | None) -> str:
    return f" <small>{text(fit(clean(told), _DETAIL_CELLS))}</small>" if told else ""


def _began(item: RunItem) -> str:
    known = item.start_time or item.received_at
    return text(moment(known).removesuffix(" UTC")) + _small(None if item.start_time else "received")


def _left(title: str) -> str:
    return ' class="left"' if title in ("state", "end") else ""


def _average_cores(item: RunItem) -> float | None:
    if item.cpu_seconds is None or not item.duration_seconds or item.duration_seconds <= 0:
        return None
    return item.cpu_seconds / item.duration_seconds


def _end(item: RunItem) -> str:
    reason = _REASONS.get(item.exit_reason, item.exit_reason or "")
    tone = TONES.get(item.exit_reason or "", "bold")
    return f'<span class="{tone}">{text(fit(clean(reason), 40))}</span>' if reason else ""


def _filter(query: Mapping[str, str]) -> str:
    fields = "".join(
        f'<label>{name}<input name="{name}" value="{text(query.get(name, ""))}" '
        f'placeholder="{_HINTS.get(name, "")}" autocomplete="off"></label>'
        for name in FIELDS
    )
    choices = "".join(_choice(name, options, query.get(name)) for name, options in _CHOICES.items())
    return f'<form class="filter" role="search" action="/runs">{fields}{choices}<button>Show</button></form>'


def _choice(name: str, options: Mapping[str, str], chosen: str | None) -> str:
    told = "".join(
        f'<option value="{value}"{" selected" if value == chosen else ""}>{told}</option>'
        for value, told in {"": "any", **options}.items()
    )
    return f'<label>{name if name != "ended" else "end"}<select name="{name}">{told}</select></label>'


def _nothing(query: Mapping[str, str]) -> str:
    if query:
        return '<p class="card">No run is like that. <a href="/runs">All runs</a></p>'
    return (
        '<p class="card">No run is stored yet. Send one: '
        "<code>jobmeter run --receiver=URL -- make</code>, URL being the address of the receiver without a path.</p>"
    )


def _pager(found: RunList, query: Mapping[str, str]) -> str:
    links = []
    kept = {name: value for name, value in query.items() if name != "cursor"}
    if "cursor" in query:
        links.append(f'<a href="/runs{text(_asked(kept))}">Newest</a>')
    if found.next_cursor:
        links.append(
            f'<a rel="next" href="/runs{text(_asked(kept | {"cursor": found.next_cursor}))}">Older</a>'
        )
    return f'<nav class="pager">{"".join(links)}</nav>' if links else ""


def _asked(query: Mapping[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""
