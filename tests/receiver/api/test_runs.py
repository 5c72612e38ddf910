"""Questions about stored runs, asked of a running receiver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobmeter.apps.load import load
from jobmeter.model import wire
from jobmeter.model.exits import Exit
from jobmeter.model.sample import ContainerSample, HostSample, Sample
from jobmeter.model.summary import Summary
from jobmeter.model.uid import uuid7
from tests.model.golden_run import golden_records
from tests.receiver.api.running import RunningReceiver
from tests.report.examples import GIB, MIB, make_build, oom_kill

WHEN = {"start_time": "2026-11-21T12:00:00.000Z", "end_time": "2026-11-21T12:01:10.000Z"}
"""The time of a job whose run is one of these."""


def uid(number: int) -> str:
    """A key of a run that no other test uses."""
    return uuid7(1_700_000_000_000 + number, b"tests of ap")


def plain(value: object) -> Any:
    """A value as it looks after its way through JSON."""
    return json.loads(msgspec.json.encode(value))


def summary_of(number: int, **names: str) -> Summary:
    """A finished build of a job with these names."""
    summary, _ = make_build()
    summary.run_uid = uid(number)
    summary.job = msgspec.structs.replace(summary.job, **names)
    return summary


def records_of(number: int, *, whole: bool = True) -> list[wire.AnyRecord]:
    """The golden run under another key, cut before its end unless whole."""
    golden = golden_records()
    records = [
        msgspec.structs.replace(record, run_uid=uid(number))
        for record in golden
        if record.run_uid == golden[0].run_uid
    ]
    return records if whole else records[:-1]


def test_a_run_of_the_list_says_what_it_used(receiver: RunningReceiver) -> None:
    """Job, state, times, CPU, the memory peak, and how it ended and why."""
    summary, _ = oom_kill()
    summary.run_uid = uid(1)
    summary.job = msgspec.structs.replace(summary.job, organization="item")
    receiver.push(summary)

    (item,) = receiver.get("/api/v1/runs?organization=item").json()["runs"]

    received_at = item.pop("received_at")
    assert received_at.endswith("Z")
    assert item == {
        "run_uid": uid(1),
        "state": "finished",
        "job": plain(summary.job),
        "start_time": summary.start_time,
        "end_time": summary.end_time,
        "duration_seconds": 12.0,
        "cpu_seconds": 11.64,
        "memory_peak_bytes": 512 * MIB,
        "memory_peak_source": "working set",
        "container_count": 1,
        "exit_reason": "oom",
        "exit_detail": summary.exit.detail,
    }


@pytest.mark.parametrize(
    "question, found",
    [
        ("", [13, 12, 11, 10]),
        ("&repository=acme/engine", [11, 10]),
        ("&repository=engine", []),
        ("&workflow=ci.yml", [13, 10]),
        ("&job=test&workflow=ci.yml", [13]),
        ("&ref=refs/heads/b", [12]),
        ("&state=finished", [13, 12, 11, 10]),
        ("&state=lost", []),
        ("&forge=github", [13, 12, 11, 10]),
        ("&forge=gitlab", []),
        ("&since=2026-11-21T12:00:00Z", [13, 12, 11, 10]),
        ("&since=2026-11-21T13:00:00%2B01:00&until=2026-11-21T12:00:00.001Z", [13, 12, 11, 10]),
        ("&until=2026-11-21T12:00:00Z", []),
        ("&since=2026-11-22", []),
    ],
)
def test_filters(receiver: RunningReceiver, question: str, found: list[int]) -> None:
    """Every filter narrows; together they all hold."""
    if not receiver.get("/api/v1/runs?organization=filters").json()["runs"]:
        for number, names in {
            10: {"repository": "acme/engine", "workflow": "ci.yml", "job": "build", "ref": "refs/heads/a"},
            11: {"repository": "acme/engine", "workflow": "release.yml", "job": "build"},
            12: {"repository": "acme/api", "workflow": "nightly", "ref": "refs/heads/b"},
            13: {"repository": "acme/api", "workflow": "ci.yml", "job": "test"},
        }.items():
            receiver.push(summary_of(number, organization="filters", **names))
    runs = receiver.get(f"/api/v1/runs?organization=filters{question}").json()["runs"]
    assert [run["run_uid"] for run in runs] == [uid(number) for number in found]


@pytest.mark.parametrize(
    "question, found",
    [
        ("organization=forms&repository=forms/motor", [20]),
        ("organization=forms&repository=motor", [20]),
        ("repository=forms/motor", [20]),
        ("repository=motor", [22, 21, 20]),
        ("repository=motor&organization=others", [21]),
        ("repository=oto", []),
    ],
)
def test_the_repository_is_its_path_or_its_name(
    receiver: RunningReceiver, question: str, found: list[int]
) -> None:
    """Both forms that the seed's address takes are understood, the name alone in every organization."""
    if not receiver.get("/api/v1/runs?organization=forms").json()["runs"]:
        receiver.push(summary_of(20, organization="forms", repository="forms/motor"))
        receiver.push(summary_of(21, organization="others", repository="others/motor"))
        receiver.push(summary_of(22, organization="", repository="motor"))
    runs = receiver.get(f"/api/v1/runs?{question}").json()["runs"]
    assert [run["run_uid"] for run in runs] == [uid(number) for number in found]


def test_pages_of_the_list_are_stable_while_runs_are_added(receiver: RunningReceiver) -> None:
    """The cursor goes on where the answer before ended; it is null at the end."""
    for number in range(30, 35):
        receiver.push(summary_of(number, organization="pages"))
    seen, cursor = [], ""
    for added in (35, 36, 37):
        answer = receiver.get(f"/api/v1/runs?organization=pages&limit=2{cursor}").json()
        seen += [run["run_uid"] for run in answer["runs"]]
        cursor = f"&cursor={answer['next_cursor']}"
        receiver.push(summary_of(added, organization="pages"))

    assert seen == [uid(number) for number in (34, 33, 32, 31, 30)]
    assert answer["next_cursor"] is None


@pytest.mark.parametrize(
    "question, found",
    [
        ("", [60, 59, 58, 57, 56]), ("&ended=failed", [59, 58, 57]), ("&ended=whole", [60, 56]),
        ("&ended=failed&limit=2", [59, 58]),
    ],
)  # fmt: skip
def test_runs_that_did_not_end_well_are_found(
    receiver: RunningReceiver, question: str, found: list[int]
) -> None:
    """At once, also those that history takes in later; a run that goes on has not ended in any way."""
    if not receiver.get("/api/v1/runs?organization=ends").json()["runs"]:
        for number, reason in enumerate(("success", "failure", "oom", "signal", "unknown"), start=56):
            summary = summary_of(number, organization="ends")
            summary.exit = Exit(reason=reason)
            receiver.push(summary)
    runs = receiver.get(f"/api/v1/runs?organization=ends{question}").json()["runs"]
    assert [run["run_uid"] for run in runs] == [uid(number) for number in found]
    shown = receiver.get(f"/runs?organization=ends{question.partition('&limit')[0]}").text
    assert all(f'href="/runs/{uid(number)}"' in shown for number in found)
    assert shown.count("<tr>") - 1 == (len(found) if "limit" not in question else 3)


@pytest.mark.parametrize(
    "question, said",
    [
        ("limit=0", "limit is '0'; accepted is a whole number from 1 to 1000."),
        ("limit=1001", "limit is '1001'; accepted is a whole number from 1 to 1000."),
        ("limit=+1", "limit is ' 1'; accepted is a whole number from 1 to 1000."),
        ("limit=%D9%A1", "limit is '\u0661'; accepted is a whole number from 1 to 1000."),
        ("state=dead", "state is 'dead'; accepted are running, finished, lost."),
        ("ended=badly", "ended is 'badly'; accepted are whole, failed."),
        ("since=now", "since is 'now'; accepted is a time in RFC 3339, as 2026-11-21T12:00:00Z."),
        ("cursor=abc", "cursor is 'abc'; accepted is next_cursor of an answer before."),
        ("job=a&job=b", "The parameter job is given more than once."),
        ("organisation=a", "The parameter 'organisation' is not known; accepted are organization, "),
        (f"job={'a' * 1001}", "The parameter job is too long; at most 1000 characters are accepted."),
    ],
)
def test_a_parameter_that_is_not_accepted_is_named(
    receiver: RunningReceiver, question: str, said: str
) -> None:
    """One sentence with the parameter, the value and what is accepted."""
    answer = receiver.get(f"/api/v1/runs?{question}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["detail"].startswith(said)
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", "Bad Request", 400)


def test_a_pushed_summary_comes_back_with_fields_that_are_not_known_here(receiver: RunningReceiver) -> None:
    """A later collector may say more."""
    sent = plain(summary_of(40, organization="detail")) | {"invented_later": {"watts": 7}}
    receiver.push(sent)
    detail = receiver.get(f"/api/v1/runs/{uid(40)}").json()
    assert detail["summary"] == sent
    assert (detail["state"], detail["provisional"]) == ("finished", False)
    assert detail["job"]["organization"] == "detail"


def test_a_summary_of_the_seeds_own_collector_is_understood(receiver: RunningReceiver) -> None:
    """It names neither the run nor the job; the run gets a key and the names of its envelope."""
    payload = {
        "start_time": "2026-02-06T14:25:12.123Z",
        "end_time": "2026-02-06T14:25:32.123Z",
        "duration_seconds": 20.0,
        "sample_count": 11,
        "containers": [
            {"name": "runner", "cpu_cores": {"peak": 2.0, "avg": 1.0}, "memory_bytes": {"peak": GIB}}
        ],
        "top_cpu_processes": [{"pid": 7, "name": "yes", "peak_cpu_percent": 99.0}],
    }
    receiver.push(payload, organization="seed", repository="seed/r", workflow="w", job="j", run_id="1")
    (item,) = receiver.get("/api/v1/runs?organization=seed").json()["runs"]
    detail = receiver.get(f"/api/v1/runs/{item['run_uid']}").json()

    assert (item["duration_seconds"], item["memory_peak_bytes"]) == (20.0, GIB)
    assert detail["summary"]["job"]["repository"] == "seed/r"
    assert detail["summary"]["run_uid"] == item["run_uid"]
    assert detail["summary"]["containers"][0]["cpu_cores"]["peak"] == 2.0


def test_what_is_no_summary_is_a_run_without_one(receiver: RunningReceiver) -> None:
    """It is listed, described and has an empty course."""
    receiver.push({"anything": [1, 2]}, organization="strange")
    (item,) = receiver.get("/api/v1/runs?organization=strange").json()["runs"]
    detail = receiver.get(f"/api/v1/runs/{item['run_uid']}").json()
    course = receiver.get(f"/api/v1/runs/{item['run_uid']}/timeline").json()

    assert detail["summary"] is None
    assert (item["duration_seconds"], item["exit_reason"]) == (None, None)
    assert (course["elapsed_seconds"], course["containers"]) == ([], [])
    assert receiver.get(f"/api/v1/runs/{item['run_uid']}/records").content == b""


@pytest.mark.parametrize(
    "hostile",
    [
        {"duration_seconds": 1e308, "cpu_seconds": 1e308, "unattributed_cpu_seconds": 1e308},
        {"duration_seconds": -1.0, "cpu_seconds": -5.0},
        {"duration_seconds": 5e-324, "cpu_seconds": 1e9},
        {"sample_count": 10**300},
        {"containers": [{"name": "c", "memory_high_water_bytes": 10**300, "memory_limit_bytes": 10**30}]},
        {"containers": [{"name": "c", "parent": "c", "cpu_limit_cores": -1.0, "oom_kills": -(10**30)}]},
        {"exit": {"reason": "invented", "certainty": "invented", "detail": "x", "signal": ""}},
        {"start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59Z"},
        {"end_time": "\u202e\x00 never", "sections": [{"name": "s", "start_time": "a", "end_time": "b"}]},
        {"job": {"matrix": {"a": 1e308}, "repository": "/" * 5000}},
        {"schema": "jobmeter.summary/2", "containers": 7},
        {"containers": [{"name": "c" * 20_000}] * 20},
        {"containers": [{"name": str(number), "parent": str(number - 1)} for number in range(10_000)]},
        {"containers": [{"name": "c", "parent": "c"}] * 10_000},
    ],
)
def test_no_summary_makes_an_answer_fail(receiver: RunningReceiver, hostile: dict[str, Any]) -> None:
    """Whatever the receiver took, the list, the run, its course and the pages can be asked for."""
    sent = plain(summary_of(45, organization="hostile")) | {"schema": None} | hostile
    sent = {name: value for name, value in sent.items() if value is not None and name != "run_uid"}
    receiver.push(sent, organization="hostile")
    (item,) = receiver.get("/api/v1/runs?organization=hostile&limit=1").json()["runs"]
    path = item["run_uid"]
    for address in (
        f"/api/v1/runs/{path}",
        f"/api/v1/runs/{path}/timeline",
        f"/runs/{path}",
        "/runs?organization=hostile",
    ):
        answer = receiver.get(address)
        assert answer.status_code == 200, answer.text
        answer.content.decode()
    assert "Traceback" not in receiver.log.read_text()


def test_a_running_run_has_a_provisional_summary(receiver: RunningReceiver) -> None:
    """It is made of what has come, and no one says that the run is lost."""
    receiver.stream(records_of(50, whole=False))
    detail = receiver.get(f"/api/v1/runs/{uid(50)}").json()
    (item,) = [
        run for run in receiver.get("/api/v1/runs?state=running").json()["runs"] if run["run_uid"] == uid(50)
    ]

    assert (detail["state"], detail["provisional"], item["state"]) == ("running", True, "running")
    assert item["duration_seconds"] >= 0
    assert detail["summary"]["sample_count"] == 4
    assert detail["summary"]["exit"]["reason"] == "unknown"
    assert [section["name"] for section in detail["summary"]["sections"]] == ["start", "tests"]


def test_a_streamed_run_comes_back_as_its_summary_and_as_it_was_sent(
    receiver: RunningReceiver, tmp_path: Path
) -> None:
    """The records are a journal again, byte for byte, and what is made of it is the same."""
    records = records_of(51)
    receiver.stream(records)
    detail = receiver.get(f"/api/v1/runs/{uid(51)}").json()
    journal = receiver.get(f"/api/v1/runs/{uid(51)}/records")

    assert (detail["state"], detail["provisional"]) == ("finished", False)
    assert detail["summary"]["exit"]["reason"] == "oom"
    assert journal.headers["content-type"] == "application/x-ndjson"
    assert journal.content.splitlines() == [wire.encode(record) for record in records]
    (tmp_path / "journal").write_bytes(journal.content)
    loaded = load(str(tmp_path / "journal"), None, 10)
    assert plain(loaded.summary) == detail["summary"]


def test_a_reopened_run_has_no_end_any_more(receiver: RunningReceiver) -> None:
    """What was said of its end no longer holds; what it used is told of what has come."""
    records = records_of(54)
    receiver.stream(records)
    later = wire.Resume(
        v=1, run_uid=uid(54), sequence=records[-1].sequence + 1, elapsed_seconds=9.0, version="1"
    )
    receiver.stream([later])
    detail = receiver.get(f"/api/v1/runs/{uid(54)}").json()
    runs = receiver.get("/api/v1/runs?state=running").json()["runs"]
    (item,) = [run for run in runs if run["run_uid"] == uid(54)]

    assert (detail["state"], detail["provisional"]) == ("running", True)
    assert (detail["summary"]["exit"]["reason"], detail["summary"]["sample_count"]) == ("unknown", 4)
    assert (item["exit_reason"], item["end_time"]) == (None, None)


def hostile_samples() -> list[wire.AnyRecord]:
    """Samples with times and values from beyond all bounds, and a container that was never declared."""

    def sample(elapsed: float, *readings: ContainerSample) -> Sample:
        return Sample(
            elapsed_seconds=elapsed,
            due_seconds=0.0,
            unattributed_cpu_seconds=1e308,
            cpu_complete=True,
            containers=readings,
            host=HostSample(memory_total_bytes=10**300, memory_available_bytes=-1, busy_seconds=1e308),
        )

    return [
        wire.Tick(v=1, run_uid="", sequence=0, sample=one)
        for one in (
            sample(-1e300),
            sample(0.0, ContainerSample(key="/docker/4f0c", memory_bytes=10**300, cpu_seconds=0.0)),
            sample(1e-300, ContainerSample(key="/docker/4f0c", memory_bytes=-5, cpu_seconds=1e308)),
            sample(9.0, ContainerSample(key="never declared", memory_bytes=1)),
            sample(1e300, ContainerSample(key="/docker/4f0c", memory_bytes=1, cpu_seconds=1.7e308)),
        )
    ]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("number", range(6))
def test_no_stream_makes_an_answer_fail(receiver: RunningReceiver, number: int, ends: bool) -> None:
    """Whatever was streamed, all of it in number 5, the run and its course can be asked for."""
    golden = records_of(60 + 2 * number + ends)
    hostile = hostile_samples()[number : number + 1] or hostile_samples()
    records = [*golden[:3], *hostile, *(golden[-1:] if ends else ())]
    uid_of = golden[0].run_uid
    receiver.stream(
        [
            msgspec.structs.replace(record, sequence=place, run_uid=uid_of)
            for place, record in enumerate(records)
        ]
    )
    for address in ("/api/v1/runs?limit=1", f"/api/v1/runs/{uid_of}", f"/runs/{uid_of}"):
        answer = receiver.get(address)
        assert answer.status_code == 200, answer.text
    for question in ("points=480", "points=1", "resolution=10ms"):
        course = receiver.get(f"/api/v1/runs/{uid_of}/timeline?{question}").json()
        assert len(course["elapsed_seconds"]) <= 5000
    assert "Traceback" not in receiver.log.read_text()


def test_a_timeline_has_the_resolution_that_is_asked_for(receiver: RunningReceiver) -> None:
    """Buckets of two seconds over three and a half: 1.5 cores throughout, memory that grows."""
    receiver.stream(records_of(52))
    course = receiver.get(f"/api/v1/runs/{uid(52)}/timeline?resolution=2s").json()
    build = next(each for each in course["containers"] if each["name"] == "build")

    assert (course["resolution_seconds"], course["elapsed_seconds"]) == (2.0, [2.0, 3.5])
    assert build["cpu_cores"]["avg"][0] == pytest.approx(1.5)
    assert build["memory_bytes"] == {
        "min": [200 * MIB, 350 * MIB],
        "avg": [250 * MIB, 350 * MIB],
        "max": [300 * MIB, 350 * MIB],
    }
    assert [mark["name"] for mark in course["marks"]] == ["start", "tests"]


@pytest.mark.parametrize("question", ["points=1", "points=2", "points=480", "points=7&resolution=10ms"])
def test_a_timeline_has_at_most_so_many_buckets(receiver: RunningReceiver, question: str) -> None:
    """Every column is as long as the axis."""
    receiver.stream(records_of(53))
    course = receiver.get(f"/api/v1/runs/{uid(53)}/timeline?{question}").json()
    points = int(question.partition("&")[0].removeprefix("points="))
    count = len(course["elapsed_seconds"])
    columns = [course["machine_cpu_percent"], course["machine_memory_bytes"]]
    columns += [each[name] for each in course["containers"] for name in ("cpu_cores", "memory_bytes")]

    assert 1 <= count <= points
    assert {len(values) for column in columns for values in column.values()} == {count}


@pytest.mark.parametrize(
    "question, said",
    [
        ("points=5001", "points is '5001'; accepted is a whole number from 1 to 5000."),
        ("resolution=1", "resolution is '1'; accepted is a whole number of ms, s, m or h, as 500ms or 10s."),
    ],
)
def test_a_timeline_says_what_it_accepts(receiver: RunningReceiver, question: str, said: str) -> None:
    """The parameters of the timeline are checked too."""
    answer = receiver.get(f"/api/v1/runs/{uid(52)}/timeline?{question}")
    assert (answer.status_code, answer.json()["detail"]) == (400, said)


@pytest.mark.parametrize("rest", ["", "/timeline", "/records"])
def test_a_run_that_is_not_there_is_a_404(receiver: RunningReceiver, rest: str) -> None:
    """The sentence names it and says where those are that exist."""
    answer = receiver.get(f"/api/v1/runs/no%2Fsuch%00run{rest}")
    assert answer.status_code == 404
    assert json.loads(answer.content)["detail"] == (
        "There is no run 'no/such\\x00run'; GET /api/v1/runs lists those there are."
    )
