"""The pages that compare two runs, or two branches of a job."""

from collections.abc import Iterable, Mapping, Sequence

from jobmeter.model.history.compare import Difference, Verdict
from jobmeter.model.history.digest import PastRun
from jobmeter.model.summary import Summary
from jobmeter.receiver.api.history_types import Comparison
from jobmeter.receiver.pages.history_parts import (
    Cell,
    day_and_time,
    end_cell,
    field,
    form,
    small,
    table,
)
from jobmeter.receiver.pages.layout import address
from jobmeter.report.compare import Change, groups
from jobmeter.report.history_words import MEASURE_WORDS, short_ref, short_sha
from jobmeter.report.html_parts import section, text
from jobmeter.report.text import plural

_SAID: Mapping[Verdict, tuple[str, str]] = {
    "more": ("more than usual", "bad"),
    "less": ("less than usual", "good"),
    "usual": ("within what runs differ by anyway", "bold"),
    "same": ("the same", "bold"),
    "unknown": ("too little is known to tell", "unknown"),
}


def no_comparison_body() -> str:
    """What can be compared, where nothing was named."""
    fields = (field("before", "before", "", "key of a run"), field("after", "after", "", "key of a run"))
    return (
        '<h1 class="plain">Compare two runs</h1><p class="lead">Two runs are chosen on the page of their job, where '
        f"two branches can be compared too; or name them by their keys.</p>"
        f"{form('/compare', *fields, button='Compare')}"
    )


def runs_body(found: Comparison, before: Summary | None, after: Summary | None) -> str:
    """Two runs: what differs by more than noise, then every number of both."""
    sides = table(
        [("before", _run_cells(found.before.runs[0])), ("after", _run_cells(found.after.runs[0]))], "run"
    )
    details = _details(before, after) if before and after else ""
    usual = (
        f"Usual is what the last runs of {text(short_ref(found.before.ref))} used, up to the run before."
        if found.before.ref
        else "Usual is what the last runs of the same job used, up to the run before."
    )
    return (
        f'<h1 class="plain">{_headline(found.differences, "run")}</h1><p class="lead">{usual}</p>{sides}'
        f"{section('What differs', _differences(found.differences))}{details}"
    )


def branches_body(found: Comparison) -> str:
    """Two branches: their medians, held against what runs of the first one differ by."""
    before, after = (short_ref(side.ref or "") for side in (found.before, found.after))
    lead = (
        f"{plural(len(found.after.runs), 'whole run')} of {after}, the newest, against "
        f"{plural(len(found.before.runs), 'whole run')} of {before}, by their medians."
    )
    return (
        f'<h1 class="plain">{_headline(found.differences, "branch")}</h1><p class="lead">{text(lead)}</p>'
        f"{_differences(found.differences) or '<p class=card>Neither has a whole run that tells anything.</p>'}"
    )


def _headline(found: Iterable[Difference], what: str) -> str:
    """The one sentence: what differs."""
    known = list(found)
    beyond = [one for one in known if one.verdict in ("more", "less")]
    if beyond:
        parts = [f"{MEASURE_WORDS[one.measure].title} {_ratio(one)}".rstrip() for one in beyond]
        said = f"{', '.join(parts)}: beyond what is usual"
        return text(said[:1].upper() + said[1:])
    if all(one.verdict == "unknown" for one in known):
        return "Too few runs are known to tell a difference from noise"
    return f"Nothing differs by more than runs of the first {what} do"


def _run_cells(run: PastRun) -> Sequence[Cell]:
    link = f'<a href="{text(address("runs", run.run_uid))}">{day_and_time(run.began_at)}</a>'
    return (
        Cell("began, UTC", link),
        Cell("branch", text(short_ref(run.ref)) if run.ref else "", left=True),
        Cell("commit", text(short_sha(run.sha)) if run.sha else "", left=True),
        Cell("leg", text(run.leg), left=True),
        Cell("end", end_cell(run), left=True),
    )


def _differences(found: Sequence[Difference]) -> str:
    known = {one.measure: one for one in found}
    return table([_difference_row(known[key]) for key in MEASURE_WORDS if key in known], "measure")


def _difference_row(one: Difference) -> tuple[str, Sequence[Cell]]:
    words = MEASURE_WORDS[one.measure]
    said, tone = _SAID[one.verdict]
    usual = (
        f"{words.form(one.usual_low)} to {words.form(one.usual_high)}"
        if one.usual_low is not None and one.usual_high is not None
        else ""
    )
    few = (
        small(f"of {plural(one.usual_runs, 'run')}")
        if usual
        else small(f"{plural(one.usual_runs, 'run')} known")
    )
    return text(words.title), (
        Cell("before", text("" if one.before is None else words.form(one.before))),
        Cell("after", text("" if one.after is None else words.form(one.after))),
        Cell("change", text(_ratio(one))),
        Cell("usual", text(usual) + few),
        Cell("so it is", f'<span class="{tone}">{said}</span>', left=True),
    )


def _ratio(one: Difference) -> str:
    return Change("", one.before, one.after, MEASURE_WORDS[one.measure].form_known).ratio


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
        Cell("change", f'<span class="{change.style}">{text(change.ratio)}</span>'),
    )
