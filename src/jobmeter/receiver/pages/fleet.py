"""The page of the fleet: what was reserved and used over some days, what it cost, and who wastes most."""

from collections.abc import Sequence

from jobmeter.model.history.digest import Waste
from jobmeter.model.prices import CORE_HOUR, GIB_HOUR
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
    waste_cell,
)
from jobmeter.receiver.store.usages import Names
from jobmeter.report.figures import LOWER_BOUND
from jobmeter.report.history_charts import fleet_chart
from jobmeter.report.html_parts import bar, section, text
from jobmeter.report.palette import CSS
from jobmeter.report.text import clean, fit, plural


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
        _waste_tile("CPU reserved", total.cpu, "cpu", CORE_HOUR, "core-hours", total.runs),
        _waste_tile("Memory reserved", total.memory, "memory", GIB_HOUR, "GiB-hours", total.runs),
    ]
    if found.currency is not None and total.cost is not None and total.wasted_cost is not None:
        share = f"{format_percent(total.wasted_cost / total.cost)} of it" if total.cost else ""
        least = "at least " if total.is_lower_bound else ""
        made.append(
            tile("Cost", least + _money(total.cost, found), "of what was reserved, or used where nothing was")
        )
        made.append(tile("Wasted", _money(total.wasted_cost, found), share, style="warn"))
    return made


def _waste_tile(title: str, waste: Waste, colour: str, unit: float, name: str, runs: int) -> str:
    share = waste.share
    if waste.reserved is None or share is None:
        return tile(title, "not told", "no run tells what it reserved")
    of = "" if waste.runs == runs else f" · of {waste.runs:,} runs that tell it"
    part = f" · of {waste.partial:,} in part: not all of their containers were read" if waste.partial else ""
    value = f"{'at least ' if waste.partial else ''}{amount(waste.reserved / unit)} {name}"
    return tile(title, value, f"{format_percent(share)} unused{of}{part}", meter=bar(share, colour))


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
            waste_cell(account.memory, "memory") + small(_hours(account.memory, GIB_HOUR, "GiB-h")),
        ),
        Cell("CPU unused", waste_cell(account.cpu, "cpu") + small(_hours(account.cpu, CORE_HOUR, "core-h"))),
        Cell("runs", f"{account.runs:,}"),
    ]
    if found.currency is not None:
        cells.append(Cell("cost", text(_money(account.cost or 0.0, found))))
        cells.append(Cell("wasted", text(_money(account.wasted_cost or 0.0, found))))
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


def _hours(waste: Waste, unit: float, name: str) -> str:
    if waste.reserved is None or waste.unused is None:
        return ""
    least = LOWER_BOUND if waste.partial else ""
    return f"{least}{amount(waste.unused / unit)} of {least}{amount(waste.reserved / unit)} {name}"


def _money(value: float, found: Fleet) -> str:
    told = "< 0.01" if 0 < value < 0.01 else f"{value:,.2f}"
    return f"{told} {clean(found.currency or '')}"


def _nothing(found: Fleet) -> str:
    if found.total.runs:
        return (
            '<p class="card">No run of these days tells that it reserved more than it used. What a job reserves is '
            "told by its cgroup's limits, or by <code>CGROUP_LIMITS</code>.</p>"
        )
    return '<p class="card">No run began on these days.</p>'
