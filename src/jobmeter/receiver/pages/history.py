"""The page of a job: its runs over time, how they spread, what stands out, where levels changed."""

from collections.abc import Iterator, Mapping, Sequence

from jobmeter.model.history.digest import Change, Digest, PastRun, StandsOut, Waste
from jobmeter.model.history.levels import LEAST_RUNS
from jobmeter.model.quantities import format_change, format_percent
from jobmeter.receiver.api.history_types import JobHistory
from jobmeter.receiver.api.job_items import LEVEL_RUNS
from jobmeter.receiver.pages.charts import NARROW, WIDE, Pair, Width, figures
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.history_parts import (
    NAME_CELLS,
    Cell,
    Option,
    amount,
    asked,
    began,
    choice,
    end_cell,
    form,
    job_address,
    pager,
    place_of,
    run_link,
    small,
    table,
    tile,
    tiles,
)
from jobmeter.receiver.pages.layout import address
from jobmeter.receiver.store.history import MOST_LOOKED_AT
from jobmeter.receiver.store.usages import Names
from jobmeter.report.figures import duration, moment, size
from jobmeter.report.history_charts import job_chart
from jobmeter.report.history_words import (
    MEASURE_WORDS,
    change_words,
    outlier_words,
    short_ref,
    short_sha,
)
from jobmeter.report.html_parts import bar, card, notes, section, text
from jobmeter.report.html_parts import table as plain_table
from jobmeter.report.layout import Column
from jobmeter.report.palette import CSS
from jobmeter.report.text import clean, fit, plural

WINDOWS = ("50", "200", "1000")
"""Of so many runs a page may be."""
DEFAULT_WINDOW = str(LEVEL_RUNS)
_LISTED, _MOST_LISTED = 20, 200
_LEG_CELLS = 40
_MAX_NOTES = 6
_ENDS = (
    Option("", "all"),
    Option("whole", "went to their end"),
    Option("failed", "failed, killed, cancelled or lost"),
)
_NO_CHART = "There is no chart: it takes two runs whose numbers could be read."
_NO_SPREAD = "None of these runs went to its end and tells what it used."


def names_of_history(found: JobHistory) -> Names:
    """The job of an answer."""
    return found.organization, found.repository, found.workflow, found.job


def history_charts(found: JobHistory) -> list[Pair]:
    """The chart of a job, for both widths; none of fewer than two runs."""
    wide, narrow = (job_chart(found.runs, found.digest, width=width, palette=CSS) for width in (WIDE, NARROW))
    return [Pair(wide, narrow)] if wide and narrow else []


def history_body(
    found: JobHistory, refs: Sequence[str], legs: Sequence[str], query: Mapping[str, str], drawing: Drawing
) -> str:
    """Everything about the runs of one job."""
    names, digest = names_of_history(found), found.digest
    place = job_address(names)

    def picture(key: str, width: Width) -> str:
        return place_of(f"{place}/charts/{key}", dict(query) | {"width": width})

    title = f'<h1 class="plain">{text(fit(clean(found.job), NAME_CELLS))}</h1>'
    lead = f'<p class="lead">{text(_lead(found))}</p>'
    links = pager([("What to request", text(job_address(names, "sizing")))])
    charts = figures(history_charts(found), picture, drawing) or f'<p class="card">{_NO_CHART}</p>'
    body = (
        f"{_judged(found)}{_tiles(digest)}{_notes(digest, found.runs)}"
        f"{section('Over time', charts)}{section('How runs spread', _spreads(digest))}"
        f"{section('Runs', _runs(found, query))}"
        if found.runs
        else _nothing(found, query)
    )
    return f"{title}{lead}{links}{_filter(place, refs, legs, query)}{body}{_branches(names, refs, legs)}"


def _lead(found: JobHistory) -> str:
    runs = found.runs
    if not runs:
        looked_through = (
            f"the {MOST_LOOKED_AT:,} that were looked through" if found.next_cursor else "its runs"
        )
        return f"None of {looked_through} is like that."
    failed = sum(run.is_failed for run in runs)
    return plural(len(runs), "run") + (
        f", {failed:,} of them failed, or were killed, cancelled or lost" if failed else ""
    )


def _judged(found: JobHistory) -> str:
    """Of which runs it is told what the job usually uses, where they are not all."""
    said = " ".join((*_judged_branch(found), *_judged_leg(found)))
    return f'<p class="hinted">{text(said)}</p>' if said else ""


def _judged_branch(found: JobHistory) -> Iterator[str]:
    digest, branches = found.digest, len({run.ref for run in found.runs})
    if not digest.whole_runs:
        yield "None of these runs went to its end, so they do not say what the job usually uses."
    elif branches > 1 and digest.ref is not None:
        yield (
            f"What is usual, and what changed, is told of {short_ref(digest.ref)}, the branch with most of the runs: "
            f"{digest.judged_runs:,} that went to their end. Those of other branches stand apart."
        )
    elif branches > 1:
        yield f"No branch has {LEAST_RUNS} runs that went to their end, so all branches are taken together."


def _judged_leg(found: JobHistory) -> Iterator[str]:
    legs = {level.leg for level in found.digest.levels}
    if len(legs) > 1:
        leg = found.digest.leg or "the runs without one"
        yield (
            f"Of {len(legs):,} legs of the matrix the tiles are about {leg}, of which most is known; "
            "another one can be chosen in the form above."
        )


def _filter(place: str, refs: Sequence[str], legs: Sequence[str], query: Mapping[str, str]) -> str:
    branches = [Option("", "all"), *(Option(ref, short_ref(ref)) for ref in refs)]
    fields = [choice("ref", "branch", branches, query.get("ref", ""))]
    if len(legs) > 1 or query.get("leg"):
        options = [Option("", "all"), *(Option(leg, leg) for leg in legs if leg)]
        fields.append(choice("leg", "leg of the matrix", options, query.get("leg", "")))
    fields.append(choice("ended", "end", _ENDS, query.get("ended", "")))
    windows = [Option(count, f"last {int(count):,}") for count in WINDOWS]
    fields.append(choice("runs", "runs", windows, query.get("runs", DEFAULT_WINDOW)))
    return form(place, *fields)


def _tiles(digest: Digest) -> str:
    made = [_level_tile(measure, digest) for measure in ("memory", "cpu_seconds", "duration")]
    made += [_waste_tile("Memory reserved, unused", digest.memory, "memory", 2**30, "GiB")]
    made += [_waste_tile("CPU reserved, unused", digest.cpu, "cpu", 1.0, "core")]
    return tiles(made)


def _level_tile(measure: str, digest: Digest) -> str:
    """What runs use now: the median of the newest level, since when, and the change that brought it."""
    found = digest.newest(measure)
    if found is None:
        return ""
    words, (level, before) = MEASURE_WORDS[measure], found
    title = words.title[:1].upper() + words.title[1:] + (f", {level.leg}" if level.leg else "")
    sub = f"median of {plural(level.runs, 'run')}" if level.runs > 1 else "of one run"
    if before is not None:
        change = format_change(before.median, level.median)
        since = f"since {moment(level.began_at)[:10]}"
        sub = f"{sub} {since}, {change + ' ' if change else ''}from {words.form(before.median)}"
    return tile(fit(clean(title), NAME_CELLS), words.form(level.median), sub)


def _waste_tile(title: str, waste: Waste, colour: str, unit: float, name: str) -> str:
    share = waste.share
    if share is None or waste.unused is None:
        return ""
    sub = f"{amount(waste.unused / unit / 3600)} {name}-hours in {plural(waste.runs, 'run')}"
    return tile(title, format_percent(share), sub, meter=bar(share, colour))


def _notes(digest: Digest, runs: Sequence[PastRun]) -> str:
    """What changed and what stands out, newest first, each with its run."""
    by_uid = {run.run_uid: run for run in runs}
    lines = [(_change_note(one), one.after > one.before) for one in digest.changes[:_MAX_NOTES]]
    lines += [(_outlier_note(one, by_uid[one.run_uid]), True) for one in digest.stand_out[:_MAX_NOTES]]
    hidden = max(0, len(digest.changes) - _MAX_NOTES) + max(0, len(digest.stand_out) - _MAX_NOTES)
    if hidden:
        lines.append((f"… and {hidden:,} more; the API has them all.", False))
    return section("What changed, and what stands out", notes(lines))


def _change_note(change: Change) -> str:
    commit = f"commit {short_sha(change.sha)}, " if change.sha else ""
    when = f'<a href="{text(address("runs", change.run_uid))}">{text(commit)}{began(change.began_at)}</a>'
    said = change_words(change)
    return f"{text(said[:1].upper() + said[1:])} from {when} on."


def _outlier_note(outlier: StandsOut, run: PastRun) -> str:
    return f"Outlier {run_link(run)}: {text(outlier_words(outlier))}."


def _spreads(digest: Digest) -> str:
    """Of each measure the runs on its newest level."""
    shown = [
        (words, *found) for key, words in MEASURE_WORDS.items() if (found := digest.newest(key)) is not None
    ]
    if not shown:
        return f'<p class="card">{_NO_SPREAD}</p>'

    def column(name: str) -> list[str]:
        return [words.form_known(getattr(level.values, name)) for words, level, _ in shown]

    titles = (("p75", "p75"), ("p95", "p95"), ("p99", "p99"), ("highest", "peak"))
    columns = [
        Column("median", [words.form(level.median) for words, level, _ in shown]),
        *(Column(title, column(name)) for title, name in titles),
        Column("runs", [f"{level.runs:,}" for _, level, _ in shown]),
        Column("since", [moment(level.began_at)[:10] if before else "" for _, level, before in shown]),
        Column("before", [words.form(before.median) if before else "" for words, _, before in shown]),
        Column(
            "of them lower bounds",
            [f"{level.lower_bounds:,}" if level.lower_bounds else "" for _, level, _ in shown],
        ),
    ]
    whose = ", ".join(part for part in (digest.ref and short_ref(digest.ref), digest.leg) if part)
    since = ", since the last change" if any(before for *_, before in shown) else ""
    title = f"Runs {f'of {whose} ' if whose else ''}that went to their end{since}"
    return card(
        plain_table(
            fit(clean(title), 2 * NAME_CELLS), [words.title for words, *_ in shown], columns, first="measure"
        )
    )


def _runs(found: JobHistory, query: Mapping[str, str]) -> str:
    """The newest as a table in which two can be chosen to be compared, the rest folded away."""
    rows = [_run_row(run) for run in found.runs[:_MOST_LISTED]]
    shown = table(rows[:_LISTED], "began, UTC")
    if len(rows) > _LISTED:
        more = table(rows[_LISTED:], "began, UTC")
        shown += f"<details><summary>{plural(len(rows) - _LISTED, 'run')} more</summary>{more}</details>"
    if len(found.runs) > _MOST_LISTED:
        shown += (
            f'<p class="hinted">The oldest {len(found.runs) - _MOST_LISTED:,} are in the chart alone.</p>'
        )
    button = '<p><button class="plain">Compare the two that are chosen</button></p>'
    return f'<form action="/compare">{shown}{button}</form>{_pages(found, query)}'


def _pages(found: JobHistory, query: Mapping[str, str]) -> str:
    place = job_address(names_of_history(found))
    kept = {name: value for name, value in query.items() if name != "cursor"}
    links = [("Newest", asked(place, kept))] if "cursor" in query else []
    if found.next_cursor:
        links.append(("Older", asked(place, kept | {"cursor": found.next_cursor})))
    return pager(links)


def _run_row(run: PastRun) -> tuple[str, Sequence[Cell]]:
    about = " · ".join(_about(run))
    return f"{run_link(run)}{small(about)}", (
        Cell("leg", text(fit(clean(run.leg), _LEG_CELLS)), left=True),
        Cell("end", end_cell(run), left=True),
        Cell("memory", text(size(run.memory_bytes)) + _reserved(run)),
        Cell("CPU time", text(duration(run.cpu_seconds))),
        Cell("took", text(duration(run.duration_seconds))),
        Cell("before", _radio("before", run)),
        Cell("after", _radio("after", run)),
    )


def _about(run: PastRun) -> Iterator[str]:
    if run.ref:
        yield short_ref(run.ref)
    if run.sha:
        yield short_sha(run.sha)
    if run.run_id:
        yield f"run {run.run_id}"


def _reserved(run: PastRun) -> str:
    amount = run.reserved_memory_bytes.amount
    return small(f"of {size(amount)}") if amount is not None else ""


def _radio(side: str, run: PastRun) -> str:
    label = f"{side}: the run of {began(run.began_at)}"
    return (
        f'<input type="radio" name="{side}" value="{text(run.run_uid)}" aria-label="{text(label)}" required>'
    )


def _branches(names: Names, refs: Sequence[str], legs: Sequence[str]) -> str:
    """A form that compares two branches, where there are two."""
    if len(refs) < 2:
        return ""
    options = [Option(ref, short_ref(ref)) for ref in refs]
    base = next((ref for ref in refs if ref in ("refs/heads/main", "refs/heads/master")), refs[1])
    other = next(ref for ref in refs if ref != base)
    fields = [choice("before", "before", options, base), choice("after", "after", options, other)]
    if len(legs) > 1:
        some = [Option("", "that of most runs"), *(Option(leg, leg) for leg in legs if leg)]
        fields.append(choice("leg", "leg of the matrix", some, ""))
    return section("Two branches", form(job_address(names, "compare"), *fields, button="Compare"))


def _nothing(found: JobHistory, query: Mapping[str, str]) -> str:
    place = job_address(names_of_history(found))
    if found.next_cursor:
        return _pages(found, query)
    if query:
        return f'<p class="card">No run is like that. <a href="{text(place)}">All runs of the job</a></p>'
    return '<p class="card">Its runs were removed, and none came since.</p>'
