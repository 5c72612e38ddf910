"""Whether a run is within its budgets, and whether a difference means anything."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from jobmeter.model.budgets.judgement import Base, Judgement, base_of, judge
from jobmeter.model.budgets.limits import parse_budget
from jobmeter.model.budgets.measures import BY_KEY
from jobmeter.model.budgets.plan import Terms
from jobmeter.model.exits import Exit
from jobmeter.model.history.usage import used_by
from jobmeter.model.history.usual import EARLIER_RUNS, Known
from jobmeter.model.summary import Summary
from tests.model.budgets.runs import MIB, box, run_of

STEADY = (96.0, 98.0, 100.0, 102.0, 104.0)
"""Median 100, of which the spread goes up to 106: three times the deviation of 2."""


def base(*values: float, key: str = "cpu_seconds") -> Base:
    return Base(ref="refs/heads/main", runs=len(values), known={key: Known(values)})


def judged(
    summary: Summary, text: str, base: Base, *, key: str = "cpu_seconds", strict: bool = False, fail: bool = True,
    **options: bool,
) -> Judgement:  # fmt: skip
    budget = parse_budget(BY_KEY[key], text, strict=strict)
    return judge(summary, Terms((budget,), fail), base, **options)


@pytest.mark.parametrize(
    "used, text, complete, state",
    [
        (90.0, "90", True, "ok"),
        (90.1, "90", True, "breach"),
        (90.1, "90", False, "breach"),
        (89.0, "90", False, "unknown"),
        (None, "90", True, "unknown"),
        (100.0, "+0 %", True, "ok"),
        (105.9, "+0 %", True, "noise"),
        (106.1, "+0 %", True, "breach"),
        (106.1, "+10 %", True, "ok"),
        (110.1, "+10 %", True, "breach"),
        (105.9, "+0 %", False, "unknown"),
        (106.1, "+0 %", False, "breach"),
        (99.0, "+0 %", False, "unknown"),
        (None, "+0 %", True, "unknown"),
    ],
)
def test_the_state_of_a_budget(used, text, complete, state):
    """A lower bound proves a breach, never a pass; a breach within the base's own spread is noise."""
    summary = run_of(cpu_seconds=used, cpu_complete=complete)
    (finding,) = judged(summary, text, base(*STEADY)).findings
    assert finding.state == state
    assert bool(finding.why) == (state == "unknown")


@pytest.mark.parametrize("complete", [True, False])
def test_a_strict_budget_knows_no_noise(complete):
    """Over it is over."""
    summary = run_of(cpu_seconds=105.0, cpu_complete=complete)
    assert judged(summary, "+0 %", base(*STEADY), strict=True).count("breach") == 1


@pytest.mark.parametrize(
    "base, why",
    [
        (Base(problem="no receiver was named"), "no receiver was named"),
        (base(), "main has no runs of this job"),
        (base(1.0), "main has 1 run of this job"),
        (base(*STEADY[:4]), "main has 4 runs of this job"),
        (
            Base(ref="main", runs=9, known={"cpu_seconds": Known(STEADY[:2])}),
            "2 of the 9 runs of main tell their CPU time in full",
        ),
    ],
)
def test_without_enough_runs_of_the_base_nothing_is_told(base, why):
    """A relative budget is then unknown; an absolute one does not ask."""
    (finding,) = judged(run_of(), "+10 %", base).findings
    assert (finding.state, finding.allowed, finding.usual) == ("unknown", None, None)
    assert finding.why.startswith(why)
    assert judged(run_of(), "91", base).count("ok") == 1


def test_what_is_missing_of_the_run_is_said_before_what_is_missing_of_the_base():
    """The one reason that a person can do something about."""
    (finding,) = judged(run_of(cpu_seconds=None), "+10 %", Base(problem="no receiver")).findings
    assert finding.why == "no CPU time was read"


@pytest.mark.parametrize(
    "text, fail, fail_on_unknown, level, failed",
    [
        ("10", True, False, "error", True),
        ("10", False, False, "warning", False),
        ("+1 %", True, False, "notice", False),
        ("+1 %", True, True, "error", True),
        ("+1 %", False, True, "notice", False),
        ("1000", True, True, "none", False),
    ],
)
def test_what_fails_the_check(text, fail, fail_on_unknown, level, failed):
    """What is exceeded unless it is only reported; what is not known only if the file says so."""
    found = judged(run_of(), text, Base(problem="none"), fail=fail, fail_on_unknown=fail_on_unknown)
    assert (found.findings[0].level, found.failed) == (level, failed)


def test_a_run_that_goes_on_has_passed_nothing():
    """It can have failed already."""
    assert judged(run_of(), "91", Base(), is_running=True).count("unknown") == 1
    assert judged(run_of(), "89", Base(), is_running=True).count("breach") == 1


def test_the_base_has_what_its_runs_tell_in_full():
    """The oldest first, those that do not count apart. Lower bounds are left out: they would lower the median."""
    summaries = [
        run_of(cpu_seconds=10.0),
        run_of(cpu_seconds=20.0, cpu_complete=False),
        run_of(box(oom_kills=1), cpu_seconds=30.0),
        run_of(exit=Exit(reason="lost")),
        run_of(cpu_seconds=40.0),
    ]
    found = base_of("main", [used_by(summary) for summary in summaries], 4)
    assert found.runs == 4
    assert found.known == {
        "memory": ([300 * MIB] * 2, [300 * MIB]),
        "cpu_seconds": ([30.0, 10.0], [40.0]),
        "duration": ([60.0] * 3, [60.0]),
        "network": ([1000.0] * 3, [1000.0]),
    }


@pytest.mark.parametrize("used, state", [(190.0, "ok"), (205.0, "ok"), (300.0, "breach"), (105.0, "ok")])
def test_a_lasting_step_of_the_base_is_what_is_usual_now(used, state):
    """Twenty runs before it neither hide a breach nor make one."""
    runs = [
        run_of(cpu_seconds=level + n % 3) for level, count in ((100, 20), (200, 10)) for n in range(count)
    ]
    found = base_of("refs/heads/main", [used_by(run) for run in reversed(runs)], 30)
    (finding,) = judged(run_of(cpu_seconds=used), "+10 %", found).findings
    assert finding.state == state
    assert finding.usual is not None
    assert (finding.usual.median, finding.usual.runs, finding.usual.changed_from) == (201.0, 10, 101.0)


@pytest.mark.parametrize("runs", [5, 9, 20])
def test_what_the_base_once_used_excuses_no_run(runs):
    """However many of the runs before its change are among the last ones."""
    for since in range(5, runs + 6):
        history = [
            run_of(cpu_seconds=level + n % 3)
            for level, count in ((100, since), (200, runs + EARLIER_RUNS - since))
            for n in range(count)
        ]
        found = base_of("refs/heads/main", [used_by(run) for run in history], runs)
        assert judged(run_of(cpu_seconds=195.0), "+10 %", found).failed, since


Draw = Callable[[random.Random], float]
SHAPES: dict[str, Draw] = {
    "normal": lambda chance: chance.gauss(100, 3),
    "skewed": lambda chance: 90 + chance.lognormvariate(2, 0.6),
    "of two kinds": lambda chance: chance.gauss(100, 2) if chance.random() < 0.6 else chance.gauss(300, 6),
    "with outliers": lambda chance: chance.gauss(100, 3) * (3 if chance.random() < 0.03 else 1),
}


def breaches(draw: Draw, text: str, *, runs: int, change: float = 1.0) -> float:
    """The share of runs that exceed a budget; their use is that of the base's times ``change``."""
    chance = random.Random(7)
    count = 0
    for _ in range(400):
        history = base(*(draw(chance) for _ in range(runs)))
        count += judged(run_of(cpu_seconds=draw(chance) * change), text, history).failed
    return count / 400


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("runs, most", [(20, 0.1), (5, 0.2)])
def test_noise_alone_seldom_fails(shape, runs, most):
    """Not even where nothing more than the median is allowed, which every other run exceeds."""
    assert breaches(SHAPES[shape], "+0 %", runs=runs) <= most


@pytest.mark.parametrize("shape", ["normal", "skewed", "with outliers"])
def test_a_regression_is_found(shape):
    """A fifth more than before, where a twentieth is allowed."""
    assert breaches(SHAPES[shape], "+5 %", runs=20) <= 0.1
    assert breaches(SHAPES[shape], "+5 %", runs=20, change=1.2) >= 0.85
