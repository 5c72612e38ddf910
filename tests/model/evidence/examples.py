"""Documents of evidence as a referee makes them."""

from __future__ import annotations

from jobmeter.model.evidence.document import Evidence, Point, QueryAnswer, Series, Source
from jobmeter.model.job import Job

BEGIN = 1_577_836_800
"""2020-01-01T00:00:00Z, when the job of the examples begins."""


def points(*values: str, step: float = 10) -> tuple[Point, ...]:
    """Values from the job's begin on."""
    times = (round(BEGIN + number * step, 3) for number in range(len(values)))
    return tuple(
        (int(time) if time == int(time) else time, value) for time, value in zip(times, values, strict=True)
    )


def answer(name: str, *series: Series, **more: object) -> QueryAnswer:
    """One query's answer; its state follows from its series where none is given."""
    known: dict[str, object] = {
        "query": f"{name}{{{{selector}}}}",
        "expression": f'{name}{{instance="runner-1"}}',
        "step_seconds": 10.0,
        "state": "data" if series else "empty",
        "series": series,
    }
    return QueryAnswer(name=name, **(known | more))  # type: ignore[arg-type]


def evidence(*queries: QueryAnswer, **more: object) -> Evidence:
    """A document of a job of twenty seconds."""
    known: dict[str, object] = {
        "made_by": "0.0.0",
        "start_time": "2020-01-01T00:00:00.000Z",
        "end_time": "2020-01-01T00:00:20.000Z",
        "asked_time": "2020-01-01T00:00:21.000Z",
        "source": Source(address="http://prometheus.example:9090"),
        "selector": 'instance="runner-1"',
        "interval_seconds": 10.0,
        "step_seconds": 10.0,
        "queries": queries,
    }
    return Evidence(**(known | more))  # type: ignore[arg-type]


def whole_evidence() -> Evidence:
    """A document with every state and every field of the contract."""
    return evidence(
        answer(
            "cpu_seconds",
            Series({"cpu": "0", "mode": "user"}, points("0.5", "0.75", "NaN")),
            Series({"cpu": "1", "mode": "user"}, points("+Inf", "-Inf", "1e-05", step=10.5)),
            series_left_out=3,
            points_left_out=9,
            warnings=("3 of its 5 series are left out: the limit is 2.",),
        ),
        answer("memory_bytes", Series({}, points("0.5", "0.75")), state="partial", reason="A store was away."),
        answer("arp_entries"),
        answer("broken", state="failed", reason="Prometheus answered 400: parse error.", expression="rate("),
        job=Job(
            forge="gitlab", server_url="https://gitlab.example", organization="my-org",
            repository="my-org/app", workflow=".gitlab-ci.yml", job="build", run_id="77", attempt=1,
            matrix={"os": "linux"}, ref="refs/heads/main", base_ref="refs/heads/main", sha="0" * 40,
            event="push", runner="runner-1", runner_labels=("docker",),
        ),
        run_uid="01890000-0000-7000-8000-000000000001",
        task="4711",
        tail_open=True,
        tail_seconds=15.0,
        problems=("The clock of Prometheus is 4 s behind this machine's.",),
    )  # fmt: skip
