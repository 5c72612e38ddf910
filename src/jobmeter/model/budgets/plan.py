"""Which budgets hold for which job."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from msgspec import Struct, field

from jobmeter.model.budgets.limits import Budget
from jobmeter.model.job import Job

DEFAULT_RUNS = 20
MOST_RUNS = 200

Budgets = Mapping[str, tuple[Budget, ...]]
"""Budgets by the keys of their measures; an empty tuple takes those of the default away."""


class Rule(Struct, frozen=True, kw_only=True):
    """Budgets of the jobs that its patterns fit (``*``, ``?``, ``[a-z]``); ``matrix`` has them by the names of values.

    ``fail`` is None where the plan decides.
    """

    job: str = "*"
    workflow: str = "*"
    matrix: Mapping[str, str] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=dict)
    fail: bool | None = None

    def fits(self, job: Job) -> bool:
        """Whether it is about this job; a name that is not known is empty."""
        values = {name: _text(value) for name, value in (job.matrix or {}).items()}
        return (
            fnmatchcase(job.job or "", self.job)
            and fnmatchcase(job.workflow or "", self.workflow)
            and all(fnmatchcase(values.get(name, ""), pattern) for name, pattern in self.matrix.items())
        )


class Terms(Struct, frozen=True):
    """What holds for one job; ``fail`` says whether a budget that is exceeded fails the check."""

    budgets: tuple[Budget, ...]
    fail: bool


class Plan(Struct, frozen=True, kw_only=True):
    """The budgets of a file.

    ``base`` is the branch to compare with, None for the target of the pull request; ``runs`` is how many of its last
    runs count.
    """

    base: str | None = None
    runs: int = DEFAULT_RUNS
    fail: bool = True
    fail_on_unknown: bool = False
    default: Budgets = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def terms(self, job: Job) -> Terms:
        """The default's budgets, each measure overridden by the first rule that fits the job."""
        rule = next((rule for rule in self.rules if rule.fits(job)), Rule())
        chosen = {**self.default, **rule.budgets}
        budgets = tuple(budget for some in chosen.values() for budget in some)
        return Terms(budgets, self.fail if rule.fail is None else rule.fail)


def _text(value: object) -> str:
    """A value of a matrix as workflows write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
