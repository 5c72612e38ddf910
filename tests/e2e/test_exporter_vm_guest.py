"""Containers of a real guest with cgroup v2 alone, in the scrape of its host: at work, standing still and lost.

The guest's own figures are the kernel's there, and the other end of the job's link. A counter that moves is shown as it
was between two readings of them, one before what the host was told and one after.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import guest_stream
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.exporter_guests import exporter_files
from tests.e2e.support.exporters import RunningExporter, Scrape, running_exporter
from tests.e2e.support.guest_attribution import JOB, REPOSITORIES
from tests.e2e.support.vm import ADDRESS, RunningGuest, VirtualMachine
from tests.support.certificates import authority

pytestmark = pytest.mark.slow

PORT = 10001
REPOSITORY = REPOSITORIES[JOB]
GRACE_SECONDS = 15
MIB = 1024 * 1024
CPU = "jobmeter_container_cpu_usage_seconds_total"
CREDITED = "jobmeter_repository_cpu_seconds_total"
WHOSE = {"repo": REPOSITORY, "runtime": "linux-vm"}
NAMES = (
    ("jobmeter_container_", f"guest/{JOB}", "memory_usage_bytes", "network_receive", "network_transmit"),
    ("ephemerd_container_", JOB, "memory_bytes", "network_rx", "network_tx"),
)
"""How each dialect calls the same."""


class Rig:
    """A host that follows a guest, which can be lost and booted again at its place."""

    def __init__(self, vm: VirtualMachine, folder: Path) -> None:
        issued = authority(folder)
        certificate, key = issued.issue("guest.example")
        token = folder / "token"
        token.write_text("token-of-tests\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._here = free.getsockname()[1]
        self._vm = vm
        self.folder = folder
        self._files = exporter_files("grpc") | {
            guest_stream.CERTIFICATE: certificate,
            guest_stream.KEY: key,
            guest_stream.TOKEN: token,
        }
        keys = f"token_file={token};ca={issued.certificate};server_name=guest.example"
        self.flags = (
            f"--subscribe=guest=127.0.0.1:{self._here};{keys}", f"--subscribe-grace={GRACE_SECONDS}s", "--linger=5s",
            "--engine-socket=none", "--dialect=jobmeter", "--dialect=ephemerd",
        )  # fmt: skip
        self.host: RunningExporter
        self.guest: RunningGuest

    @contextmanager
    def booted(self) -> Iterator[dict[str, Any]]:
        """With a guest that has started its containers, and no exporter yet; what it told."""
        script = f"python3 -m tests.e2e.support.guest_stream {ADDRESS}:{PORT}"
        ports = (self._here, PORT)
        with self._vm.running(script, self.folder / "console", ports=ports, files=self._files) as self.guest:
            yield self.guest.wait()

    def is_up(self) -> bool:
        return self.scrape().value("jobmeter_vm_up", machine="guest") == 1

    def scrape(self) -> Scrape:
        return self.host.scrape()

    def told(self) -> Scrape:
        """What the host shows once it was told of what happens now."""
        batches = "jobmeter_vm_batches_total"
        before = self.scrape().value(batches, machine="guest")
        wait_until(lambda: self.scrape().value(batches, machine="guest") >= before + 3, "more batches")
        return self.scrape()

    def used(self) -> float | None:
        """CPU time of the job's container as the host shows it."""
        values = self.scrape().values(CPU, id=f"guest/{JOB}")
        return values[0] if values else None


@pytest.fixture(scope="module")
def rig(vm: VirtualMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The job has worked while the host watched."""
    rig = Rig(vm, tmp_path_factory.mktemp("vm-guest"))
    with ExitStack() as stack:
        stack.enter_context(rig.booted())
        rig.guest.ask("serve")
        rig.host = stack.enter_context(running_exporter(rig.folder, *rig.flags))
        wait_until(rig.is_up, "the stream")
        rig.guest.ask("work")
        yield rig


@pytest.fixture(scope="module")
def seen(rig: Rig) -> tuple[dict[str, Any], Scrape, dict[str, Any]]:
    """The guest's figures, what the host showed after these, and the figures after that."""
    return rig.guest.ask("figures"), rig.told(), rig.guest.ask("figures")


Seen = tuple[dict[str, Any], Scrape, dict[str, Any]]


def test_whose_it_is(seen: Seen) -> None:
    """The job that the guest has read in its container; the machine and how it is run are the host's word."""
    _, scrape, _ = seen
    (info,) = scrape.labels("jobmeter_container_info", id=f"guest/{JOB}")

    assert {key: info[key] for key in ("repo", "job", "attribution", "engine", "machine", "runtime")} == {
        **WHOSE, "job": "build", "attribution": "own", "engine": "docker", "machine": "guest",
    }  # fmt: skip
    assert scrape.labels("jobmeter_job_info", repo=REPOSITORY, job="build", forge="github")
    assert {one["runtime"] for one in scrape.labels(CPU) if one["id"].startswith("guest/")} == {"linux-vm"}


def test_cpu_time_at_rest(seen: Seen) -> None:
    """What no longer moves is the guest's account to the microsecond, in both dialects."""
    before, scrape, after = seen
    account = after["cpu_seconds"][JOB]

    assert account == before["cpu_seconds"][JOB] > 0.5
    for prefix, container_id, *_ in NAMES:
        shown = scrape.value(f"{prefix}cpu_usage_seconds_total", id=container_id, **WHOSE)
        assert shown == pytest.approx(account, abs=1e-6)


def test_cpu_time_at_work(seen: Seen) -> None:
    """What moves is shown as it was a batch ago."""
    before, scrape, after = seen
    other = after["other"]

    for name, container_id in (
        (CPU, f"guest/{other}"),
        ("ephemerd_container_cpu_usage_seconds_total", other),
    ):
        shown = scrape.value(name, id=container_id, runtime="linux-vm", repo="")
        assert before["cpu_seconds"][other] <= shown <= after["cpu_seconds"][other]
    assert before["cpu_seconds"][other] < after["cpu_seconds"][other]
    assert scrape.container("cpu_limit_cores", f"guest/{other}") == guest_stream.CPU_LIMIT_CORES


def test_memory(seen: Seen) -> None:
    """What the guest's kernel has charged, within 1 %: pages of processes that have ended are given back later."""
    _, scrape, after = seen

    for prefix, container_id, usage, *_ in NAMES:
        shown = scrape.value(f"{prefix}{usage}", id=container_id, **WHOSE)
        assert shown == pytest.approx(after["memory_bytes"], rel=0.01)
        assert guest_stream.HELD_BYTES <= shown <= guest_stream.HELD_BYTES + 4 * MIB
        limit = scrape.value(f"{prefix}memory_limit_bytes", id=container_id, **WHOSE)
        assert limit == guest_stream.MEMORY_LIMIT_BYTES


def test_network(seen: Seen) -> None:
    """What passed the other end of its link."""
    before, scrape, after = seen

    assert before["sent_bytes"] > guest_stream.SENT_BYTES
    for prefix, container_id, _, received, sent in NAMES:
        for name, key in ((received, "received_bytes"), (sent, "sent_bytes")):
            shown = scrape.value(f"{prefix}{name}_bytes_total", id=container_id, **WHOSE)
            assert before[key] <= shown <= after[key]


def test_a_guest_that_stands_still(rig: Rig) -> None:
    """It is shown as it was; when it goes on its containers are the same, and no counter begins anew."""
    before = rig.used()
    rig.guest.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: not rig.is_up(), "the host to notice")
    assert rig.used() == before
    rig.guest.process.send_signal(signal.SIGCONT)
    wait_until(rig.is_up, "the stream again")
    account = rig.guest.ask("work")["cpu_seconds"][JOB]
    assert rig.told().value(CPU, id=f"guest/{JOB}") == pytest.approx(account, abs=1e-6)
    assert account > (before or 0.0) + 0.5


def test_a_guest_that_is_lost(rig: Rig) -> None:
    """Its series stay for the grace time, then go. Booted again, an id of before begins anew, a new one is new.

    What the job used goes on: that of its new life is added.
    """
    lost, credited = rig.told(), rig.scrape().value(CREDITED, repo=REPOSITORY)
    other = rig.guest.ask("figures")["other"]
    rig.guest.kill()
    began = time.monotonic()
    wait_until(lambda: not rig.is_up(), "the host to notice")
    assert rig.used() == lost.value(CPU, id=f"guest/{JOB}")
    with rig.booted():
        wait_until(lambda: rig.used() is None, "the series to go")
        assert time.monotonic() - began > GRACE_SECONDS - 5
        assert not [one for one in rig.scrape().samples if JOB in one.labels.get("id", "")]
        rig.guest.ask("serve")
        wait_until(rig.is_up, "the stream of the guest that is back")
        account, scrape = rig.guest.ask("figures"), rig.told()
        assert scrape.value(CPU, id=f"guest/{JOB}") == pytest.approx(account["cpu_seconds"][JOB], abs=1e-6)
        started = [one.container("start_time_seconds", f"guest/{JOB}") for one in (lost, scrape)]
        assert started[0] < started[1]
        assert scrape.labels(CPU, id=f"guest/{account['other']}")
        assert not scrape.labels(CPU, id=f"guest/{other}")
        whole = pytest.approx(credited + account["cpu_seconds"][JOB], abs=1e-3)
        wait_until(lambda: rig.scrape().value(CREDITED, repo=REPOSITORY) == whole, "what the job used")
