"""The page that says what a job should request, and why."""

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlencode

from jobmeter.model.sizing.answer import Advice, Evidence, Outlier
from jobmeter.model.sizing.parameters import CPU_PERCENTILES
from jobmeter.receiver.pages.history_parts import NAME_CELLS, Option, choice, field, form, job_address, pager
from jobmeter.receiver.pages.layout import address
from jobmeter.receiver.store.usages import Names
from jobmeter.report import sizing_forms, sizing_text
from jobmeter.report.html_parts import card, section, text
from jobmeter.report.html_parts import table as plain_table
from jobmeter.report.text import clean, fit

_FORMS = (
    ("Kubernetes", "resources of the containers", sizing_forms.kubernetes_yaml),
    ("Docker, Podman", "flags of run", sizing_forms.docker_text),
    ("GitLab", "variables of the job", sizing_forms.gitlab_yaml),
)
_MAX_OUTLIERS = 10


def sizing_body(names: Names, advice: Advice, query: Mapping[str, str]) -> str:
    """The advice, what it rests on, and its forms."""
    meta = advice.meta
    tone = sizing_text.TONES[meta.confidence_phase]
    heading = (
        f'<header><p class="over">{text(fit(clean(names[3]), NAME_CELLS))}: what to request</p>'
        f'<h1 class="{tone}">Request {text(sizing_text.wanted(advice))}</h1>'
        f'<p class="lead"><b>{text(meta.confidence_phase.capitalize())}.</b> {text(meta.reason)}</p></header>'
    )
    return "".join(
        (
            heading,
            _parameters(names, query),
            _containers(advice),
            section("Would it have been enough?", _backtest(advice)),
            section("Runs that stand out", _outliers(advice.meta.outliers)),
            section("To copy", *_forms(advice)) if advice.containers else "",
            pager([("The advice as JSON", text(_api(names, query)))]),
        )
    )


def _parameters(names: Names, query: Mapping[str, str]) -> str:
    percentiles = [Option(name, name) for name in CPU_PERCENTILES]
    return form(
        job_address(names, "sizing"),
        field("runs", "last runs", query.get("runs", "20")),
        field("days", "or all of the last days", query.get("days", ""), "365"),
        field("buffer", "to spare, %", query.get("buffer", "20")),
        choice("cpu_percentile", "CPU by", percentiles, query.get("cpu_percentile", "p95")),
        button="Work out",
    )


def _containers(advice: Advice) -> str:
    if not advice.containers:
        return ""
    names = [each.name for each in advice.containers]
    tables = (
        plain_table("Memory", names, sizing_text.memory_columns(advice), first="container"),
        plain_table("CPU, cores", names, sizing_text.cpu_columns(advice), first="container"),
    )
    rule = sizing_text.rule(advice)
    how = f'<p class="hinted">{text(_sentence(rule))}.</p>' if rule else ""
    notes = "".join(f"<li>{text(note)}</li>" for note in _notes(advice.evidence))
    return section("For each container", how, card(*tables), f'<ul class="notes">{notes}</ul>')


def _notes(evidence: Iterable[Evidence]) -> Iterator[str]:
    for each in evidence:
        for note in (sizing_text.clean_runs(each), *each.notes):
            yield f"{each.name}: {note}"


def _backtest(advice: Advice) -> str:
    backtest = advice.backtest
    if backtest is None:
        return ""
    tone = "warn" if backtest.would_be_killed else "good" if backtest.runs else "bold"
    said = f'<span class="{tone}">{text(_sentence(sizing_text.judged(backtest)))}.</span>'
    if not backtest.runs:
        return f'<div class="card">{said}</div>'
    return f'<div class="card">{said}<br>In sum: {text(sizing_text.saved(backtest))}.</div>'


def _outliers(outliers: Iterable[Outlier]) -> str:
    items = [
        f"<li>{text(each.container)} took {text(sizing_text.took(each))} in "
        f'<a href="{text(address("runs", each.run_uid))}">a run</a>{text(sizing_text.whose(each))}, '
        f"usual is {text(sizing_text.usual(each))}.</li>"
        for each in outliers
    ]
    hidden = f"<li>… and {len(items) - _MAX_OUTLIERS:,} more.</li>" if len(items) > _MAX_OUTLIERS else ""
    return f'<ul class="notes">{"".join(items[:_MAX_OUTLIERS])}{hidden}</ul>' if items else ""


def _forms(advice: Advice) -> Iterator[str]:
    for place, (title, about, make) in enumerate(_FORMS):
        yield (
            f'<details class="card form"{"" if place else " open"}><summary>{title}: {about}</summary>'
            f'<pre tabindex="0"><code>{text_lines(make(advice))}</code></pre></details>'
        )


def text_lines(said: str) -> str:
    """Text whose lines are kept."""
    return "\n".join(text(line) for line in said.rstrip("\n").split("\n"))


def _api(names: Names, query: Mapping[str, str]) -> str:
    place = address("api", "v1", "sizing", "repo", *names)
    return f"{place}?{urlencode(query)}" if query else place


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
