"""Whether a run is within its budgets, and whether a difference to the base branch means anything."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from jobmeter.model.budgets.limits import Budget
from jobmeter.model.budgets.measures import MEASURES, Reading, reading_of
from jobmeter.model.budgets.plan import LEAST_RUNS, Terms
from jobmeter.model.history.usage import Usage
from jobmeter.model.job import Job
from jobmeter.model.statistics import percentile
from jobmeter.model.summary import Summary

State = Literal["ok", "breach", "noise", "unknown"]
"""noise: over a relative budget, but within the spread of the base's own runs."""
Level = Literal["none", "notice", "warning", "error"]
"""How loud a finding is; an error fails the check."""

_DEVIATIONS = 3


class Spread(Struct, frozen=True):
    """What some runs of the base branch used of one measure, in its unit."""

    median: float
    low: float
    high: float
    runs: int


class Base(Struct, frozen=True, kw_only=True):
    """The base branch's runs to compare with; ``values`` are by the measures' keys, of the runs that have them.

    ``problem`` says why there are none, in words that follow a colon.
    """

    ref: str | None = None
    runs: int = 0
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    problem: str = ""


class Finding(Struct, frozen=True, kw_only=True):
    """One budget and what became of it; ``allowed`` is None where that cannot be told.

    ``why`` says what is not known, in words that follow a colon; empty for other states.
    """

    budget: Budget
    state: State
    level: Level
    reading: Reading
    allowed: float | None = None
    spread: Spread | None = None
    why: str = ""

    @property
    def is_usual(self) -> bool:
        """Whether the base's own runs differ as much; False where there is nothing to compare with."""
        value, spread = self.reading.value, self.spread
        return value is not None and spread is not None and spread.low <= value <= spread.high


class Judgement(Struct, frozen=True, kw_only=True):
    """All findings of one run; without any, no budget is about its job."""

    job: Job
    findings: tuple[Finding, ...]
    base: Base

    @property
    def failed(self) -> bool:
        """Whether the check fails."""
        return any(finding.level == "error" for finding in self.findings)

    def count(self, state: State) -> int:
        """How many budgets are in this state."""
        return sum(finding.state == state for finding in self.findings)


def base_of(ref: str, runs: Sequence[Usage]) -> Base:
    """The base from its runs. What was not read is left out, and so are lower bounds, which would lower the median."""
    values: dict[str, list[float]] = {measure.key: [] for measure in MEASURES}
    for run in runs:
        for key, found in values.items():
            value = run.measure(key)
            if value is not None and key not in run.lower_bounds:
                found.append(value)
    return Base(ref=ref, runs=len(runs), values=values)


def spread_of(values: Sequence[float]) -> Spread | None:
    """Median and usual range; None of fewer than LEAST_RUNS values.

    The range holds the middle 90 % of the values, for runs of two kinds, and what is within three median absolute
    deviations of the median, for few runs, of which the highest says little.
    """
    if len(values) < LEAST_RUNS:
        return None
    ascending = sorted(values)
    median = percentile(ascending, 50)
    reach = _DEVIATIONS * percentile(sorted(abs(value - median) for value in ascending), 50)
    low = min(percentile(ascending, 5), median - reach)
    high = max(percentile(ascending, 95), median + reach)
    return Spread(median, max(0.0, low), high, len(ascending))


def judge(
    summary: Summary, terms: Terms, base: Base, *, is_running: bool = False, fail_on_unknown: bool = False
) -> Judgement:
    """Hold one run against its budgets."""
    findings = [
        _finding(
            budget,
            reading_of(budget.measure, summary, is_running=is_running),
            base,
            terms.fail,
            fail_on_unknown,
        )
        for budget in terms.budgets
    ]
    return Judgement(job=summary.job, findings=tuple(findings), base=base)


def _finding(budget: Budget, reading: Reading, base: Base, fail: bool, fail_on_unknown: bool) -> Finding:
    spread = spread_of(base.values.get(budget.measure.key, ())) if budget.is_relative else None
    allowed = budget.allowed(spread.median if spread else None)
    state = _state(budget, reading, allowed, spread)
    why = ""
    if state == "unknown":
        why = _no_allowance(budget, base) if allowed is None and reading.value is not None else reading.why
    return Finding(
        budget=budget,
        state=state,
        level=_level(state, fail, fail_on_unknown),
        reading=reading,
        allowed=allowed,
        spread=spread,
        why=why,
    )


def _state(budget: Budget, reading: Reading, allowed: float | None, spread: Spread | None) -> State:
    if reading.value is None or allowed is None:
        return "unknown"
    is_over = reading.value > allowed
    if is_over and (spread is None or budget.strict or reading.value > spread.high):
        return "breach"
    # More may have been used than was seen.
    if reading.is_lower_bound:
        return "unknown"
    return "noise" if is_over else "ok"


def _level(state: State, fail: bool, fail_on_unknown: bool) -> Level:
    match state:
        case "ok":
            return "none"
        case "breach":
            return "error" if fail else "warning"
        case "unknown":
            return "error" if fail and fail_on_unknown else "notice"
    return "notice"


def _no_allowance(budget: Budget, base: Base) -> str:
    """Why it cannot be told what a relative budget allows."""
    if base.problem:
        return base.problem
    known = len(base.values.get(budget.measure.key, ()))
    if known == base.runs:
        runs = "1 run" if known == 1 else f"{known or 'no'} runs"
        return f"{base.ref} has {runs} of this job to compare with, and {LEAST_RUNS} are needed"
    return f"{known} of the {base.runs} runs of {base.ref} tell it in full, and {LEAST_RUNS} are needed"
