"""What a referee saw during a run: attached, given back, in both forms."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from jobmeter.model.evidence import bounds, compat
from jobmeter.model.evidence.document import Evidence, encode
from tests.model.evidence.examples import answer, evidence, points, whole_evidence
from tests.receiver.api.running import RunningReceiver
from tests.receiver.api.test_runs import WHEN, records_of, summary_of, uid

EARLY, ASKED, LATE = (f"2026-11-21T12:{moment}.000Z" for moment in ("01:11", "01:12", "01:30"))


def document(number: int, **more: object) -> Evidence:
    """A whole one, of that run."""
    return replace(whole_evidence(), **({"run_uid": uid(number), "asked_time": ASKED} | WHEN | more))


def of_job(number: int, *, name: str, **more: object) -> bytes:
    """The same, of a job of that name alone."""
    job = replace(summary_of(number).job, job=name)
    return encode(document(number, **({"run_uid": None, "job": job} | more)))


def path(number: int) -> str:
    return f"/api/v1/runs/{uid(number)}/evidence"


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_document_comes_back_to_the_byte(receiver: RunningReceiver, gzipped: bool) -> None:
    """Of a run that was streamed, and of one that was pushed."""
    receiver.stream(records_of(700))
    receiver.push(summary_of(701))
    for number in (700, 701):
        sent = encode(document(number)).replace(b'"made_by"', b'"of_a_later_release":[1],"made_by"')
        assert receiver.attach(uid(number), sent, gzipped=gzipped).json() == {
            "run_uid": uid(number),
            "stored": True,
        }
        assert receiver.get(path(number)).content == sent
        assert receiver.get(f"{path(number)}?format=full").content == sent


def test_the_form_of_the_other_referee(receiver: RunningReceiver) -> None:
    """The same as its file."""
    receiver.push(summary_of(702))
    receiver.attach(uid(702), encode(document(702)))
    found = receiver.get(f"{path(702)}?format=compat")
    assert found.content == compat.encode(document(702))
    assert found.headers["content-type"] == "application/json"


def test_it_is_asked_again_when_the_last_scrape_has_come(receiver: RunningReceiver) -> None:
    """What is sent twice is there once, and who forgot the job takes nothing away."""
    receiver.push(summary_of(703))
    tail = document(703, asked_time=LATE, tail_open=False)
    forgot = evidence(answer("cpu_seconds"), run_uid=uid(703), asked_time=LATE, **WHEN)
    stored = [
        receiver.attach(uid(703), encode(one)).json()["stored"]
        for one in (document(703), document(703), tail, forgot, document(703, asked_time=EARLY))
    ]
    assert stored == [True, True, True, False, False]
    assert receiver.get(path(703)).json()["tail_open"] is False


def test_what_is_not_there_is_told_apart(receiver: RunningReceiver) -> None:
    """No such run, or nothing attached to it."""
    receiver.push(summary_of(704))
    assert "No referee has attached anything" in receiver.get(path(704)).json()["detail"]
    assert "There is no run" in receiver.get(path(799)).json()["detail"]
    refused = receiver.attach(uid(799), encode(document(799)))
    assert (refused.status_code, receiver.get(path(799)).status_code) == (404, 404)
    assert "to attach evidence to" in refused.json()["detail"]


@pytest.mark.parametrize(
    "run_uid, body, status, sentence",
    [
        (uid(705), b"{}", 400, "missing required field"),
        (uid(705), encode(document(706)), 400, "The field `run_uid` is not the path's"),
        (uid(705), b" " * (bounds.MAX_BYTES + 1), 413, "too large"),
        ("no~key", encode(evidence()), 400, "{run_uid} is not accepted"),
    ],
    ids=["nothing", "of another run", "too large", "no key"],
)
def test_what_is_not_accepted_is_named(
    receiver: RunningReceiver, run_uid: str, body: bytes, status: int, sentence: str
) -> None:
    """In one sentence, also where it was compressed."""
    for gzipped in (False, True):
        refused = receiver.attach(run_uid, body, gzipped=gzipped)
        assert (refused.status_code, sentence in refused.json()["detail"]) == (status, True), refused.text


@pytest.mark.parametrize(
    "begin, end, status",
    [
        ("11:40:00", "11:50:01", 200),
        ("11:40:00", "11:49:59", 409),
        ("12:11:04", "12:20:00", 200),
        ("12:11:06", "12:20:00", 409),
        ("11:00:00", "13:00:00", 200),
    ],
)
def test_a_document_of_another_time_is_refused(
    receiver: RunningReceiver, begin: str, end: str, status: int
) -> None:
    """Clocks may be ten minutes apart; the run is one of 65 seconds, from 12:00:00 on."""
    receiver.push(summary_of(709))
    times = {"start_time": f"2026-11-21T{begin}.000Z", "end_time": f"2026-11-21T{end}.000Z"}
    refused = receiver.attach(uid(709), encode(document(709, **times)))
    assert refused.status_code == status
    assert status == 200 or "The document is not of the run's time: it " in refused.json()["detail"]


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_job_is_found_by_its_names(receiver: RunningReceiver, gzipped: bool) -> None:
    """Also where its steps were metered one by one; each of them has it to the byte."""
    name = f"named, {gzipped}"
    sent = of_job(710, name=name)
    refused = receiver.attach_to_job(sent, gzipped=gzipped)
    assert (refused.status_code, "there is no run of these names" in refused.json()["detail"]) == (404, True)
    for number, begin in ((712, 0), (713, 30)):
        run = summary_of(number + 5 * gzipped, job=name)
        run.start_time, run.end_time = (f"2026-11-21T12:00:{begin + more:02}.000Z" for more in (0, 25))
        receiver.push(run)
    runs = [uid(number + 5 * gzipped) for number in (712, 713)]
    before = stored_so_far(receiver)
    for _ in range(2):
        taken = receiver.attach_to_job(sent, gzipped=gzipped)
        assert taken.json() == {"runs": [{"run_uid": run, "stored": True} for run in runs]}
    assert stored_so_far(receiver) == before + 4
    assert {receiver.get(f"/api/v1/runs/{run}/evidence").content for run in runs} == {sent}


def test_of_two_runs_at_once_neither_is_the_jobs(receiver: RunningReceiver) -> None:
    """They may be legs of a matrix."""
    for number in (720, 721):
        receiver.push(summary_of(number, job="legs"))
    refused = receiver.attach_to_job(of_job(720, name="legs"))
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "It cannot be told which run is the job's: 2 runs of these names were within the job's time.",
    )


def test_other_forms_are_named(receiver: RunningReceiver) -> None:
    """Those there are."""
    receiver.push(summary_of(707))
    refused = receiver.get(f"{path(707)}?format=csv")
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "format is 'csv'; accepted are full, compat.",
    )


def test_as_much_as_there_may_be_is_taken(receiver: RunningReceiver) -> None:
    """As many points as a document may have; and counted."""
    receiver.push(summary_of(708))
    values = points(*["0.5"] * 2500)
    many = [
        {"labels": {"cpu": str(number)}, "points": values}
        for number in range(bounds.MAX_POINTS // len(values))
    ]
    known = json.loads(encode(evidence(run_uid=uid(708), **WHEN)))
    query = {
        "name": "cpu", "query": "cpu", "expression": "cpu", "step_seconds": 10, "state": "data", "series": many,
    }  # fmt: skip
    body = json.dumps(known | {"queries": [query]}, separators=(",", ":")).encode()
    before = stored_so_far(receiver)
    assert receiver.attach(uid(708), body, gzipped=True).json()["stored"] is True
    assert stored_so_far(receiver) == before + 1
    assert receiver.get(path(708)).content == body


def stored_so_far(receiver: RunningReceiver) -> float:
    """What the receiver counts."""
    lines = receiver.get("/metrics", token=None).text.splitlines()
    name = "jobmeter_receiver_evidence_stored_total"
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
