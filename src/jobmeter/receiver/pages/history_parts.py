"""What the pages of history share: cells of tables, links between pages, forms. All of it is HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import compress
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from jobmeter.model.history.digest import PastRun, Waste
from jobmeter.model.prices import CORE_HOUR, GIB_HOUR
from jobmeter.model.quantities import format_percent
from jobmeter.receiver.pages.layout import Crumb, address
from jobmeter.receiver.store.usages import Names
from jobmeter.report.figures import LOWER_BOUND, moment
from jobmeter.report.html_parts import SCROLLING, bar, text
from jobmeter.report.text import clean, fit
from jobmeter.report.verdict import TONES

NAME_CELLS = 80
_DETAIL_CELLS = 160
_LEAST_AMOUNT = 0.01
_REASONS = {"oom": "out of memory", "unknown": "end not seen", None: "not known"}


class Cell(NamedTuple):
    """A cell of a row: the title of its column, its HTML, and whether it is aligned to the left."""

    title: str
    html: str
    left: bool = False


class Option(NamedTuple):
    """What can be chosen: its value in the address, and its name."""

    value: str
    name: str


def small(told: str | None) -> str:
    """A detail below a value; nothing without one."""
    return f" <small>{text(fit(clean(told), _DETAIL_CELLS))}</small>" if told else ""


def name_of(names: Names) -> str:
    """A job for people: what is not known of its names is left out."""
    owner, repository, workflow, job = names
    path = f"{owner}/{repository}" if owner and repository else owner or repository
    return " · ".join(part for part in (path, workflow, job) if part) or "jobs without a name"


def job_address(names: Names, *more: str) -> str:
    """The page of a job, or one below it."""
    return address("jobs", *names, *more)


def repository_crumb(owner: str, repository: str) -> Crumb:
    """The step to a repository."""
    return Crumb(f"{owner}/{repository}", address("repositories", owner, repository))


def job_trail(names: Names, *more: str) -> list[Crumb]:
    """The way to a page of a job."""
    owner, repository, workflow, job = names
    trail = [Crumb("Repositories", "/repositories"), repository_crumb(owner, repository)]
    own = f"{workflow} / {job}"
    return [*trail, Crumb(own, job_address(names)), *map(Crumb, more)] if more else [*trail, Crumb(own)]


def asked(path: str, query: Mapping[str, str]) -> str:
    """An address with what is asked for, as an attribute's value."""
    return text(place_of(path, query))


def place_of(path: str, query: Mapping[str, str]) -> str:
    """The same, to be escaped by who puts it into a page."""
    known = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(known)}" if known else path


class Unit(NamedTuple):
    """What resources over time are told in: so many core-seconds or byte-seconds, and its long and short name."""

    size: float
    long: str
    short: str


_UNITS = {
    "cpu": (Unit(CORE_HOUR, "core-hours", "core-h"), Unit(1, "core-seconds", "core-s")),
    "memory": (Unit(GIB_HOUR, "GiB-hours", "GiB-h"), Unit(2**20, "MiB-seconds", "MiB-s")),
}


def unit_of(resource: Literal["cpu", "memory"], most: float) -> Unit:
    """The unit that fits amounts up to ``most``: the small one where the large one has no digits for it."""
    large, little = _UNITS[resource]
    return large if most == 0 or most / large.size >= _LEAST_AMOUNT else little


def amount(value: float) -> str:
    """Three digits, or all before the point; of what is hardly anything that it is."""
    if 0 < value < _LEAST_AMOUNT:
        return f"< {_LEAST_AMOUNT}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(
    rows: Sequence[tuple[str, Sequence[Cell]]], first: str, heads: Mapping[str, str] | None = None
) -> str:
    """A table in a card: of each row its name and its cells; ``heads`` are HTML in place of titles.

    A column without any value is left out.
    """
    if not rows:
        return ""
    told = [any(cells[place].html for _, cells in rows) for place in range(len(rows[0][1]))]
    rows = [(name, [*compress(cells, told)]) for name, cells in rows]
    known = heads or {}
    titles = "".join(
        f'<th scope="col"{_left(cell)}{_sorted(known, cell.title)}>{known.get(cell.title) or text(cell.title)}</th>'
        for cell in rows[0][1]
    )
    head = known.get(first) or text(first)
    body = "".join(f'<tr><th scope="row">{name}</th>{_cells(cells)}</tr>' for name, cells in rows)
    return (
        f'{SCROLLING}<table class="runs history"><thead><tr><th scope="col">{head}</th>'
        f"{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def lower_bound_note(rows: Iterable[tuple[str, Sequence[Cell]]]) -> str:
    """What the sign of a lower bound means; nothing below rows that have none."""
    if not any(LOWER_BOUND in cell.html for _, cells in rows for cell in cells):
        return ""
    return f'<p class="hinted">{text(LOWER_BOUND.strip())} is a lower bound: not all that was used could be read.</p>'


def _cells(cells: Iterable[Cell]) -> str:
    return "".join(f'<td data-label="{text(cell.title)}"{_left(cell)}>{cell.html}</td>' for cell in cells)


def _left(cell: Cell) -> str:
    return ' class="left"' if cell.left else ""


def _sorted(heads: Mapping[str, str], title: str) -> str:
    return ' aria-sort="descending"' if "<b>" in heads.get(title, "") else ""


def day_and_time(time: str | None) -> str:
    """``2026-11-20 12:00``; nothing for None."""
    return "" if time is None else text(moment(time).removesuffix(" UTC")[:16])


def began(run_began_at: str) -> str:
    """``2026-11-20 12:00:05``: runs of a job may begin within a minute."""
    return text(moment(run_began_at).removesuffix(" UTC"))


def run_link(run: PastRun) -> str:
    """The run's page, by when it began."""
    return f'<a href="{text(address("runs", run.run_uid))}">{began(run.began_at)}</a>'


def end_cell(run: PastRun) -> str:
    """How a run ended, in the colour of that."""
    reason = _REASONS.get(run.exit_reason, run.exit_reason or "")
    tone = TONES.get(run.exit_reason or "", "bold")
    return f'<span class="{tone}">{text(fit(clean(reason), 40))}</span>'


def waste_cell(waste: Waste, colour: str) -> str:
    """What was not used of what was reserved, told and drawn."""
    share = waste.share
    if share is None:
        return '<span class="unknown">not told</span>'
    return f"{bar(share, colour)}{text(format_percent(share))}"


def field(name: str, label: str, value: str, hint: str = "") -> str:
    """A field of a form."""
    return (
        f'<label>{text(label)}<input name="{name}" value="{escape(value)}" placeholder="{text(hint)}" '
        'autocomplete="off"></label>'
    )


def choice(name: str, label: str, options: Iterable[Option], chosen: str) -> str:
    """A choice of a form; what is chosen is among the options, whatever it is."""
    known = list(options)
    if chosen not in {option.value for option in known}:
        known.append(Option(chosen, chosen))
    made = "".join(
        f'<option value="{escape(option.value)}"{" selected" if option.value == chosen else ""}>'
        f"{text(fit(clean(option.name), NAME_CELLS))}</option>"
        for option in known
    )
    return f'<label>{text(label)}<select name="{name}">{made}</select></label>'


def form(path: str, *fields: str, button: str = "Show") -> str:
    """A form that asks for a page."""
    return f'<form class="filter" role="search" action="{text(path)}">{"".join(fields)}<button>{button}</button></form>'


def pager(links: Sequence[tuple[str, str]]) -> str:
    """Links below a list: names and addresses, which are attributes' values already."""
    told = "".join(f'<a href="{link}">{text(name)}</a>' for name, link in links)
    return f'<nav class="pager" aria-label="More">{told}</nav>' if told else ""


def tile(label: str, value: str, sub: str = "", *, style: str = "", meter: str = "") -> str:
    """One number of a row of tiles."""
    mood = f" {style}" if style else ""
    return (
        f'<div><dt>{text(label)}</dt><dd class="value{mood}">{text(value)}</dd>'
        f'<dd class="sub">{meter}{text(sub)}</dd></div>'
    )


def tiles(made: Sequence[str]) -> str:
    """Tiles in a row, or in two of three."""
    known = [one for one in made if one]
    if not known:
        return ""
    columns = 3 if len(known) > 5 else len(known)
    return f'<dl class="tiles" style="--columns:{columns}">{"".join(known)}</dl>'
