"""What runs now, asked of running receivers: as JSON, and as events while one listens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import requests
from msgspec import structs

from jobmeter.model import wire
from jobmeter.model.job import Job
from jobmeter.model.summarize import rfc3339
from tests.receiver.api.running import READ, RunningReceiver, running_receiver
from tests.receiver.api.test_runs import records_of, uid

_SECONDS = 20.0


def going(number: int, organization: str) -> list[wire.AnyRecord]:
    """The golden run up to where its collector is restarted, begun now and still running."""
    first, *rest = takewhile(lambda record: not isinstance(record, wire.Resume), records_of(number))
    assert isinstance(first, wire.Start)
    job = Job(organization=organization, repository=f"{organization}/r", workflow="w", job=f"job {number}")
    return [structs.replace(first, start_time=rfc3339(datetime.now(UTC)), job=job), *rest]


def soon(receiver: RunningReceiver, run_uid: str) -> dict[str, Any]:
    """The job, once the receiver has looked again."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        for job in receiver.get("/api/v1/now").json()["jobs"]:
            if job["run_uid"] == run_uid:
                return dict(job)
        time.sleep(0.2)
    raise AssertionError(f"{run_uid} is not told")


def events_of(answer: requests.Response) -> Iterator[dict[str, Any]]:
    """What is told, one event after the other."""
    for line in answer.iter_lines():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def listen(receiver: RunningReceiver, path: str) -> requests.Response:
    """An open stream."""
    headers = {"Authorization": f"Bearer {READ}"}
    return requests.get(receiver.url + path, headers=headers, stream=True, timeout=_SECONDS)


def test_a_running_job_is_there_with_what_it_uses(receiver: RunningReceiver) -> None:
    """And not any more when it is over; the page says the same."""
    records = going(500, "now")
    receiver.stream(records)
    job = soon(receiver, uid(500))
    assert job["job"]["job"] == "job 500"
    assert job["cpu_cores"] is not None
    assert job["memory_bytes"] > 0
    assert len(job["recent"]["elapsed_seconds"]) == len(job["recent"]["cpu_cores"])
    assert "job 500" in receiver.get("/").text

    end = wire.End(v=1, run_uid=uid(500), sequence=records[-1].sequence + 1, elapsed_seconds=99.0)
    receiver.stream([end])
    time.sleep(2.5)
    assert uid(500) not in [one["run_uid"] for one in receiver.get("/api/v1/now").json()["jobs"]]


def test_who_listens_is_told_without_asking(receiver: RunningReceiver) -> None:
    """A job that begins; a run's news, until its end."""
    with listen(receiver, "/now/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        told = events_of(answer)
        assert "job 501" not in str(next(told))
        records = going(501, "events")
        receiver.stream(records)
        assert any("job 501" in "".join(event["rows"]) for event in told)

    with listen(receiver, f"/runs/{uid(501)}/events") as answer:
        told = events_of(answer)
        assert next(told) == {"running": True, "next_sequence": len(records)}
        receiver.stream([wire.End(v=1, run_uid=uid(501), sequence=len(records), elapsed_seconds=99.0)])
        assert list(told) == [{"running": False, "next_sequence": len(records) + 1}]


def test_what_is_not_there_cannot_be_listened_to(receiver: RunningReceiver) -> None:
    """It is said at once, and nothing stays open."""
    assert receiver.get(f"/runs/{uid(599)}/events").status_code == 404
    assert receiver.get("/now/events?x=1").status_code == 400


def test_the_head_of_a_stream_is_no_stream(receiver: RunningReceiver) -> None:
    """It ends, and the connection is good for the next question."""
    headers = {"Authorization": f"Bearer {READ}"}
    with requests.Session() as session:
        answer = session.head(f"{receiver.url}/now/events", headers=headers, timeout=_SECONDS)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert session.get(f"{receiver.url}/api/v1/now", headers=headers, timeout=_SECONDS).status_code == 200


def test_listeners_that_go_or_do_not_read_cost_no_place(tmp_path: Path) -> None:
    """More than there is room for may come one after the other; the receiver answers meanwhile, and stops."""
    with running_receiver(tmp_path) as receiver:
        receiver.stream(going(502, "gone"))
        with ExitStack() as stack:
            deaf = [stack.enter_context(listen(receiver, "/now/events")) for _ in range(200)]
            assert {answer.status_code for answer in deaf} == {200}
            refused = listen(receiver, "/now/events")
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "30"
            assert receiver.get("/").status_code == 200
            assert "jobmeter_receiver_listeners 200.0" in receiver.get("/metrics").text
        end = time.monotonic() + _SECONDS
        while (again := listen(receiver, "/now/events")).status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.2)
        again.close()


@pytest.mark.postgresql
def test_a_run_that_streams_to_another_receiver_is_told_too(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Both look into the one database."""
    url = request.getfixturevalue("postgresql_url")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        running_receiver(tmp_path / "a", f"--db={url}") as one,
        running_receiver(tmp_path / "b", f"--db={url}") as other,
        listen(other, "/now/events") as answer,
    ):
        one.stream(going(503, "both"))
        assert any("job 503" in "".join(event["rows"]) for event in events_of(answer))
        assert soon(other, uid(503))["job"]["organization"] == "both"
