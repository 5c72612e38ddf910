"""Every record of a run arrives once, whatever the network and the receiver do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobmeter.model import wire
from jobmeter.model.errors import SendError
from jobmeter.model.summarize import RunFold
from jobmeter.spool import delivery
from jobmeter.spool import stream as streams
from jobmeter.spool.delivery import deliver
from jobmeter.spool.feed import Feed
from jobmeter.spool.push import Push
from jobmeter.spool.stream import Stream
from jobmeter.transport import Endpoint
from tests.support.receivers import CUT, LOST, ODD, RESET, Fault, FlakyReceiver, serving
from tests.support.runs import UID, fold, records, write_journal

RECORDS = list(records(ticks=20))
ALL = list(range(len(RECORDS)))
PATIENCE = 60.0
AT_ONCE = {"Retry-After": "0"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_BACKOFF_SECONDS", 0.01)


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver()) as running:
        yield running


@pytest.fixture
def endpoint(receiver: FlakyReceiver) -> Iterator[Endpoint]:
    made = Endpoint(receiver.url)
    yield made
    made.close()


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    """A whole run in a journal."""
    made = Feed.of_file(UID, str(write_journal(tmp_path / "journal.jsonl", *RECORDS)))
    yield made
    made.close()


def small_parts(stream: Stream, max_bytes: int = 1200) -> Stream:
    """A stream whose parts hold a few records each."""
    stream._max_bytes = max_bytes
    return stream


def test_whole_run_arrives(receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed) -> None:
    """In gzipped parts of JSON lines, each once, the last one with the end."""
    stream = small_parts(Stream(endpoint, UID, feed))
    deliver(stream, PATIENCE)
    assert receiver.sequences(UID) == ALL
    assert (stream.finished, stream.next_sequence, stream.sent_records) == (True, len(ALL), len(ALL))
    assert len(receiver.asked) > 3
    assert {one.path for one in receiver.asked} == {f"/api/v1/runs/{UID}/parts"}
    assert receiver.asked[0].headers["Content-Type"] == "application/x-ndjson"
    assert receiver.asked[0].headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "faults",
    [
        [RESET, RESET, RESET],
        [CUT, RESET, CUT],
        [LOST, LOST, LOST, LOST],
        [(429, AT_ONCE), (503, AT_ONCE), 500, 507],
        [ODD, ODD],
        [LOST, CUT, (503, AT_ONCE), RESET, ODD, LOST],
    ],
    ids=["resets", "cuts", "lost answers", "refusals", "odd answers", "all of them"],
)
def test_nothing_is_lost_and_nothing_counts_twice(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed, faults: list[Fault]
) -> None:
    """A part that may or may not have arrived is sent again."""
    receiver.faults.extend(faults)
    deliver(small_parts(Stream(endpoint, UID, feed)), PATIENCE)
    assert receiver.sequences(UID) == ALL
    assert not receiver.faults


@pytest.mark.parametrize("had", [0, 1, 7, len(ALL)])
def test_resumed_stream_asks_what_is_there(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed, had: int
) -> None:
    """The first request is empty, the next ones carry what is missing and nothing else."""
    receiver.runs[UID] = [{"sequence": number} for number in range(had)]
    stream = small_parts(Stream(endpoint, UID, feed, resumed=True))
    deliver(stream, PATIENCE)
    assert receiver.asked[0].body == b""
    assert receiver.sequences(UID) == ALL
    assert stream.sent_records == len(ALL) - had


def test_silent_run_gives_a_sign_of_life_now_and_then(
    receiver: FlakyReceiver, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty part half a minute after the last answer, and not before; its answer is believed as any other."""
    now = [1000.0]
    monkeypatch.setattr(streams, "time", SimpleNamespace(monotonic=lambda: now[0]))
    memory = Feed(UID)
    stream = Stream(endpoint, UID, memory)
    for record in RECORDS[:3]:
        memory.put(record)
    said = []
    for now[0] in range(1000, 1100, 5):
        stream.step(PATIENCE)
        said.append(len(receiver.asked))
    assert said == [1] * 6 + [2] * 6 + [3] * 6 + [4] * 2
    assert {one.body for one in receiver.asked[1:]} == {b""}
    receiver.always = 503
    now[0] += 60
    with pytest.raises(SendError):
        stream.step(PATIENCE)
    assert stream.next_sequence == 3


def test_receiver_that_lost_the_run_gets_all_of_it(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed
) -> None:
    """It says so with 409; the journal has everything from the start."""
    stream = small_parts(Stream(endpoint, UID, feed))
    for _ in range(3):
        stream.step(PATIENCE)
    receiver.runs.clear()
    deliver(stream, PATIENCE)
    assert receiver.sequences(UID) == ALL
    assert not any("gap" in one.path for one in receiver.asked)


def test_lost_journal_makes_a_gap_that_the_run_says(
    receiver: FlakyReceiver, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Records that nobody has any more are stepped over with ?gap=true."""
    feed = Feed.of_file(UID, str(write_journal(tmp_path / "rest.jsonl", *RECORDS[5:])))
    deliver(Stream(endpoint, UID, feed, resumed=True), PATIENCE)
    feed.close()
    assert receiver.sequences(UID) == ALL[5:]
    assert receiver.asked[-1].path.endswith("?gap=true")


def test_parts_become_smaller_where_they_are_too_large(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed
) -> None:
    """413 halves them down to a single record."""
    receiver.max_body_bytes = 500
    deliver(Stream(endpoint, UID, feed), PATIENCE)
    assert receiver.sequences(UID) == ALL


@pytest.mark.parametrize("fault", [400, 401, 403, 404, 415])
def test_refusal_is_final(receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed, fault: int) -> None:
    """What will not be better the next time is asked once."""
    receiver.always = fault
    with pytest.raises(SendError, match=f"answered {fault}"):
        deliver(Stream(endpoint, UID, feed), PATIENCE)
    assert len(receiver.asked) == 1


def test_single_record_that_is_too_large_is_final(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed
) -> None:
    """It cannot be made smaller."""
    receiver.max_body_bytes = 0
    with pytest.raises(SendError, match="answered 413"):
        deliver(Stream(endpoint, UID, feed), PATIENCE)


def test_receiver_that_wants_something_else_each_time_is_not_followed_for_ever(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some conflicts in a row it counts as a failure."""
    wanted = iter(range(10**6))
    answer = lambda *_, **__: (409, {"next_sequence": next(wanted) % 2 + 3})  # noqa: E731
    monkeypatch.setattr(receiver, "take", answer)
    with pytest.raises(SendError, match="no state of a run"):
        deliver(Stream(endpoint, UID, feed), 0.0)
    assert len(receiver.asked) < 10


def test_pushed_summary_is_the_seed_s_envelope(receiver: FlakyReceiver, endpoint: Endpoint) -> None:
    """execution and run_summary, with the run's key as the key of the request; lost answers are asked again."""
    receiver.faults.extend([LOST, (503, AT_ONCE)])
    summary = fold(*RECORDS).summary()
    deliver(Push(endpoint, summary), PATIENCE)
    assert receiver.pushed[-1]["execution"] == {
        "organization": None, "repository": "org/name", "workflow": None, "job": None, "run_id": None,
    }  # fmt: skip
    assert receiver.pushed[-1]["run_summary"]["run_uid"] == UID
    assert {one.headers["Idempotency-Key"] for one in receiver.asked} == {UID}
    assert {json.dumps(one) for one in receiver.pushed} == {json.dumps(receiver.pushed[0])}


def test_what_arrived_folds_to_the_same_summary(
    receiver: FlakyReceiver, endpoint: Endpoint, feed: Feed
) -> None:
    """The bytes of the stream are the journal's."""
    receiver.faults.extend([LOST, CUT])
    deliver(small_parts(Stream(endpoint, UID, feed)), PATIENCE)
    arrived = RunFold()
    for record in receiver.runs[UID]:
        decoded = wire.decode(json.dumps(record).encode())
        assert decoded is not None
        arrived.add(decoded)
    assert arrived.summary() == fold(*RECORDS).summary()
