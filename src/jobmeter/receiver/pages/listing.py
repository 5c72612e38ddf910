"""The page with a list of runs: the newest, and those of a filter."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from jobmeter.receiver.api.types import RunItem, RunList
from jobmeter.receiver.live import RunningJob
from jobmeter.receiver.pages.layout import address
from jobmeter.receiver.store.history import MOST_LOOKED_AT
from jobmeter.receiver.store.usages import Names
from jobmeter.report.figures import cores, duration, moment, size
from jobmeter.report.history_words import short_ref
from jobmeter.report.html_parts import SCROLLING, text
from jobmeter.report.notes import job_identity
from jobmeter.report.text import clean, fit
from jobmeter.report.verdict import TONES

FIELDS = ("organization", "repository", "workflow", "job", "ref")
_CHOICES = {
    "state": {"running": "running", "finished": "finished", "lost": "lost"},
    "ended": {"failed": "failed, killed or lost", "whole": "went to the end"},
}
_NAME_CELLS, _DETAIL_CELLS = 120, 160
_HINTS = {"repository": "path or name", "ref": "main"}
_LATE_SECONDS = 3600.0
_NEWEST = "newest sample"
_REASONS = {"oom": "out of memory", "unknown": "", None: ""}


def runs_body(
    found: RunList,
    query: Mapping[str, str],
    known: Sequence[Names] = (),
    running: Mapping[str, RunningJob] | None = None,
) -> str:
    """The runs as a table below the filter, which is filled in with what was asked for.

    ``known`` are names that the filter offers, ``running`` what is known now of runs that go on, by their keys.
    """
    rows = "".join(_row(item, (running or {}).get(item.run_uid)) for item in found.runs)
    return (
        f'<h1 class="plain">Runs</h1><p class="lead">{_LEAD}</p>{_filter(query, _offered(found, known))}'
        + (f"{SCROLLING}{_table(rows)}</div>" if rows else _nothing(found, query))
        + _pager(found, query)
    )


_LEAD = "The newest first, in the order in which the receiver heard of them"


def _table(rows: str) -> str:
    titles = ("state", "began, UTC", "took", "cores", "CPU time", "memory", "end")
    heads = "".join(f'<th scope="col"{_left(title)}>{title}</th>' for title in titles)
    return (
        f'<table class="runs"><thead><tr><th scope="col">job</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _row(item: RunItem, now: RunningJob | None) -> str:
    name = fit(job_identity(item.job), _NAME_CELLS) or "a job without a name"
    link = f'<a href="{text(address("runs", item.run_uid))}">{text(name)}</a>'
    cells = {
        "state": text(item.state),
        "began": _began(item),
        "took": text(duration(item.duration_seconds)) + _small("so far" if item.state == "running" else None),
        "cores": text(cores(_average_cores(item))),
        "CPU time": text(duration(item.cpu_seconds)),
        "memory": text(size(item.memory_peak_bytes)) + _small(item.memory_peak_source),
        "end": _end(item),
    }
    if now is not None and item.state == "running":
        cells |= {"cores": _newest(cores(now.cpu_cores)), "memory": _newest(size(now.memory_bytes))}
    told = "".join(f'<td data-label="{title}"{_left(title)}>{cell}</td>' for title, cell in cells.items())
    return f'<tr><th scope="row">{link}{"".join(map(_small, _details(item)))}</th>{told}</tr>'


def _newest(value: str) -> str:
    return text(value) + _small(_NEWEST if value else None)


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
    """With when it was received, where that is what is known, or what explains its place in the list."""
    if item.start_time is None:
        return _clock(item.received_at) + _small("received")
    return _clock(item.start_time) + _small(
        f"received {_clock(item.received_at)}" if _came_late(item) else None
    )


def _clock(time: str) -> str:
    return text(moment(time).removesuffix(" UTC"))


def _came_late(item: RunItem) -> bool:
    try:
        ended = datetime.fromisoformat(item.end_time or item.start_time or "")
        return (datetime.fromisoformat(item.received_at) - ended).total_seconds() > _LATE_SECONDS
    except (ValueError, TypeError):
        return False


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


def _offered(found: RunList, known: Iterable[Names]) -> dict[str, list[str]]:
    """What each field of the form may be filled in with."""
    columns = [*zip(*known, strict=True)] or [()] * 4
    owners, repositories, workflows, jobs = columns
    paths = [f"{owner}/{name}" if owner else name for owner, name in zip(owners, repositories, strict=True)]
    refs = [short_ref(item.job.ref) for item in found.runs if item.job.ref]
    offered = zip(FIELDS, (owners, paths, workflows, jobs, refs), strict=True)
    return {field: [name for name in dict.fromkeys(names) if name] for field, names in offered}


def _filter(query: Mapping[str, str], offered: Mapping[str, Iterable[str]]) -> str:
    fields = "".join(_field(name, query.get(name, ""), offered[name]) for name in FIELDS)
    choices = "".join(_choice(name, options, query.get(name)) for name, options in _CHOICES.items())
    return f'<form class="filter" role="search" action="/runs">{fields}{choices}<button>Show</button></form>'


def _field(name: str, value: str, offered: Iterable[str]) -> str:
    options = "".join(f'<option value="{text(one)}"></option>' for one in offered)
    return (
        f'<label>{name}<input name="{name}" value="{text(value)}" list="known-{name}" '
        f'placeholder="{_HINTS.get(name, "whole name")}" autocomplete="off"></label>'
        f'<datalist id="known-{name}">{options}</datalist>'
    )


def _choice(name: str, options: Mapping[str, str], chosen: str | None) -> str:
    told = "".join(
        f'<option value="{value}"{" selected" if value == chosen else ""}>{told}</option>'
        for value, told in {"": "any", **options}.items()
    )
    return f'<label>{name if name != "ended" else "end"}<select name="{name}">{told}</select></label>'


def _nothing(found: RunList, query: Mapping[str, str]) -> str:
    if found.next_cursor:
        return (
            f'<p class="card">None of the {MOST_LOOKED_AT:,} runs that were looked through is like that.</p>'
        )
    if query:
        return f'<p class="card">No run is like that. {_similar(query)}<a href="/runs">All runs</a></p>'
    return (
        '<p class="card">No run is stored yet. Send one: '
        "<code>jobmeter run --receiver=URL -- make</code>, URL being the address of the receiver without a path.</p>"
    )


def _similar(query: Mapping[str, str]) -> str:
    """Where to look for a repository of which only a part of the name is known."""
    part = query.get("repository")
    if not part:
        return ""
    link, told = text(f"/repositories{_asked({'words': part})}"), text(fit(clean(part), 40))
    return f'<a href="{link}">Repositories with “{told}” in their names</a> · '


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
