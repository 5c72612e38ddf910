"""The pages of repositories: all of them, and the jobs of one."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from jobmeter.receiver.api.history_types import JobItem, RepositoryDetail, RepositoryItem, RepositoryList
from jobmeter.receiver.pages.history_parts import (
    NAME_CELLS,
    Cell,
    Option,
    asked,
    choice,
    day_and_time,
    end_cell,
    field,
    form,
    job_address,
    pager,
    small,
    table,
    waste_cell,
)
from jobmeter.receiver.pages.layout import address
from jobmeter.report.figures import duration, size
from jobmeter.report.html_parts import text
from jobmeter.report.html_spark import spark
from jobmeter.report.text import clean, fit, plural

_ORDERS = (Option("last", "last run"), Option("name", "name"), Option("runs", "number of runs"))


def repositories_body(found: RepositoryList, query: Mapping[str, str]) -> str:
    """Repositories below the filter."""
    words, order = query.get("words", ""), query.get("order", "last")
    filters = form(
        "/repositories",
        field("words", "repository", words, "part of its path"),
        choice("order", "order by", _ORDERS, order),
    )
    rows = table([_repository_row(item) for item in found.repositories], "repository")
    return f'<h1 class="plain">Repositories</h1>{filters}{rows or _nothing(query)}{_pages(found, query)}'


def _repository_row(item: RepositoryItem) -> tuple[str, Sequence[Cell]]:
    name = fit(clean(f"{item.organization}/{item.repository}"), NAME_CELLS)
    link = f'<a href="{text(address("repositories", item.organization, item.repository))}">{text(name)}</a>'
    return link, (
        Cell("jobs", f"{item.jobs:,}"),
        Cell("runs", f"{item.runs:,}"),
        Cell("last run, UTC", day_and_time(item.last_run_at)),
    )


def _nothing(query: Mapping[str, str]) -> str:
    if query.get("words"):
        return '<p class="card">No repository is like that. <a href="/repositories">All repositories</a></p>'
    return (
        '<p class="card">No job that names its repository has ended yet. In a job of a forge, '
        "<code>jobmeter run --receiver=URL -- make</code> names it by itself, URL being the address of the receiver "
        "without a path.</p>"
    )


def _pages(found: RepositoryList, query: Mapping[str, str]) -> str:
    kept = {name: value for name, value in query.items() if name != "cursor"}
    links = [("First", asked("/repositories", kept))] if "cursor" in query else []
    if found.next_cursor:
        links.append(("More", asked("/repositories", kept | {"cursor": found.next_cursor})))
    return pager(links)


SORTS: Mapping[str, tuple[str, Callable[[JobItem], tuple[object, ...]]]] = {
    "name": ("job", lambda job: (job.workflow, job.job)),
    "last": ("last run, UTC", lambda job: (job.last_run.began_at if job.last_run else "",)),
    "memory": ("memory", lambda job: (_median(job, "memory") or 0.0,)),
    "cpu": ("CPU time", lambda job: (_median(job, "cpu_seconds") or 0.0,)),
    "duration": ("duration", lambda job: (_median(job, "duration") or 0.0,)),
    "memory_waste": ("memory unused", lambda job: (_wasted(job.memory.reserved, job.memory.used),)),
    "cpu_waste": ("CPU unused", lambda job: (_wasted(job.cpu.reserved, job.cpu.used),)),
    "runs": ("runs", lambda job: (job.runs,)),
}
"""By what jobs can be ordered: the title of its column, and the key; all but the name from the highest on."""


def repository_body(found: RepositoryDetail, query: Mapping[str, str]) -> str:
    """The jobs of a repository; what they use is about their last runs."""
    sort, words = query.get("sort", "last"), query.get("words", "")
    shown = [job for job in found.jobs if words.lower() in f"{job.workflow}/{job.job}".lower()]
    # Ties keep the order of the list, those that ran last first.
    shown.sort(key=SORTS[sort][1], reverse=sort != "name")
    place = address("repositories", found.organization, found.repository)
    filters = form(place, field("words", "workflow or job", words, "part of its name"), _kept_sort(sort))
    rows = [_job_row(found, job) for job in shown]
    told = table(rows, "job", _heads(place, sort, words)) or (
        f'<p class="card">No job is like that. <a href="{text(place)}">All jobs</a></p>'
    )
    name = text(fit(clean(f"{found.organization}/{found.repository}"), NAME_CELLS))
    lead = f"{plural(len(found.jobs), 'job')}; medians and waste are of the last 30 runs of each"
    return f'<h1 class="plain">{name}</h1><p class="lead">{lead}</p>{filters}{told}'


def _kept_sort(sort: str) -> str:
    return f'<input type="hidden" name="sort" value="{text(sort)}">'


def _heads(place: str, sort: str, words: str) -> dict[str, str]:
    """The titles as links that order by them."""
    heads = {}
    for key, (title, _) in SORTS.items():
        query = urlencode({"sort": key} | ({"words": words} if words else {}))
        name = f"<b>{text(title)}</b>" if key == sort else text(title)
        heads[title] = f'<a href="{text(f"{place}?{query}")}">{name}</a>'
    return heads


def _job_row(found: RepositoryDetail, job: JobItem) -> tuple[str, Sequence[Cell]]:
    names = (found.organization, found.repository, job.workflow, job.job)
    link = f'<a href="{text(job_address(names))}">{text(fit(clean(job.job), NAME_CELLS))}</a>{small(job.workflow)}'
    last = day_and_time(job.last_run.began_at) + _ended(job) if job.last_run else ""
    return link, (
        Cell("memory", _followed(job, "memory", "memory", size(_median(job, "memory")))),
        Cell("CPU time", _followed(job, "cpu_seconds", "cpu", duration(_median(job, "cpu_seconds")))),
        Cell("duration", _followed(job, "duration", "io", duration(_median(job, "duration")))),
        Cell("memory unused", waste_cell(job.memory, "memory")),
        Cell("CPU unused", waste_cell(job.cpu, "cpu")),
        Cell("runs", f"{job.runs:,}"),
        Cell("last run, UTC", last),
    )


def _ended(job: JobItem) -> str:
    return f" <small>{end_cell(job.last_run)}</small>" if job.last_run and not job.last_run.is_whole else ""


def _followed(job: JobItem, measure: str, colour: str, median: str) -> str:
    """The last runs as a line, and their median."""
    values = getattr(job.recent, measure)
    return f'<span class="followed">{spark(values, colour)}{text(median)}</span>' if median else ""


def _median(job: JobItem, measure: str) -> float | None:
    spread = next((spread for spread in job.spreads if spread.measure == measure), None)
    if spread is None:
        return None
    return spread.values.peak if spread.values.p50 is None else spread.values.p50


def _wasted(reserved: float | None, used: float | None) -> float:
    return (reserved or 0.0) - (used or 0.0)
