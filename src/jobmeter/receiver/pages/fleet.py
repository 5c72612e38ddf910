"""The page of the fleet: what was reserved and used over some days, what it cost, and who wastes most."""

from collections.abc import Sequence
from typing import Literal

from jobmeter.model.history.digest import Waste
from jobmeter.model.history.fleet import Account
from jobmeter.model.quantities import format_percent
from jobmeter.receiver.api.history_types import Fleet, FleetJob
from jobmeter.receiver.pages.charts import NARROW, WIDE, Pair, Width, figures
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.history_parts import (
    NAME_CELLS,
    Cell,
    amount,
    form,
    job_address,
    lower_bound_note,
    name_of,
    place_of,
    small,
    table,
    tile,
    tiles,
    unit_of,
    waste_cell,
)
from jobmeter.receiver.store.usages import Names
from jobmeter.report.figures import LOWER_BOUND
from jobmeter.report.history_charts import fleet_chart
from jobmeter.report.html_parts import bar, section, text
from jobmeter.report.palette import CSS
from jobmeter.report.text import clean, fit, plural

Resource = Literal["cpu", "memory"]
_LEAST_MONEY = 0.01


def fleet_charts(found: Fleet) -> list[Pair]:
    """The chart of the days, for both widths; none of fewer than two."""
    days = [(one.day, one.account) for one in found.days]
    wide, narrow = (fleet_chart(days, width=width, palette=CSS) for width in (WIDE, NARROW))
    return [Pair(wide, narrow)] if wide and narrow else []


def fleet_body(found: Fleet, drawing: Drawing) -> str:
    """Everything about the days."""

    def picture(key: str, width: Width) -> str:
        return place_of(f"/fleet/charts/{key}", {"since": found.since, "until": found.until, "width": width})

    total = found.total
    failed = f", {total.failed_runs:,} of them did not end well" if total.failed_runs else ""
    lead = f"{plural(total.runs, 'run')} from {found.since} to {found.until}{failed}"
    made = [_job_row(job, found) for job in found.jobs]
    rows = table(made, "job") + lower_bound_note(made)
    return (
        f'<h1 class="plain">Fleet</h1><p class="lead">{text(lead)}</p>{_filter(found)}'
        + tiles(_tiles(found))
        + section("Over time", figures(fleet_charts(found), picture, drawing))
        + section("Most wasteful jobs", _ranked_by(found), rows or _nothing(found))
    )


def _filter(found: Fleet) -> str:
    days = "".join(
        f'<label>{label}<input type="date" name="{name}" value="{text(value)}" required></label>'
        for name, label, value in (("since", "from", found.since), ("until", "to", found.until))
    )
    return form("/fleet", days)


def _tiles(found: Fleet) -> list[str]:
    total = found.total
    made = [
        _waste_tile("CPU reserved", total.cpu, "cpu", total.runs),
        _waste_tile("Memory reserved", total.memory, "memory", total.runs),
    ]
    if found.currency is not None and total.cost is not None:
        made += [_cost_tile(total, total.cost, found), _wasted_tile(total, total.cost, found)]
    return made


def _cost_tile(total: Account, cost: float, found: Fleet) -> str:
    about, value = "of what was reserved, or used where nothing was", _money(cost, found)
    if total.is_lower_bound and 0 < cost < _LEAST_MONEY:
        return tile("Cost", value, f"part of it not known; {about}")
    return tile("Cost", f"at least {value}" if total.is_lower_bound else value, about)


def _wasted_tile(total: Account, cost: float, found: Fleet) -> str:
    """Where nothing is known to be wasted and not all is known, nothing is said of it."""
    untold = [name for name, waste in (("CPU", total.cpu), ("memory", total.memory)) if waste.unused is None]
    missing = f"no run tells what {' and '.join(untold)} it reserved" if untold else ""
    if total.wasted_cost is None or (untold and not total.wasted_cost):
        return tile("Wasted", "not told", missing)
    share = f"{format_percent(total.wasted_cost / cost)} of it" if cost else ""
    about = " · ".join(one for one in (share, missing) if one)
    return tile("Wasted", _money(total.wasted_cost, found), about, style="warn" if total.wasted_cost else "")


def _waste_tile(title: str, waste: Waste, resource: Resource, runs: int) -> str:
    share = waste.share
    if waste.reserved is None or share is None:
        return tile(title, "not told", "no run tells what it reserved")
    of = "" if waste.runs == runs else f" · of {waste.runs:,} runs that tell it"
    part = f" · of {waste.partial:,} in part: not all of their containers were read" if waste.partial else ""
    unit = unit_of(resource, waste.reserved)
    value = f"{'at least ' if waste.partial else ''}{amount(waste.reserved / unit.size)} {unit.long}"
    return tile(title, value, f"{format_percent(share)} unused{of}{part}", meter=bar(share, resource))


def _ranked_by(found: Fleet) -> str:
    if found.currency is not None:
        return ""
    return (
        '<p class="hinted">By what they reserved and did not use, 4 GiB-hours counting as one core-hour. With a price '
        "table (<code>jobmeter receiver --prices FILE</code>) they are ordered by cost.</p>"
    )


def _job_row(job: FleetJob, found: Fleet) -> tuple[str, Sequence[Cell]]:
    names: Names = (job.organization, job.repository, job.workflow, job.job)
    account = job.account
    cells = [
        Cell(
            "memory unused",
            waste_cell(account.memory, "memory") + small(_hours(account.memory, "memory")),
        ),
        Cell("CPU unused", waste_cell(account.cpu, "cpu") + small(_hours(account.cpu, "cpu"))),
        Cell("runs", f"{account.runs:,}"),
    ]
    if found.currency is not None:
        cells.append(Cell("cost", text(_money(account.cost or 0.0, found))))
        cells.append(Cell("wasted", _wasted(account, found)))
    cells.append(Cell("advice", _advice(names)))
    return _name(names), cells


def _name(names: Names) -> str:
    owner, repository, workflow, job = names
    if not all(names):
        return text(fit(clean(name_of(names)), NAME_CELLS))
    link = f'<a href="{text(job_address(names))}">{text(fit(clean(job), NAME_CELLS))}</a>'
    return f"{link}{small(f'{owner}/{repository} · {workflow}')}"


def _advice(names: Names) -> str:
    return f'<a href="{text(job_address(names, "sizing"))}">what to request</a>' if all(names) else ""


def _wasted(account: Account, found: Fleet) -> str:
    if account.wasted_cost is None:
        return '<span class="unknown">not told</span>'
    return text(_money(account.wasted_cost, found))


def _hours(waste: Waste, resource: Resource) -> str:
    if waste.reserved is None or waste.unused is None:
        return ""
    least = LOWER_BOUND if waste.partial else ""
    unit = unit_of(resource, waste.reserved)
    unused, reserved = amount(waste.unused / unit.size), amount(waste.reserved / unit.size)
    return f"{least}{unused} of {least}{reserved} {unit.short}"


def _money(value: float, found: Fleet) -> str:
    told = f"< {_LEAST_MONEY}" if 0 < value < _LEAST_MONEY else f"{value:,.2f}"
    return f"{told} {clean(found.currency or '')}"


def _nothing(found: Fleet) -> str:
    if found.total.runs:
        return (
            '<p class="card">No run of these days tells that it reserved more than it used. What a job reserves is '
            "told by its cgroup's limits, or by <code>CGROUP_LIMITS</code>.</p>"
        )
    return '<p class="card">No run began on these days.</p>'
