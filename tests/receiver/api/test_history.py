"""History, repositories, comparisons and the fleet, asked of a running receiver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from jobmeter.model.exits import Exit
from jobmeter.model.summary import Summary
from tests.model.budgets.runs import GIB, JOB, MIB, box, run_of
from tests.receiver.api.running import RunningReceiver
from tests.support.runs import records

DAY = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0) - timedelta(days=2)
_JOB_FIELDS = ("organization", "repository", "workflow", "job", "ref", "sha", "matrix", "runner_labels")


def build(name: str, number: int, need: int = 300 * MIB, **fields: Any) -> Summary:
    """A run of a minute, ``number`` minutes after the first, that reserves 2 cores and 1 GiB, of a job of its own."""
    start = DAY + timedelta(minutes=number)
    container = box(
        memory_working_set_peak_bytes=need, cpu_seconds=30.0, memory_request_bytes=GIB, cpu_request_cores=2.0
    )
    told = {field: fields.pop(field) for field in _JOB_FIELDS if field in fields}
    known: dict[str, Any] = {
        "run_uid": f"{name}-{number}",
        "start_time": start.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "cpu_seconds": 30.0,
        "job": replace(JOB, **({"organization": name, "repository": f"{name}/engine"} | told)),
    }
    return run_of(container, **(known | fields))


def push(receiver: RunningReceiver, *summaries: Summary) -> None:
    for summary in summaries:
        receiver.push(summary)


def ask(receiver: RunningReceiver, path: str, status: int = 200) -> Any:
    found = receiver.get(f"/api/v1{path}")
    assert found.status_code == status, found.text
    return found.json()


def uids(answer: Any) -> list[str]:
    return [run["run_uid"].rpartition("-")[2] for run in answer["runs"]]


def test_a_job_is_told_run_by_run_newest_first(receiver: RunningReceiver) -> None:
    """As soon as a run is stored, and whichever form its repository has."""
    push(receiver, build("h1", 0), build("h1", 2, repository="engine"), build("h1", 1, job="other"))

    found = ask(receiver, "/history/repo/h1/engine/ci.yaml/build")

    assert uids(found) == ["2", "0"]
    assert found["runs"][0] | {"run_uid": ""} == {
        "run_uid": "", "began_at": build("h1", 2).start_time, "exit_reason": "success", "duration_seconds": 60.0,
        "cpu_seconds": 30.0, "memory_bytes": 300 * MIB, "network_bytes": 1000, "lower_bounds": [],
        "memory_total_bytes": 300 * MIB, "throttled_seconds": None, "oom_kills": None,
        "reserved_cores": {"amount": 2.0, "used": 0.5, "partial": False, "unused": 1.5},
        "reserved_memory_bytes": {
            "amount": GIB, "used": 300 * MIB, "partial": False, "unused": GIB - 300 * MIB,
        },
        "ref": "refs/heads/faster", "sha": None, "run_id": None, "leg": "", "runner_labels": [],
    }  # fmt: skip
    assert found["digest"]["whole_runs"] == 2
    assert ask(receiver, f"/history/repo/h1/{quote('h1/engine', safe='')}/ci.yaml/build") == found
    named = "organization=h1&repository=h1/engine&workflow=ci.yaml&job=build"
    assert ask(receiver, f"/history?{named}") == found


def test_pages_follow_one_another(receiver: RunningReceiver) -> None:
    """Also where runs began at one time."""
    push(
        receiver,
        *(build("h2", number, start_time=build("h2", number // 3).start_time) for number in range(8)),
    )

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        found = ask(
            receiver, f"/history/repo/h2/engine/ci.yaml/build?limit=3{cursor and '&cursor=' + quote(cursor)}"
        )
        seen += uids(found)
        cursor = found["next_cursor"]

    assert seen == [str(number) for number in reversed(range(8))]


@pytest.mark.parametrize(
    "query, expected",
    [
        ("ref=refs/heads/main", ["3", "1"]),
        ("ref=refs/heads/none", []),
        ("leg=os%3Da", ["2"]),
        ("leg=", ["4", "3", "1", "0"]),
        ("ended=whole", ["3", "2", "1", "0"]),
        ("ended=failed", ["4"]),
        ("ref=refs/heads/main&ended=whole&limit=1", ["3"]),
        ("until=" + (DAY + timedelta(minutes=2)).isoformat().replace("+00:00", "Z"), ["1", "0"]),
    ],
)
def test_runs_can_be_chosen(receiver: RunningReceiver, query: str, expected: list[str]) -> None:
    """By branch, leg, end and time."""
    main: dict[str, Any] = {"ref": "refs/heads/main"}
    push(
        receiver,
        build("h3", 0), build("h3", 1, **main), build("h3", 2, matrix={"os": "a"}),
        build("h3", 3, **main), build("h3", 4, exit=Exit(reason="failure", code=1)),
    )  # fmt: skip

    assert uids(ask(receiver, f"/history/repo/h3/engine/ci.yaml/build?{query}")) == expected


def test_a_level_and_an_outlier_are_named_with_their_commits(receiver: RunningReceiver) -> None:
    """The digest is of the runs that are answered."""
    needs = [*[300] * 10, 900, *[300] * 5, *[600] * 8]
    push(receiver, *(build("h4", n, need * MIB, sha=f"c{n}") for n, need in enumerate(needs)))

    digest = ask(receiver, "/history/repo/h4/engine/ci.yaml/build")["digest"]

    (change,) = digest["changes"]
    assert (change["sha"], change["before"], change["after"]) == ("c16", 300 * MIB, 600 * MIB)
    assert [(one["run_uid"], one["measure"]) for one in digest["stand_out"]] == [("h4-10", "memory")]
    assert digest["cpu"] == {
        "runs": 24,
        "reserved": 24 * 120.0,
        "used": 24 * 30.0,
        "unused": 24 * 90.0,
        "partial": 0,
    }


def test_a_job_that_never_ran_has_no_runs(receiver: RunningReceiver) -> None:
    """And a run that goes on is none yet."""
    job = replace(JOB, organization="h5", repository="h5/engine")
    receiver.stream(list(records("h5-going", ended=False, job=job)))

    found = ask(receiver, "/history/repo/h5/engine/ci.yaml/build")

    assert (found["runs"], found["next_cursor"], found["digest"]["runs"]) == ([], None, 0)


def test_repositories_are_listed_with_what_they_have(receiver: RunningReceiver) -> None:
    """Found by a part of their path, ordered as asked, page by page; jobs without a name are not."""
    push(
        receiver,
        build("h6", 0), build("h6", 1, job="test"), build("h6", 2), build("h6", 3, workflow=None),
        build("h6b", 9, repository="h6b/Other"), build("h6c", 9, organization="h6", repository="h6/a_b%"),
    )  # fmt: skip

    found = ask(receiver, "/repositories?words=h6&order=runs")["repositories"]

    told = [(one["organization"], one["repository"], one["jobs"], one["runs"]) for one in found]
    assert told == [("h6", "engine", 2, 3), ("h6", "a_b%", 1, 1), ("h6b", "Other", 1, 1)]
    assert found[0]["last_run_at"] == build("h6", 2).start_time
    first = ask(receiver, "/repositories?words=H6/&order=name&limit=1")
    assert first["repositories"][0]["repository"] == "a_b%"
    after = ask(receiver, f"/repositories?words=h6/&order=name&limit=1&cursor={first['next_cursor']}")
    assert after["repositories"][0]["repository"] == "engine"
    assert ask(receiver, "/repositories?words=a_b%25")["repositories"][0]["repository"] == "a_b%"
    assert ask(receiver, "/repositories?words=h6%25en")["repositories"] == []


def test_a_repository_tells_of_its_jobs(receiver: RunningReceiver) -> None:
    """What the last whole runs used, and what all of them reserved for nothing."""
    failed = build("h7", 2, 5 * MIB, exit=Exit(reason="failure", code=1))
    push(receiver, build("h7", 0), build("h7", 1, 500 * MIB), failed, build("h7", 5, job="test"))

    found = ask(receiver, "/repositories/h7/engine")

    assert [(one["workflow"], one["job"], one["runs"]) for one in found["jobs"]] == [
        ("ci.yaml", "test", 1), ("ci.yaml", "build", 3),
    ]  # fmt: skip
    job = found["jobs"][1]
    assert job["last_run"]["exit_reason"] == "failure"
    assert job["recent"]["memory"] == [300 * MIB, 500 * MIB]
    assert {one["measure"]: one["median"] for one in job["levels"]}["memory"] == 400 * MIB
    assert job["memory"] == {
        "runs": 3, "reserved": 180.0 * GIB, "used": 1000.0 * MIB * 60, "unused": 180.0 * GIB - 1000.0 * MIB * 60,
        "partial": 0,
    }  # fmt: skip
    assert ask(receiver, "/repositories/h7/nothing", 404)["status"] == 404


def test_all_jobs_of_a_repository_are_found(receiver: RunningReceiver) -> None:
    """Page by page, in an order over all of them; and it is said how many there are."""
    push(receiver, *(build("h7b", n, (300 + n * 7 % 10) * MIB, job=f"job-{n}") for n in range(10)))

    def page(query: str) -> Any:
        return ask(receiver, f"/repositories/h7b/engine?{query}")

    def names(found: Any) -> list[str]:
        return [one["job"].removeprefix("job-") for one in found["jobs"]]

    first = page("order=name&limit=6")
    assert (first["total"], first["ordered"], names(first)) == (10, 10, list("012345"))
    rest = page(f"order=name&limit=6&cursor={first['next_cursor']}")
    assert (names(rest), rest["next_cursor"]) == (list("6789"), None)
    assert names(page("order=memory&limit=3")) == ["7", "4", "1"]
    assert names(page("order=memory&limit=3&cursor=3")) == ["8", "5", "2"]
    found = page("words=CI.yaml/JOB-3")
    assert (found["total"], names(found)) == (1, ["3"])
    assert page("words=nothing")["total"] == 0


@pytest.mark.parametrize("need, verdict", [(300, "same"), (340, "usual"), (600, "more"), (201, "less")])
def test_two_runs_differ_by_more_than_runs_do_anyway(
    receiver: RunningReceiver, need: int, verdict: str
) -> None:
    """What is usual is said by the runs of the first one's branch, up to it."""
    main, change = f"h8-{need}", f"h8-{need}-after"
    needs = (280, 350, 290, 310, 345, 300)
    push(receiver, *(build(main, n, each * MIB, ref="refs/heads/main") for n, each in enumerate(needs)))
    push(receiver, build(change, 9, need * MIB, repository="engine", organization=main))

    found = ask(receiver, f"/compare?before={main}-5&after={change}-9")

    memory = {one["measure"]: one for one in found["differences"]}["memory"]
    assert (memory["before"], memory["after"], memory["verdict"]) == (300 * MIB, need * MIB, verdict)
    assert memory["usual_runs"] == memory["usual"]["runs"] == 6
    assert found["after"]["job"] == "build"


def test_a_run_is_compared_with_the_one_before(receiver: RunningReceiver) -> None:
    """The newest whole run of its job, leg and branch; of any branch where its own has none before."""
    main: dict[str, Any] = {"ref": "refs/heads/main"}
    other: dict[str, Any] = {"ref": "refs/heads/x"}
    failed = Exit(reason="failure", code=1)
    push(
        receiver,
        build("h12", 0, **main), build("h12", 1, **main, exit=failed), build("h12", 2, matrix={"os": "a"}, **main),
        build("h12", 3, **other), build("h12", 4, **main), build("h12", 5, job="test"),
    )  # fmt: skip

    def before(number: int) -> str:
        found: str = ask(receiver, f"/compare?after=h12-{number}")["before"]["runs"][0]["run_uid"]
        return found

    assert (before(4), before(3), before(1)) == ("h12-0", "h12-0", "h12-0")
    for number in (0, 2, 5):
        assert "no whole run" in ask(receiver, f"/compare?after=h12-{number}", 404)["detail"]


def test_with_few_runs_noise_cannot_be_told(receiver: RunningReceiver) -> None:
    """Nothing is claimed."""
    push(receiver, build("h9", 0), build("h9", 1, 900 * MIB))

    found = ask(receiver, "/compare?before=h9-0&after=h9-1")

    assert {one["measure"]: one["verdict"] for one in found["differences"]}["memory"] == "unknown"
    assert ask(receiver, "/compare?before=h9-0&after=nothing", 404)["status"] == 404
    assert "missing" in ask(receiver, "/compare?before=h9-0", 400)["detail"]


def test_two_branches_are_compared_by_their_medians(receiver: RunningReceiver) -> None:
    """Of the last whole runs of each."""
    for n in range(6):
        push(
            receiver,
            build("h10", n, ref="refs/heads/main"),
            build("h10", 20 + n, 500 * MIB, ref="refs/heads/x"),
        )
    query = "before=refs/heads/main&after=refs/heads/x&runs=5"

    found = ask(receiver, f"/compare/repo/h10/engine/ci.yaml/build?{query}")

    memory = {one["measure"]: one for one in found["differences"]}["memory"]
    assert (memory["before"], memory["after"], memory["verdict"]) == (300 * MIB, 500 * MIB, "more")
    assert (len(found["before"]["runs"]), found["after"]["ref"]) == (5, "refs/heads/x")


@pytest.mark.parametrize("leg, memory", [("", 300), ("&leg=os%3Da", 300), ("&leg=os%3Db", 900)])
def test_branches_are_compared_leg_by_leg(receiver: RunningReceiver, leg: str, memory: int) -> None:
    """Without a leg by the one of most runs; never by a median over legs."""
    name, legs = f"h13-{memory}-{len(leg)}", (("a", 300), ("b", 900), ("a", 300))
    for n in range(9):
        value, need = legs[n % 3]
        for begin, branch in ((0, "main"), (20, "x")):
            ref = f"refs/heads/{branch}"
            push(receiver, build(name, begin + n, need * MIB, ref=ref, matrix={"os": value}))

    found = ask(
        receiver,
        f"/compare/repo/{name}/engine/ci.yaml/build?before=refs/heads/main&after=refs/heads/x{leg}",
    )

    found = {one["measure"]: one for one in found["differences"]}["memory"]
    assert (found["before"], found["after"], found["verdict"]) == (memory * MIB, memory * MIB, "same")


def test_the_fleet_is_the_sum_of_its_runs(receiver: RunningReceiver) -> None:
    """Of days of its own: those who waste most come first."""
    day = "2024-02-29"
    times: dict[str, Any] = {"start_time": f"{day}T12:00:00.000Z"}
    push(
        receiver,
        build("h11", 0, **times), build("h11", 1, 900 * MIB, job="lean", **times),
        build("h11", 2, start_time="2024-03-02T00:00:00.000Z"),
    )  # fmt: skip

    found = ask(receiver, f"/fleet?since={day}&until={day}")

    assert (found["since"], found["until"], found["currency"]) == (day, day, None)
    assert (found["total"]["runs"], found["total"]["cost"]) == (2, None)
    assert found["total"]["cpu"] == {
        "runs": 2, "reserved": 240.0, "used": 60.0, "unused": 180.0, "partial": 0,
    }  # fmt: skip
    assert found["total"]["memory"] == {
        "runs": 2, "reserved": 120.0 * GIB, "used": 1200.0 * MIB * 60, "unused": 120.0 * GIB - 1200.0 * MIB * 60,
        "partial": 0,
    }  # fmt: skip
    assert [one["job"] for one in found["jobs"]] == ["build", "lean"]
    assert [one["day"] for one in found["days"]] == [day]
    assert len(ask(receiver, f"/fleet?since={day}&until=2024-03-05")["days"]) == 2
    assert len(ask(receiver, f"/fleet?since={day}&until={day}&limit=1")["jobs"]) == 1


@pytest.mark.parametrize(
    "since, until, told",
    [
        ("2024-01-02", "2024-01-01", ("2024-01-01", "2024-01-02")),
        ("2020-01-01", "2024-12-31", ("2023-11-28", "2024-12-31")),
    ],
)
def test_days_in_no_order_and_too_many_of_them(
    receiver: RunningReceiver, since: str, until: str, told: tuple[str, str]
) -> None:
    """Are put in order, and the last are taken; the answer says which."""
    found = ask(receiver, f"/fleet?since={since}&until={until}")
    assert (found["since"], found["until"]) == told


@pytest.mark.parametrize(
    "path, said",
    [
        ("/history/repo/o/r/w/j?ended=well", "ended is 'well'"),
        ("/history/repo/o/r/w/j?cursor=x", "cursor is 'x'"),
        ("/history/repo/o/r/w/j?limit=1001", "from 1 to 1000"),
        ("/history/repo/o/r/w/j?until=soon", "until is 'soon'"),
        ("/history?name=x", "'name' is not known"),
        ("/repositories?order=best", "order is 'best'"),
        ("/repositories?cursor=-1", "cursor is '-1'"),
        ("/repositories/o/r?order=best", "order is 'best'"),
        ("/repositories/o/r?limit=201", "from 1 to 200"),
        ("/compare/repo/o/r/w/j?before=a", "after is missing"),
        ("/fleet?since=yesterday", "since is 'yesterday'"),
        ("/fleet?since=20260101", "since is '20260101'"),
        ("/fleet?until=2026-02-30", "until is '2026-02-30'"),
        ("/fleet?limit=201", "from 1 to 200"),
    ],
)
def test_what_is_not_accepted_is_named(receiver: RunningReceiver, path: str, said: str) -> None:
    """With what is."""
    assert said in ask(receiver, path, 400)["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/history/repo/o%00/r/w/j",
        "/history?ref=%00&leg=%00&job=%00",
        "/repositories?words=%00",
        "/compare?before=%00&after=%00",
        "/repositories/%00/x",
        "/fleet?until=0001-01-01",
        "/fleet?until=9999-12-31",
    ],
)
def test_what_cannot_be_there_is_not_there(receiver: RunningReceiver, path: str) -> None:
    """No name has a NUL, and no run began in the year 1."""
    assert receiver.get(f"/api/v1{path}").status_code in (200, 404)
