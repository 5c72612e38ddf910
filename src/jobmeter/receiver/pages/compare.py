"""The pages that compare two runs, or two branches of a job."""

from collections.abc import Callable, Mapping, Sequence

from jobmeter.model.history.compare import Difference, Verdict
from jobmeter.model.history.digest import PastRun
from jobmeter.model.history.levels import LEAST_RUNS
from jobmeter.model.quantities import format_change
from jobmeter.model.summary import Summary
from jobmeter.receiver.api.history_types import Comparison, Side
from jobmeter.receiver.pages.history_parts import (
    Cell,
    end_cell,
    field,
    form,
    job_address,
    job_trail,
    name_of,
    place_of,
    run_link,
    small,
    table,
)
from jobmeter.receiver.pages.layout import Crumb
from jobmeter.receiver.store.usages import Names
from jobmeter.report.compare import Change, groups
from jobmeter.report.figures import LOWER_BOUND
from jobmeter.report.history_words import MEASURE_WORDS, runs_of_usual, short_ref, short_sha
from jobmeter.report.html_parts import section, text
from jobmeter.report.text import clean, fit, plural

_JOB_CELLS, _ID_CELLS = 120, 40

_SAID: Mapping[Verdict, tuple[str, str]] = {
    "more": ("more than usual", "bad"),
    "less": ("less than usual", "good"),
    "usual": ("within what runs differ by anyway", "bold"),
    "same": ("the same", "bold"),
    "unknown": ("too little is known to tell", "unknown"),
}


def no_comparison_body() -> str:
    """What can be compared, where nothing was named."""
    fields = (
        field("before", "before", "", "key of a run; empty: the run before"),
        field("after", "after", "", "key of a run"),
    )
    return (
        '<h1 class="plain">Compare two runs</h1><p class="lead">Two runs are chosen on the page of their job, where '
        "two branches can be compared too; or name them by their keys.</p>"
        f"{form('/compare', *fields, button='Compare')}"
    )


def no_run_before_body(names: Names, run: PastRun) -> str:
    """For a run that is the first whole one of its job and leg."""
    place = f'<a href="{text(job_address(names))}">its job</a>' if all(names) else "its job"
    return (
        '<h1 class="plain">Nothing to compare with</h1><p class="lead">No whole run of the same job and leg began '
        f"before the run of {run_link(run)}. All runs of {place} can be compared there.</p>"
    )


def runs_trail(found: Comparison) -> list[Crumb]:
    """The way to the comparison of two runs: by their job where they have one, else by the list of runs."""
    before, after = names_of(found.before), names_of(found.after)
    if before == after and all(after):
        return job_trail(after, "Two runs compared")
    return [Crumb("Runs", "/runs"), Crumb("Two runs compared")]


def names_of(side: Side) -> Names:
    """The job of a side."""
    return side.organization, side.repository, side.workflow, side.job


def runs_body(found: Comparison, before: Summary | None, after: Summary | None) -> str:
    """Two runs of one job or of two: what differs by more than noise, then every number of both."""
    ref = found.before.ref
    whose = f"of {short_ref(ref)}" if ref else "without a branch"
    usual = f"Usual is what the last runs {whose} used up to the run before, those on the newest level."
    sides = [("before", _run_cells(found.before)), ("after", _run_cells(found.after))]
    details = _details(before, after) if before and after else ""
    return (
        f"{_heading(found)}<p>{text(usual)}</p>{table(sides, 'run')}"
        f"{section('What differs', _differences(found.differences))}{details}"
    )


def branches_body(found: Comparison) -> str:
    """Two branches: their medians, held against what runs of the first one differ by."""
    rule = "Of both the last whole runs count, and of these the ones on the newest level, by their median."
    sides = [("before", _branch_cells(found.before)), ("after", _branch_cells(found.after))]
    differing = _differences(found.differences)
    return (
        f"{_heading(found)}<p>{rule}</p>{table(sides, 'side')}"
        f"{section('What differs', differing or '<p class=card>Neither has a whole run that tells anything.</p>')}"
    )


def _heading(found: Comparison) -> str:
    """What differs, and of which job or jobs."""
    jobs = " against ".join(
        f'<a href="{text(job_address(names))}">{text(fit(clean(name_of(names)), _JOB_CELLS))}</a>'
        if all(names)
        else text(name_of(names))
        for names in dict.fromkeys((names_of(found.after), names_of(found.before)))
    )
    return f'<h1 class="plain">{_headline(found.differences)}</h1><p class="lead">{jobs}</p>'


def _headline(found: Sequence[Difference]) -> str:
    """The one sentence: what differs. Of what is not known it is not said that it does not."""
    beyond = [one for one in found if one.verdict in ("more", "less")]
    unknown = [one for one in found if one.verdict == "unknown"]
    if beyond:
        said = f"{', '.join(f'{_title(one)} {_ratio(one)}'.rstrip() for one in beyond)}: beyond what is usual"
    elif unknown:
        said = f"{', '.join(map(_title, unknown))}: too little is known to tell a difference from noise"
    elif found:
        said = "Nothing differs by more than runs do anyway"
    else:
        said = "Neither side tells what it used"
    return text(said[:1].upper() + said[1:])


def _title(one: Difference) -> str:
    return MEASURE_WORDS[one.measure].title


def _run_cells(side: Side) -> Sequence[Cell]:
    (run,) = side.runs
    return (
        Cell("began, UTC", run_link(run), left=True),
        Cell("branch", text(short_ref(run.ref)) if run.ref else "", left=True),
        Cell("commit", text(short_sha(run.sha)) if run.sha else "", left=True),
        Cell("leg", text(run.leg), left=True),
        Cell("run of the forge", text(fit(clean(run.run_id or ""), _ID_CELLS)), left=True),
        Cell("end", end_cell(run), left=True),
    )


def _branch_cells(side: Side) -> Sequence[Cell]:
    ref = short_ref(side.ref or "")
    newest, oldest = (side.runs[0], side.runs[-1]) if side.runs else (None, None)
    page = place_of(job_address(names_of(side)), {"ref": side.ref or ""})
    return (
        Cell("branch", f'<a href="{text(page)}">{text(fit(ref, _JOB_CELLS))}</a>', left=True),
        Cell("leg", text(newest.leg) if newest else "", left=True),
        Cell("whole runs", f"{len(side.runs):,}"),
        Cell("oldest, UTC", run_link(oldest) if oldest else "", left=True),
        Cell("newest, UTC", run_link(newest) if newest else "", left=True),
        Cell("its commit", text(short_sha(newest.sha)) if newest and newest.sha else "", left=True),
    )


def _differences(found: Sequence[Difference]) -> str:
    known = {one.measure: one for one in found}
    return table([_difference_row(known[key]) for key in MEASURE_WORDS if key in known], "measure")


def _difference_row(one: Difference) -> tuple[str, Sequence[Cell]]:
    words = MEASURE_WORDS[one.measure]
    said, tone = _SAID[one.verdict]
    return text(words.title), (
        Cell("before", _value(one, "before", one.before, one.before_runs)),
        Cell("after", _value(one, "after", one.after, one.after_runs)),
        Cell("change", text(_ratio(one))),
        Cell("usual", _usual(one)),
        Cell("so it is", f'<span class="{tone}">{said}</span>', left=True),
    )


def _value(one: Difference, side: str, value: float | None, runs: int) -> str:
    if value is None:
        return '<span class="unknown">not read</span>'
    least = LOWER_BOUND if side in one.lower_bounds else ""
    of_runs = small(f"median of {runs:,} runs") if runs > 1 else ""
    return text(least + MEASURE_WORDS[one.measure].form(value)) + of_runs


def _usual(one: Difference) -> str:
    form = MEASURE_WORDS[one.measure].form
    if one.usual is None:
        few = small(f"{plural(one.usual_runs, 'run')}, it takes {LEAST_RUNS}")
        return f'<span class="unknown">not known</span>{few}'
    runs = runs_of_usual(one.usual, form)
    told = f"of {runs}"
    if (one.low, one.high) != (one.usual.low, one.usual.high):
        told = f"{runs}: {_range(one.usual.low, one.usual.high, form)}; widened, as before is beyond that"
    return text(_range(one.low, one.high, form)) + small(told)


def _range(low: float | None, high: float | None, form: Callable[[float], str]) -> str:
    """``1.0 s to 1.3 s``."""
    known = dict.fromkeys(form(value) for value in (low, high) if value is not None)
    return " to ".join(known)


def _ratio(one: Difference) -> str:
    """Nothing where one of both is a lower bound: nobody knows the share."""
    if one.before is None or one.after is None or one.before == one.after or one.lower_bounds:
        return ""
    return format_change(one.before, one.after)


def _details(before: Summary, after: Summary) -> str:
    tables = "".join(
        section(title, table([_change_row(change) for change in changes if change.is_known], "number"))
        for title, changes in groups(before, after)
    )
    return f"<details><summary>Every number of both runs</summary>{tables}</details>" if tables else ""


def _change_row(change: Change) -> tuple[str, Sequence[Cell]]:
    return text(change.name), (
        Cell("before", text(change.form(change.before))),
        Cell("after", text(change.form(change.after))),
        Cell("difference", text(change.difference)),
        Cell("change", text(change.ratio)),
    )
