"""What another machine tells: what was not sent is missing, and nothing it sends does harm."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.elsewhere import MAX_CONTAINERS
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.vm import schema
from jobmeter.exporter.vm.reading import MAX_ID_CHARACTERS, Reader, Told, Unreadable
from jobmeter.exporter.vm.writing import MAX_IDENTITY_BYTES, Writer
from jobmeter.model.account import Account, Bounds, Interface
from jobmeter.model.job import Job
from tests.exporter.reading import read
from tests.exporter.rows import BUILD, ENDED, JOB, ROWS, UNLIMITED, WHOLE
from tests.exporter.vm import ephemerd

NOW = 1_795_300_100.0
ENTRY: dict[str, int | str] = {
    "id": "calm_wright",
    "repo": "acme/engine",
    "cpu_usage_nanos": 300,
    "memory_bytes": 1,
}


class Machine:
    """One that tells, its clock so many seconds ahead of the host's."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.now = NOW
        self.writer = Writer(clock=lambda: self.now + ahead)
        self.reader = Reader("vm-1", "linux-vm", clock=lambda: self.now)

    def tells(self, *rows: Row) -> dict[str, Row]:
        return by_id(self.reader.read(self.writer.batch(rows, 1)))


def by_id(told: Told) -> dict[str, Row]:
    return {row.id: row for row in told.rows}


def of_ephemerd(*entries: bytes, timestamp: int = 1) -> Told:
    return Reader("vm-1", "linux-vm", clock=lambda: NOW).read(ephemerd.batch(timestamp, *entries))


def ours(**fields: Any) -> Told:
    """A batch of one container of a peer of ours, with these fields."""
    entry = schema.Stats(**({"id": "a"} | fields)).SerializeToString()
    return Reader("vm-1", "linux-vm", clock=lambda: NOW).read(
        schema.Batch(format=1, timestamp_unix_nano=round(NOW) * 10**9, stats=[entry]).SerializeToString()
    )


# --- A peer of ephemerd


def test_the_bytes_of_ephemerd() -> None:
    """By its field numbers; the runtime is not on the wire."""
    body = bytes.fromhex("080112100a026162 120172 18ac02 2001 3002 4005".replace(" ", ""))
    (row,) = Reader("vm-1", "linux-vm", clock=lambda: NOW).read(body).rows
    assert row == Row(
        id="ab", path="vm-1/ab", parent=None, engine=None, pod=None, runtime="linux-vm", machine="vm-1", started=None,
        identity=Identity(name="ab", job=Job(repository="r"), attribution="machine"),
        account=Account(
            cpu_seconds=3e-7, memory_usage_bytes=1, network_received_bytes=5,
        ),
        bounds=Bounds(cpu_cores=2.0, memory_bytes="unlimited"),
    )  # fmt: skip


def test_what_ephemerd_does_not_send_is_missing() -> None:
    """proto3 sends no 0; but its limits are none then."""
    (row,) = of_ephemerd(ephemerd.entry(id="a")).rows
    assert row.account == Account()
    assert (row.bounds.cpu_cores, row.bounds.memory_bytes) == ("unlimited", "unlimited")
    assert row.identity == Identity(name="a")


def test_the_dialect_of_ephemerd_shows_what_it_sent() -> None:
    """All seven names, with the labels that it would have."""
    numbers = {name: number for number, name in enumerate(ephemerd.NAMES[2:], 5)}
    told = of_ephemerd(ephemerd.entry(id="calm_wright", repo="engine", **numbers))
    shown = read("".join(Exposition(("ephemerd",)).render(told.rows, (), (), openmetrics=False)))
    values = {}
    for one in shown:
        assert one.labels == {"id": "calm_wright", "repo": "engine", "runtime": "linux-vm"}
        values[one.name.removeprefix("ephemerd_container_")] = one.value
    assert values == {
        "cpu_usage_seconds_total": 5e-9, "memory_bytes": 6, "memory_anon_bytes": 7, "cpu_limit": 8,
        "memory_limit_bytes": 9, "network_rx_bytes_total": 10, "network_tx_bytes_total": 11,
    }  # fmt: skip


def test_an_empty_batch() -> None:
    """Nothing is there."""
    told = of_ephemerd()
    assert (told.rows, told.still, told.refused, told.interval_seconds) == ([], frozenset(), 0, None)


# --- A peer of ours


def test_everything_arrives() -> None:
    """But for what only cAdvisor's names show: each interface, each device, what is set on a cgroup itself."""
    machine = Machine()
    machine.tells(*ROWS)
    found = machine.tells(*ROWS)
    build = found["4f0c"]
    assert build.account == replace(
        WHOLE, interfaces=(Interface("", 295, 0, 0, 0, 116, 0, 0, 0),), io_bytes_by_device=None,
        io_operations_by_device=None,
    )  # fmt: skip
    assert build.identity == BUILD.identity
    assert build.bounds == replace(BUILD.bounds, spec=None)
    assert (build.path, build.machine, build.runtime) == ("vm-1/4f0c", "vm-1", "linux-vm")
    assert (build.started, build.ended, build.engine) == (BUILD.started, None, "docker")
    assert found["7aa1"].parent == "4f0c"
    assert found["7aa1"].bounds == replace(UNLIMITED, spec=None)
    assert found["7aa1"].account.io_reads is None
    assert found["c0de"].ended == ENDED.ended
    assert found["c0de"].account.oom_kills == 0
    assert (found["b11d"].pod, found["b11d"].identity.pod_name) == ("2c48913c", "runner-x1")
    assert found.keys() == {row.id for row in ROWS}


def test_the_clock_of_a_machine_is_not_trusted() -> None:
    """How long something has been is its word; when that was is told by the host's clock, and stays."""
    machine = Machine(ahead=7200.0)
    found = machine.tells(
        replace(BUILD, started=NOW + 7200.0 - 60.0), replace(ENDED, ended=NOW + 7200.0 - 5.0)
    )
    assert (found["4f0c"].started, found["c0de"].ended) == (NOW - 60.0, NOW - 5.0)
    machine.now += 30.0
    busy = replace(BUILD, started=NOW + 7200.0 - 60.0, account=Account(cpu_seconds=20.0))
    assert machine.tells(busy)["4f0c"].started == NOW - 60.0


@pytest.mark.parametrize("moment", [2**62, -(2**62), 0])
def test_moments_that_cannot_be(moment: int) -> None:
    """None of the future, and none of another century."""
    started = ours(started_unix_nano=moment).rows[0].started
    assert started is None or started == NOW


def test_the_execution_is_the_machines_own() -> None:
    """Another machine may have one that is called the same."""
    named = replace(BUILD, identity=replace(BUILD.identity, execution="12"))
    assert Machine().tells(named)["4f0c"].identity.execution == "vm-1 12"


def test_one_that_could_not_be_read() -> None:
    """It is said to be there still; when the next batch comes is said too."""
    told = Reader("vm-1", "linux-vm", clock=lambda: NOW).read(
        Writer(clock=lambda: NOW).batch([replace(BUILD, account=Account())], 7)
    )
    assert not told.rows
    assert (told.still, told.interval_seconds) == (frozenset({"4f0c"}), 7)


def test_identity_is_read_once() -> None:
    """Who renders knows by it that the labels are as before."""
    machine = Machine()
    before = machine.tells(BUILD)["4f0c"]
    busy = machine.tells(replace(BUILD, account=replace(WHOLE, cpu_seconds=99.0)))["4f0c"]
    assert busy.account.cpu_seconds == 99.0
    assert busy.identity is before.identity
    other = replace(JOB, job="b")
    named = machine.tells(replace(BUILD, identity=replace(BUILD.identity, job=other)))["4f0c"]
    assert named.identity.job == other


# --- A hostile peer


@pytest.mark.parametrize("body", [b"\xff", b"\x12\x05a", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_batch(body: bytes) -> None:
    """It is refused as a whole."""
    with pytest.raises(Unreadable):
        Reader("vm-1", "linux-vm", clock=lambda: NOW).read(body)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(b"", id="no id"),
        pytest.param(b"\xff", id="no message"),
        pytest.param(ephemerd.block(1, b"\xff\xfe"), id="no text"),
        pytest.param(ephemerd.block(1, b"x" * (MAX_ID_CHARACTERS + 1)), id="an id too long"),
    ],
)
def test_an_entry_that_makes_no_sense(entry: bytes) -> None:
    """It is counted, and the others are shown."""
    told = of_ephemerd(entry, ephemerd.entry(**ENTRY))
    assert (list(by_id(told)), told.refused) == (["calm_wright"], 1)


def test_more_containers_than_are_shown() -> None:
    """Those beyond are counted."""
    told = of_ephemerd(*(ephemerd.entry(id=f"{number}") for number in range(MAX_CONTAINERS + 7)))
    assert (len(told.rows), told.refused) == (MAX_CONTAINERS, 7)


def test_an_id_twice() -> None:
    """One of them is shown."""
    told = of_ephemerd(ephemerd.entry(id="a", memory_bytes=1), ephemerd.entry(id="a", memory_bytes=2))
    assert len(told.rows) == 1


def test_more_words_than_anyone_needs() -> None:
    """Nothing of them is kept: neither of a machine's identity, nor of its repository."""
    long = schema.Identity(name="x" * MAX_IDENTITY_BYTES).SerializeToString()
    assert ours(identity=long).rows[0].identity == Identity()
    job = of_ephemerd(ephemerd.entry(id="a", repo="x" * 100_000)).rows[0].identity.job
    assert job is not None
    assert len(job.repository or "") <= MAX_ID_CHARACTERS


@pytest.mark.parametrize(
    "identity",
    [b"\xff", schema.Identity(attribution="trust me").SerializeToString()],
)
def test_words_that_make_no_sense(identity: bytes) -> None:
    """They say nothing."""
    assert ours(identity=identity).rows[0].identity == Identity()


def test_numbers_as_large_as_they_come() -> None:
    """A page can be read that shows them, and no name in them ends a line or a label."""
    top = dict.fromkeys((*schema.ACCOUNT_COUNTS, *map(schema.nanos, schema.ACCOUNT_TIMES)), 2**64 - 1)
    words = schema.Identity(
        name='a"} 1\nx 2', job=schema.Job(repository='r"\\', run_id="\x00")
    ).SerializeToString()
    told = ours(
        identity=words, cpu_usage_nanos=2**64 - 1, cpu_limit_nanos=2**64 - 1, memory_bytes=2**64 - 1, **top
    )
    for dialect in ("jobmeter", "ephemerd", "cadvisor"):
        for openmetrics in (False, True):
            text = "".join(Exposition((dialect,)).render(told.rows, (), (), openmetrics=openmetrics))
            assert {one.labels.get("machine", "vm-1") for one in read(text, openmetrics=openmetrics)} == {
                "vm-1"
            }
            assert "nan" not in text.lower().replace("name", "")
