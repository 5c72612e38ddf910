"""Evidence as it comes: the examples that golden files and pictures are made from."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from jobmeter.model.evidence.document import Evidence, Series, Source
from jobmeter.model.job import Job
from tests.model.evidence.examples import BEGIN, answer, evidence, points

STEP = 10
EVIL = "</script><img src=x onerror=alert(1)>\"'`|*_\x1b[2J\u202e"


def course(value: Callable[[int], float], count: int = 100, **labels: str) -> Series:
    """A point each ten seconds of a thousand, but for eighty seconds in which nothing was scraped."""
    found = (
        (BEGIN + STEP * number, f"{value(number):.6g}") for number in range(count) if not 40 < number < 49
    )
    return Series(labels, tuple(found))


def waves(height: float, length: float, number: int) -> float:
    """A course that goes up and down."""
    return height * (1 + math.sin(number / length))


def build() -> Evidence:
    """A job of a thousand seconds: all states, thirty series of one query, negative numbers, NaN and Inf."""
    job = Job(repository="acme/engine", workflow="ci.yaml", job="build", run_id="7", ref="refs/heads/main")
    disks = [
        course(partial(waves, 1e6 * disk, disk + 3), device=f"sd{disk:02}", host="ci-7") for disk in range(30)
    ]
    return evidence(
        answer("cpu_seconds", course(lambda n: 1 + math.sin(n / 9)),
               expression="sum (rate(node_cpu_seconds_total[1m]))"),
        answer("memory_bytes", course(lambda n: 3e9, instance="a"), course(lambda n: 1e9 + 1e7 * n, instance="b")),
        answer("disk_read_bytes", *disks, expression="rate(node_disk_read_bytes_total[1m])",
               warnings=("5 of its 35 series are left out: the limit is 30.",), series_left_out=5, points_left_out=460),
        answer("drift", course(lambda n: -5 + n / 10, 8),
               Series({"kind": "odd"}, points("4", "NaN", "4", "+Inf", "4"))),
        answer("oom_kills"),
        answer("away", Series({}, points("1", "2")), state="partial", reason="A store was away."),
        answer("broken", state="failed", reason="Prometheus answered 400: parse error.", expression="rate("),
        job=job,
        end_time="2020-01-01T00:16:40.000Z",
        asked_time="2020-01-01T00:16:41.000Z",
        tail_open=True,
        tail_seconds=15.0,
        problems=("The clock of Prometheus is 4 s behind this machine's.",),
    )  # fmt: skip


def hostile() -> Evidence:
    """Every text of it is markup."""
    series = [Series({"a": EVIL + str(number), EVIL: "x"}, points("1", "2", "3")) for number in range(2)]
    return evidence(
        answer(EVIL, *series, expression=EVIL, warnings=(EVIL,), reason=EVIL, state="partial"),
        answer(EVIL, expression=EVIL, reason=EVIL, state="failed"),
        job=Job(repository=EVIL, job=EVIL),
        selector=EVIL,
        source=Source(address=EVIL),
        problems=(EVIL,),
        made_by=EVIL,
    )


def short() -> Evidence:
    """A job that was over before the second point."""
    begun = "2020-01-01T00:00:00.000Z"
    return evidence(answer("cpu_seconds", Series({}, points("0.5"))), start_time=begun, end_time=begun)


def nothing() -> Evidence:
    """Prometheus was away."""
    away = "Prometheus could not be reached."
    return evidence(answer("cpu_seconds", state="failed", reason=away), problems=(away,))


EXAMPLES = {"build": build, "hostile": hostile, "short": short, "nothing": nothing, "unasked": evidence}
