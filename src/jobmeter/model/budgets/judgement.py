"""Whether a run is within its budgets, and whether a difference to the base branch means anything."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from jobmeter.model.budgets.limits import Budget
from jobmeter.model.budgets.measures import MEASURES, Reading, reading_of
from jobmeter.model.budgets.plan import Terms
from jobmeter.model.history.levels import LEAST_RUNS
from jobmeter.model.history.usage import Usage
from jobmeter.model.history.usual import Known, Usual, known_of, usual_of
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary

State = Literal["ok", "breach", "noise", "unknown"]
"""noise: over a relative budget, but within the range of the base's own runs."""
Level = Literal["none", "notice", "warning", "error"]
"""How loud a finding is; an error fails the check."""
_NOTHING = Known(())
_HEADS = ("refs/heads/", "refs/tags/")


class Base(Struct, frozen=True, kw_only=True):
    """The base branch's runs to compare with: how many count, and by the measures' keys what they tell.

    ``problem`` says why there are none, in words that follow a colon.
    """

    ref: str | None = None
    runs: int = 0
    known: Mapping[str, Known] = field(default_factory=dict)
    problem: str = ""

    @property
    def name(self) -> str:
        """The branch or tag without what is in front of its name."""
        ref = self.ref or "the base"
        return next((ref.removeprefix(head) for head in _HEADS if ref.startswith(head)), ref)


class Finding(Struct, frozen=True, kw_only=True):
    """One budget and what became of it; ``allowed`` is None where that cannot be told.

    ``why`` says what is not known, in words that follow a colon; empty for other states.
    """

    budget: Budget
    state: State
    level: Level
    reading: Reading
    allowed: float | None = None
    usual: Usual | None = None
    why: str = ""

    @property
    def is_usual(self) -> bool:
        """Whether the base's own runs differ as much; False where there is nothing to compare with."""
        value, usual = self.reading.value, self.usual
        return value is not None and usual is not None and usual.low <= value <= usual.high


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


def base_of(ref: str, runs: Sequence[Usage], most: int) -> Base:
    """The base from its runs, which are in the order newest first; the first ``most`` of them count."""
    known = {measure.key: known_of(measure.key, runs, most) for measure in MEASURES}
    return Base(ref=ref, runs=len(runs[:most]), known=known)


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
    usual = usual_of(base.known.get(budget.measure.key, _NOTHING)) if budget.is_relative else None
    allowed = budget.allowed(usual.median if usual else None)
    state = _state(budget, reading, allowed, usual)
    why = ""
    if state == "unknown":
        why = _no_allowance(budget, base) if allowed is None and reading.value is not None else reading.why
    return Finding(
        budget=budget,
        state=state,
        level=_level(state, fail, fail_on_unknown),
        reading=reading,
        allowed=allowed,
        usual=usual,
        why=why,
    )


def _state(budget: Budget, reading: Reading, allowed: float | None, usual: Usual | None) -> State:
    if reading.value is None or allowed is None:
        return "unknown"
    is_over = reading.value > allowed
    if is_over and (usual is None or budget.strict or reading.value > usual.high):
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
    known = len(base.known.get(budget.measure.key, _NOTHING).values)
    if known == base.runs:
        runs = "1 run" if known == 1 else f"{known or 'no'} runs"
        return f"{base.name} has {runs} of this job to compare with, and {LEAST_RUNS} are needed"
    title = budget.measure.title
    return f"{known} of the {base.runs} runs of {base.name} tell their {title} in full, and {LEAST_RUNS} are needed"
