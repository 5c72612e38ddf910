"""The pages of repositories: all of them, and the jobs of one."""

from collections.abc import Callable, Mapping, Sequence

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
    lower_bound_note,
    pager,
    small,
    table,
    waste_cell,
)
from jobmeter.receiver.pages.layout import address
from jobmeter.report.figures import LOWER_BOUND, duration, size
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
    pages = _pages("/repositories", found.next_cursor, query)
    return f'<h1 class="plain">Repositories</h1>{filters}{rows or _nothing(query)}{pages}'


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


def _pages(place: str, next_cursor: str | None, query: Mapping[str, str]) -> str:
    kept = {name: value for name, value in query.items() if name != "cursor"}
    links = [("First", asked(place, kept))] if "cursor" in query else []
    if next_cursor:
        links.append(("More", asked(place, kept | {"cursor": next_cursor})))
    return pager(links)


_COLUMNS = {
    "name": "job",
    "memory": "memory",
    "cpu": "CPU time",
    "duration": "duration",
    "memory_waste": "memory unused",
    "cpu_waste": "CPU unused",
    "runs": "runs",
    "last": "last run, UTC",
}
"""By what jobs can be ordered: the title of its column. All but names from the highest on."""
_BY_MEDIAN = ("memory", "cpu", "duration")


def repository_body(found: RepositoryDetail, query: Mapping[str, str]) -> str:
    """A page of the jobs of a repository, each by what it usually uses."""
    order, words = query.get("order", "last"), query.get("words", "")
    place = address("repositories", found.organization, found.repository)
    filters = form(place, field("words", "workflow or job", words, "part of its name"), _kept_order(order))
    rows = [_job_row(found, job) for job in found.jobs]
    told = table(rows, "job", _heads(place, order, words)) or (
        f'<p class="card">No job is like that. <a href="{text(place)}">All jobs</a></p>'
    )
    name = text(fit(clean(f"{found.organization}/{found.repository}"), NAME_CELLS))
    lead = f'<p class="lead">{text(_lead(found, query))}</p>'
    more = lower_bound_note(rows) + _pages(place, found.next_cursor, query)
    return f'<h1 class="plain">{name}</h1>{lead}{filters}{told}{more}'


def _lead(found: RepositoryDetail, query: Mapping[str, str]) -> str:
    """How many jobs there are, and which of them are on this page."""
    begin, total = int(query.get("cursor", "0")), plural(found.total, "job")
    if query.get("words"):
        total += " like that"
    parts = [total]
    if 0 < len(found.jobs) < found.total:
        parts.append(f"{begin + 1:,} to {begin + len(found.jobs):,} are on this page")
    if found.ordered < found.total:
        parts.append(f"the order is of the {found.ordered:,} that ran last")
    parts.append("of each what it usually uses, as on its page, and the waste of its last 30 runs")
    if query.get("order") in _BY_MEDIAN:
        parts.append("the order is by the plain median of these, of whatever branch")
    return "; ".join(parts)


def _kept_order(order: str) -> str:
    return f'<input type="hidden" name="order" value="{text(order)}">'


def _heads(place: str, order: str, words: str) -> dict[str, str]:
    """The titles as links that order by them."""
    heads = {}
    for key, title in _COLUMNS.items():
        name = f"<b>{text(title)}</b>" if key == order else text(title)
        heads[title] = f'<a href="{asked(place, {"order": key, "words": words})}">{name}</a>'
    return heads


def _job_row(found: RepositoryDetail, job: JobItem) -> tuple[str, Sequence[Cell]]:
    names = (found.organization, found.repository, job.workflow, job.job)
    link = f'<a href="{text(job_address(names))}">{text(fit(clean(job.job), NAME_CELLS))}</a>{small(_place(job))}'
    last = day_and_time(job.last_run.began_at) + _ended(job) if job.last_run else ""
    return link, (
        Cell("memory", _followed(job, "memory", "memory", size)),
        Cell("CPU time", _followed(job, "cpu_seconds", "cpu", duration)),
        Cell("duration", _followed(job, "duration", "io", duration)),
        Cell("memory unused", waste_cell(job.memory, "memory")),
        Cell("CPU unused", waste_cell(job.cpu, "cpu")),
        Cell("runs", f"{job.runs:,}"),
        Cell("last run, UTC", last),
    )


def _place(job: JobItem) -> str:
    """Its workflow, and the leg of the matrix whose use is told."""
    return f"{job.workflow} · {job.leg}" if job.leg else job.workflow


def _ended(job: JobItem) -> str:
    return f" <small>{end_cell(job.last_run)}</small>" if job.last_run and not job.last_run.is_whole else ""


def _followed(job: JobItem, measure: str, colour: str, form: Callable[[float | None], str]) -> str:
    """The last runs as a line, and the median of the newest level."""
    level = next((level for level in job.levels if level.measure == measure), None)
    if level is None:
        return ""
    told = LOWER_BOUND + form(level.median) if level.lower_bounds else form(level.median)
    return f'<span class="followed">{spark(getattr(job.recent, measure), colour)}{text(told)}</span>'
