"""What holds for every run that can be checked."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobmeter.model.budgets.judgement import base_of, judge
from jobmeter.model.budgets.measures import MEASURES, reading_of
from jobmeter.model.budgets.plan import Terms
from jobmeter.model.history.usage import used_by
from jobmeter.model.summary import Summary
from jobmeter.report.check_annotations import code_quality, github_annotations
from jobmeter.report.check_junit import check_junit
from jobmeter.report.check_markdown import check_markdown
from jobmeter.report.check_terminal import render_check
from jobmeter.report.text import cells
from tests.report.check_examples import budgets
from tests.report.strategies import summaries

LIMITS = budgets(
    *((measure.key, text) for measure in MEASURES for text in ("0", "+1 %") if measure.key != "duration")
)
DURATIONS = budgets(("duration", "0s"), ("duration", "+1h"))
relaxed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@relaxed
@given(summaries(), st.lists(summaries(), max_size=6), st.integers(40, 160), st.booleans())
def test_every_form_shows_every_run(
    summary: Summary, history: list[Summary], width: int, is_running: bool
) -> None:
    """Whatever was or was not read of the run and of the base, and whatever they are called."""
    base = base_of(f"refs/heads/{summary.job.ref}", [used_by(each) for each in history], 20)
    judgement = judge(summary, Terms((*LIMITS, *DURATIONS), True), base, is_running=is_running)
    for line in render_check(judgement, width=width).splitlines():
        assert cells(line) <= width
        assert line.isprintable()
    rows = [line for line in check_markdown(judgement).splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert len(list(Xml.fromstring(check_junit(judgement)).iter("testcase"))) == len(judgement.findings)
    lines = github_annotations(judgement, "x.toml").split("\n")[:-1]
    entries = msgspec.json.decode(code_quality(judgement, "x.toml"))
    loud = [finding for finding in judgement.findings if finding.level != "none"]
    assert len(lines) == len(entries) == len(loud)


@relaxed
@given(summaries(), st.lists(summaries(), max_size=6))
def test_what_is_not_known_never_passes(summary: Summary, history: list[Summary]) -> None:
    """Neither a number that is missing nor one that may be too low, nor one with nothing to compare."""
    judgement = judge(
        summary, Terms((*LIMITS, *DURATIONS), True), base_of("main", [used_by(each) for each in history], 20)
    )
    for finding in judgement.findings:
        reading = reading_of(finding.budget.measure, summary)
        if reading.value is None or reading.is_lower_bound or finding.allowed is None:
            assert finding.state in ("unknown", "breach")
        assert bool(finding.why) == (finding.state == "unknown")
