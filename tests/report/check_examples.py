"""Results of checks with every state there is, for golden files and the documentation."""

from jobmeter.model.budgets.judgement import Base, Judgement, judge
from jobmeter.model.budgets.limits import Budget, parse_budget
from jobmeter.model.budgets.measures import BY_KEY
from jobmeter.model.budgets.plan import Terms
from jobmeter.model.history.usual import Known
from jobmeter.model.job import Job
from jobmeter.model.summary import Summary
from tests.model.budgets.runs import MIB, box, run_of
from tests.report.examples import hostile

MAIN = Base(
    ref="refs/heads/main",
    runs=20,
    known={
        "memory": Known([(280 + number) * MIB for number in range(20)]),
        "cpu_seconds": Known([80.0 + 0.6 * number for number in range(20)]),
        "duration": Known([38.0 + 0.2 * number for number in range(20)]),
    },
)
NOBODY = Base(problem="https://metrics.example cannot be reached: Connection refused")


def budgets(*limits: tuple[str, str], strict: bool = False) -> tuple[Budget, ...]:
    """Budgets from keys and limits."""
    return tuple(
        parse_budget(BY_KEY[key], text, strict=strict and text.startswith("+")) for key, text in limits
    )


def every_state(*, fail: bool = True) -> Judgement:
    """One that is kept, one over an absolute limit, one over a relative, noise, and one that is not known."""
    limits = [
        ("memory", "256 MiB"),
        ("memory", "+10 %"),
        ("cpu_seconds", "+0 %"),
        ("duration", "+10 %"),
        ("network", "1G"),
    ]
    summary = run_of(box(network_rx_bytes=None, network_tx_bytes=None))
    return judge(summary, Terms(budgets(*limits), fail), MAIN)


def kept() -> Judgement:
    """All is well."""
    return judge(run_of(), Terms(budgets(("memory", "2 GiB"), ("cpu_seconds", "+10 %")), True), MAIN)


def lower_bounds() -> Judgement:
    """CPU time is a lower bound, which proves one breach and no pass; the receiver cannot be reached."""
    limits = [("cpu_seconds", "60"), ("cpu_seconds", "10m"), ("duration", "+10 %")]
    return judge(run_of(cpu_complete=False), Terms(budgets(*limits), True), NOBODY, fail_on_unknown=True)


def strict() -> Judgement:
    """Within the spread, and over a limit that is strict."""
    return judge(run_of(), Terms(budgets(("cpu_seconds", "+0 %"), strict=True), True), MAIN)


def nothing() -> Judgement:
    """No budget is about the job."""
    return judge(run_of(job=Job()), Terms((), True), Base())


def evil() -> Judgement:
    """Names that try to break out of the format they are shown in."""
    summary: Summary = hostile()[0]
    ref = f"refs/heads/{summary.job.ref}"
    base = Base(ref=ref, runs=5, known={"cpu_seconds": Known([1.0, 2.0, 3.0, 4.0, 5.0])})
    limits = [("memory", "1"), ("cpu_seconds", "+1 %"), ("network", "1"), ("duration", "+1 %")]
    return judge(summary, Terms(budgets(*limits), True), base)


EXAMPLES = {
    "every_state": every_state(),
    "reported": every_state(fail=False),
    "kept": kept(),
    "lower_bounds": lower_bounds(),
    "strict": strict(),
    "nothing": nothing(),
}
