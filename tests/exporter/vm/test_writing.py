"""What a machine tells: ephemerd's part as its peers expect it, ours beside it, and what is not known left out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.vm import schema
from jobmeter.exporter.vm.writing import MAX_IDENTITY_BYTES, SETTLED_SECONDS, Writer, written
from jobmeter.model.account import Account, Bounds
from jobmeter.model.job import Job
from tests.exporter.rows import BUILD, ENDED, LIMITED, UNLIMITED, WHOLE, WITHIN
from tests.exporter.vm import ephemerd

NOW = 1_795_300_100.0
PLAIN = replace(
    BUILD,
    id="ab",
    path="/docker/ab",
    identity=Identity(),
    bounds=Bounds(),
    account=Account(),
    started=None,
    engine=None,
)


def told(*rows: Row, writer: Writer | None = None) -> Any:
    """The batch, as our own peers read it."""
    return schema.Batch.FromString((writer or Writer(clock=lambda: NOW)).batch(rows, 1))


def stats(entries: Any) -> dict[str, Any]:
    return {one.id: one for one in map(schema.Stats.FromString, entries)}


# --- The wire


@pytest.mark.parametrize(
    "row, expected",
    [
        (PLAIN, "0a026162 12 01 72 ca3e00"),
        (replace(PLAIN, account=Account(cpu_seconds=3e-7, memory_usage_bytes=1, memory_anon_bytes=0)),
         "0a026162 120172 18ac02 2001 2800 ca3e00"),
        (replace(PLAIN, account=Account(network_received_bytes=5, network_sent_bytes=0)),
         "0a026162 120172 4005 4800 ca3e00 f03f05 f83f00"),
        (replace(PLAIN, bounds=Bounds(cpu_cores=2.5, memory_bytes=300)),
         "0a026162 120172 3003 38ac02 ca3e00 e83e80f28ba809"),
        (replace(PLAIN, bounds=Bounds(cpu_cores="unlimited", memory_bytes="unlimited", processes="unlimited")),
         "0a026162 120172 3000 3800 ca3e00 e83e00 f03e00"),
    ],
)  # fmt: skip
def test_the_bytes(row: Row, expected: str) -> None:
    """Numbers and kinds of ephemerd's fields and of the first of ours: a 0 is sent, what is not known is not."""
    assert written(row, "r", b"").hex() == expected.replace(" ", "")


def test_a_batch_of_nothing() -> None:
    """It has the time, and says whose it is."""
    body = Writer(clock=lambda: 1.0).batch((), 10)
    assert body.hex() == "088094ebdc03" + "c83e01" + "d03e0a"
    assert ephemerd.read(body) == {}


def test_all_that_is_known() -> None:
    """Each number of an account, each limit and each word has its place."""
    message = schema.Stats.FromString(written(BUILD, "acme/engine", b"x"))
    assert {name: getattr(message, name) for name in ephemerd.NAMES} == {
        "id": "4f0c", "repo": "acme/engine", "cpu_usage_nanos": 12_750_000_000, "memory_bytes": 22151168,
        "memory_anon_bytes": 16777216, "cpu_limit": 3, "memory_limit_bytes": 67108864, "network_rx_bytes": 295,
        "network_tx_bytes": 116,
    }  # fmt: skip
    for name in schema.ACCOUNT_COUNTS:
        assert getattr(message, name) == getattr(WHOLE, name), name
    for name in schema.ACCOUNT_TIMES:
        assert getattr(message, schema.nanos(name)) == round(getattr(WHOLE, name) * 1e9), name
    assert (message.cpu_limit_nanos, message.processes_limit) == (2_500_000_000, 512)
    assert message.started_unix_nano == 1795300000_500000000
    assert not message.HasField("ended_unix_nano")
    assert not message.HasField("parent")


def test_numbers_that_protobuf_has_not() -> None:
    """Below 0 and beyond 64 bits there are none."""
    row = replace(
        PLAIN, account=Account(io_reads=-1, io_writes=2**70), bounds=Bounds(cpu_cores=0.2, memory_bytes=0)
    )
    message = schema.Stats.FromString(written(row, "", b""))
    assert (message.io_reads, message.io_writes) == (0, 2**64 - 1)
    assert (message.cpu_limit, message.memory_limit_bytes) == (1, 1)  # A limit, though a small one.


def test_every_field_has_a_number_of_its_own() -> None:
    """And protobuf keeps 19000 to 19999 for itself."""
    for message in (schema.Batch, schema.Stats, schema.Identity, schema.Job):
        numbers = [field.number for field in message.DESCRIPTOR.fields]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) < 19000


# --- Which list a container is in


def test_a_peer_of_ephemerd_sees_running_containers_that_lie_in_no_other() -> None:
    """The rest is beside, for our own."""
    batch = told(BUILD, WITHIN, ENDED)
    assert stats(batch.stats).keys() == {"4f0c"}
    more = stats(batch.more)
    assert (more["7aa1"].parent, more["c0de"].ended_unix_nano) == ("4f0c", 1795300060_250000000)


def test_a_repository_does_not_change_any_more() -> None:
    """Who knows a container by id and repository would keep the series of the first for ever."""
    writer, now = Writer(clock=lambda: now), NOW
    unnamed = replace(BUILD, identity=Identity(), started=NOW)
    assert not told(unnamed, writer=writer).stats
    now += SETTLED_SECONDS
    assert stats(told(unnamed, writer=writer).stats)["4f0c"].repo == ""
    named = stats(told(replace(BUILD, started=NOW), writer=writer).stats)["4f0c"]
    assert (named.repo, schema.Identity.FromString(named.identity).job.repository) == ("", "acme/engine")


def test_one_that_was_never_read_is_there() -> None:
    """It would have been told as one that uses nothing."""
    batch = told(PLAIN, replace(BUILD, account=Account(memory_usage_bytes=1)))
    assert list(batch.unread) == ["ab"]
    assert stats(batch.stats).keys() == {"4f0c"}


def test_an_id_that_is_there_twice() -> None:
    """The outermost is told: nobody within can feign another's."""
    feigned = replace(WITHIN, id=BUILD.id, account=Account(cpu_seconds=9999.0))
    assert stats(told(feigned, BUILD).stats)[BUILD.id].cpu_usage_nanos == 12_750_000_000


def test_a_message_is_never_larger_than_a_peer_takes() -> None:
    """Those without a place are named, as they are still there."""
    identity = replace(BUILD.identity, labels={"a": "x" * 300})
    rows = [
        replace(BUILD, id=f"{number:064x}", path=f"/{number}", identity=identity) for number in range(9000)
    ]
    body = Writer(clock=lambda: NOW).batch(rows, 1)
    batch = schema.Batch.FromString(body)
    assert len(body) <= schema.MAX_MESSAGE_BYTES
    assert len(batch.stats) > 1000
    assert len(batch.stats) + len(batch.unread) == 9000


# --- What a container is


def identity(row: Row) -> Any:
    return schema.Identity.FromString(schema.Stats.FromString(told(row).stats[0]).identity)


def test_what_a_container_is() -> None:
    """Its names, its labels, its job."""
    message = identity(BUILD)
    assert (message.name, message.image, message.engine) == (BUILD.name, BUILD.identity.image, "docker")
    assert {label.key: label.value for label in message.labels} == BUILD.identity.labels
    assert (message.job.repository, message.job.run_id, message.job.attempt) == ("acme/engine", "4711", 2)
    assert not message.HasField("namespace")


def test_more_labels_than_anyone_reads() -> None:
    """They are left out, the rest is told."""
    row = replace(BUILD, identity=replace(BUILD.identity, labels={f"{n}": "x" * 300 for n in range(50)}))
    assert (len(identity(row).labels), identity(row).image) == (0, BUILD.identity.image)


def test_texts_that_are_none() -> None:
    """Half of a character is replaced, what is too long is cut."""
    row = replace(
        BUILD, identity=Identity(name="a\udc80b", image="x" * 9999, job=Job(repository="r", attempt=-1))
    )
    message = identity(row)
    assert (message.name, len(message.image), message.job.HasField("attempt")) == ("a?b", 300, False)
    assert len(schema.Stats.FromString(told(row).stats[0]).identity) < MAX_IDENTITY_BYTES


# --- What it costs


def test_what_is_as_before_is_not_written_anew() -> None:
    """Neither a container of which nothing changed, nor what is known of one that works."""
    writer = Writer(clock=lambda: NOW)
    before = told(BUILD, writer=writer)
    assert told(BUILD, writer=writer).stats[0] == before.stats[0]
    busy = replace(BUILD, account=replace(WHOLE, cpu_seconds=13.0), bounds=LIMITED)
    assert stats(told(busy, writer=writer).stats)["4f0c"].cpu_usage_nanos == 13_000_000_000
    assert stats(told(replace(busy, bounds=UNLIMITED), writer=writer).stats)["4f0c"].cpu_limit == 0
