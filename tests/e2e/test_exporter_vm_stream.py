"""Containers of another machine across a link between two network namespaces that is slowed down, cut and restored.

Both ends see the cgroups of this machine, so that each container is there twice, with one id.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.e2e.support.cgroup import V1_CONTROLLERS, V2, Cgroup, own_cgroups
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.docker import hierarchy_root
from tests.e2e.support.exporters import RunningExporter, Scrape, running_exporter
from tests.e2e.support.wire import Wire, wired
from tests.support.certificates import authority

pytestmark = pytest.mark.slow

CPU = "jobmeter_container_cpu_usage_seconds_total"
UP = "jobmeter_vm_up"
GRACE_SECONDS = 25
AGAIN_SECONDS = 90.0
"""The longest pause between two attempts, and what an attempt takes on a link that is cut."""
BURN = "import time\nwhile time.process_time() < {seconds}: pass"


class Rig(NamedTuple):
    """Both exporters, what is between them, and a container."""

    guest: RunningExporter
    host: RunningExporter
    wire: Wire
    container: Cgroup
    id: str

    def work(self, seconds: float = 0.5) -> None:
        """The container uses so much CPU time."""
        self.container.run(["python3", "-c", BURN.format(seconds=seconds)])

    def scrape(self) -> Scrape:
        """What the host shows."""
        return self.host.scrape()

    def is_up(self) -> bool:
        return self.scrape().value(UP, machine="guest") == 1

    def used(self, scrape: Scrape | None = None) -> float | None:
        """CPU time of the guest's container as the host shows it."""
        values = (scrape or self.scrape()).values(CPU, id=f"guest/{self.id}")
        return values[0] if values else None


def at_the_top(name: str) -> Cgroup:
    """A cgroup that has the same path in each hierarchy, as those of engines have."""
    own = own_cgroups()
    paths = {key: hierarchy_root(own[key]) / name for key in (*V1_CONTROLLERS, V2) if key in own}
    for path in paths.values():
        path.mkdir(exist_ok=True)
    return Cgroup(paths)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A guest that serves by TLS, with a token, and a host that subscribes."""
    issued = authority(tmp_path)
    cert, key = issued.issue("guest.example")
    token = tmp_path / "token"
    token.write_text("token-of-tests\n")
    container_id = uuid4().hex * 2
    with ExitStack() as stack:
        wire = stack.enter_context(wired())
        container = stack.enter_context(at_the_top(container_id))
        for name in ("guest", "host"):
            (tmp_path / name).mkdir()
        served = (f"--serve-stats={wire.there}:10001", f"--tls-cert={cert}", f"--tls-key={key}")
        guest = stack.enter_context(
            running_exporter(
                tmp_path / "guest", *served, f"--stats-token-file={token}", "--engine-socket=none", "--linger=5s",
                within=wire.enter, scheme="https",
            )
        )  # fmt: skip
        where = f"guest={wire.there};token_file={token};ca={issued.certificate};server_name=guest.example"
        host = stack.enter_context(
            running_exporter(
                tmp_path / "host", f"--subscribe={where}", f"--subscribe-grace={GRACE_SECONDS}s", "--linger=5s",
                "--engine-socket=none", "--runtime=linux-metal",
            )
        )  # fmt: skip
        rig = Rig(guest, host, wire, container, container_id)
        rig.work()
        wait_until(lambda: (rig.used() or 0.0) >= 0.5, "the container of the guest")
        yield rig


def told(rig: Rig) -> float:
    return rig.scrape().value("jobmeter_vm_batches_total", machine="guest")


def test_one_container_id_on_two_machines(rig: Rig) -> None:
    """Each is shown, with how its machine runs it; no series is there twice."""
    scrape = rig.scrape()
    found = {one["id"]: one for one in scrape.labels("jobmeter_container_info") if rig.id in one["id"]}
    assert {key: (one["machine"], one["runtime"]) for key, one in found.items()} == {
        rig.id: ("", "linux-metal"),
        f"guest/{rig.id}": ("guest", "linux-vm"),
    }
    keys = [(one.name, tuple(sorted(one.labels.items()))) for one in scrape.samples]
    assert len(set(keys)) == len(keys)
    rig.work()
    own = scrape.value(CPU, id=rig.id)
    wait_until(lambda: (rig.used() or 0.0) >= own + 0.5, "what the guest's container used")


def test_a_slow_link(rig: Rig) -> None:
    """What comes is later by what the link takes, and the stream goes on."""
    rig.wire.delay = 1.0
    before = told(rig)
    rig.work()
    wait_until(lambda: (rig.used() or 0.0) >= 1.0, "what was used meanwhile", seconds=30.0)
    wait_until(lambda: told(rig) >= before + 5, "batches over a slow link", seconds=30.0)
    assert rig.is_up()
    assert rig.scrape().value("jobmeter_vm_reconnects_total", machine="guest") == 0


def test_a_link_that_is_cut_and_restored(rig: Rig) -> None:
    """The host says so, keeps what it had, and goes on with what was used meanwhile: no counter begins anew."""
    seen = [rig.used()]
    rig.wire.is_cut = True
    wait_until(lambda: not rig.is_up(), "the host to notice", seconds=20.0)
    assert rig.scrape().value("jobmeter_vm_last_batch_age_seconds", machine="guest") > 5
    assert rig.used() == seen[0]
    rig.work(1.0)
    rig.wire.is_cut = False

    def goes_on() -> bool:
        seen.append(rig.used())
        return (seen[-1] or 0.0) >= (seen[0] or 0.0) + 1.0

    wait_until(goes_on, "the stream again", seconds=AGAIN_SECONDS)
    assert None not in seen
    assert seen == sorted(seen, key=lambda value: value or 0.0)
    assert rig.is_up()
    assert any("again" in one["msg"] for one in rig.host.messages())


def test_a_link_that_is_cut_for_long(rig: Rig) -> None:
    """The series of the machine go, alone; when it is back they are there, until a container ends."""
    rig.wire.is_cut = True
    began = time.monotonic()
    wait_until(lambda: rig.used() is None, "the series to go", seconds=GRACE_SECONDS + 30.0)
    assert time.monotonic() - began > GRACE_SECONDS - 5
    assert rig.scrape().value(CPU, id=rig.id) >= 0.5
    rig.wire.is_cut = False
    wait_until(rig.is_up, "the stream again", seconds=AGAIN_SECONDS)
    rig.work()
    wait_until(lambda: (rig.used() or 0.0) >= 1.0, "what was used")
    rig.container.remove()
    wait_until(lambda: rig.used() is None, "the end of the container", seconds=30.0)


def test_who_speaks_something_else(tmp_path: Path) -> None:
    """It is cut off, and nothing of it is in the log."""
    issued = authority(tmp_path)
    cert, key = issued.issue("localhost")
    flags = ("--serve-stats=127.0.0.1:0", f"--tls-cert={cert}", f"--tls-key={key}", "--engine-socket=none")
    with running_exporter(tmp_path, *flags, scheme="https") as guest:
        (address,) = [one["address"] for one in guest.messages() if "address" in one]
        for said in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 16):
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as stranger:
                stranger.sendall(said)
                assert stranger.recv(100) == b""
    assert {one["level"] for one in guest.messages()} == {"info"}
