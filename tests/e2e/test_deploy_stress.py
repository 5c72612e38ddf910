"""The seed's session with `deploy/compose/stress.yaml`: up, stop the collector, ask; and the images it is made of."""

from __future__ import annotations

import bisect
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import cgroup_of, container_of, cpuacct_seconds, wait_until
from tests.e2e.support.docker import Container
from tests.e2e.support.images import Stress

QUERY = "http://localhost:9080/api/v1/metrics/repo/test-org/test-org%2Fstress-test/stress-test-workflow/heavy-workload"
STATISTIC = {"peak", "p99", "p95", "p75", "p50", "avg"}
METERED_SECONDS = 9.0
BURNING = ("cpu-stress", "memory-stress")
MIB = 1024 * 1024


@dataclass
class Account:
    """CPU time of a container by its own cgroup, read again and again: seconds at moments of the wall clock."""

    container: Container
    moments: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Read until `stop`; call it in a thread of its own."""
        memory = cgroup_of(self.container, "memory") / "memory.max_usage_in_bytes"
        while not self._over.wait(0.02):
            try:
                before, seconds = time.time(), cpuacct_seconds(self.container)
                self.peak_bytes = int(memory.read_text())
            except OSError:
                continue  # Not started yet.
            self.moments.append((before + time.time()) / 2)
            self.seconds.append(seconds)

    def stop(self) -> None:
        self._over.set()

    def at(self, moment: float) -> float:
        """Seconds of CPU time up to this moment, by interpolation."""
        after = bisect.bisect_left(self.moments, moment)
        assert 0 < after < len(self.moments), "the account does not reach so far"
        (start, end), (low, high) = self.moments[after - 1 : after + 1], self.seconds[after - 1 : after + 1]
        return low + (high - low) * (moment - start) / (end - start)


@dataclass(frozen=True)
class Session:
    """What the query answered, and the accounts of the two burning containers."""

    stress: Stress
    rows: list[dict[str, Any]]
    accounts: dict[str, Account]

    @property
    def payload(self) -> dict[str, Any]:
        return dict(self.rows[0]["payload"])

    def account_seconds(self, name: str) -> float:
        """CPU time of a container between start and end of the run."""
        start, end = (
            datetime.fromisoformat(self.payload[key]).timestamp() for key in ("start_time", "end_time")
        )
        return self.accounts[name].at(end) - self.accounts[name].at(start)


@pytest.fixture(scope="module")
def session(stress: Stress) -> Iterator[Session]:
    """The session of the seed's README; what burns starts first, so that its accounts are read from the beginning."""
    stress.compose("up", "-d", *BURNING)
    accounts = {name: Account(stress.container(name)) for name in BURNING}
    threads = [threading.Thread(target=account.read) for account in accounts.values()]
    for thread in threads:
        thread.start()
    try:
        stress.compose("up", "-d")
        time.sleep(METERED_SECONDS)
        stress.compose("stop", "collector")
    finally:
        for account in accounts.values():
            account.stop()
        for thread in threads:
            thread.join()
    rows = json.loads(stress.curl(QUERY))
    assert rows, stress.compose("logs").stdout
    yield Session(stress, rows, accounts)
    stress.compose("down", "--volumes", "--timeout=1")


def test_row_is_the_seeds(session: Session) -> None:
    """One run was stored, with the fields of the seed and no others beside its payload."""
    (row,) = session.rows
    identity = {"organization": "test-org", "repository": "test-org/stress-test",
                "workflow": "stress-test-workflow", "job": "heavy-workload", "run_id": "stress-run-1"}  # fmt: skip

    assert row.keys() == {"id", *identity, "received_at", "payload"}
    assert {name: row[name] for name in identity} == identity


def test_payload_has_the_seeds_fields(session: Session) -> None:
    """Each field of the seed's example is there, with a value."""
    payload = session.payload

    assert abs(payload["duration_seconds"] - METERED_SECONDS) < 60
    assert payload["sample_count"] >= 3
    for statistic in (payload["cpu_total_percent"], payload["mem_used_bytes"]):
        assert statistic.keys() == STATISTIC
        assert 0 < statistic["avg"] <= statistic["peak"]
    for name in BURNING:
        container = container_of(payload, name)
        assert container["cpu_cores"].keys() == container["memory_bytes"].keys() == STATISTIC
    assert payload["top_cpu_processes"][0]["peak_cpu_percent"] > 0
    assert payload["top_mem_processes"][0]["name"] == "python3"


@pytest.mark.parametrize("name", BURNING)
def test_cpu_time_is_the_containers_own_account(session: Session, name: str) -> None:
    """What the query says of a container is what its cgroup says, read beside it."""
    said, account = container_of(session.payload, name), session.account_seconds(name)

    assert account > 1
    assert said["cpu_source"] == "cgroup"
    assert said["cpu_seconds"] == pytest.approx(account, rel=0.01, abs=0.1)
    assert said["cpu_cores"]["avg"] == pytest.approx(
        account / session.payload["duration_seconds"], rel=0.01, abs=0.02
    )


def test_limits_and_memory_are_the_containers_own(session: Session) -> None:
    """Memory lies between what the program holds and what the kernel has charged; limits are the kernel's."""
    held = container_of(session.payload, "memory-stress")

    assert 64 * MIB <= held["memory_bytes"]["peak"] <= session.accounts["memory-stress"].peak_bytes
    assert (held["cpu_limit_cores"], held["memory_limit_bytes"]) == (0.5, 256 * MIB)
    assert held["throttled_seconds"] > 0
    assert container_of(session.payload, "cpu-stress")["cpu_limit_cores"] == 2.0


def test_nothing_but_the_job_is_metered(session: Session) -> None:
    """The collector leaves itself out, and the receiver is not in the job's pid namespace."""
    assert {one["name"] for one in session.payload["containers"]} == set(BURNING)
    assert session.payload["warnings"] == []


def test_receiver_is_healthy_and_without_privilege(session: Session) -> None:
    """The image's own health check succeeds; the process is not root and its database lies in the volume."""
    receiver = session.stress.container("receiver")
    wait_until(lambda: receiver.inspect()["State"]["Health"]["Status"] == "healthy", "a healthy receiver")
    status = Path(f"/proc/{receiver.pid}/status").read_text()

    assert "\nUid:\t65532\t65532\t65532\t65532\n" in status
    assert "/data/metrics.db" in receiver.exec("ls", "-d", "/data/metrics.db").stdout


def test_receiver_keeps_its_runs_when_it_is_replaced(session: Session) -> None:
    """A stop and a start lose nothing."""
    session.stress.compose("restart", "receiver")

    assert [row["id"] for row in json.loads(session.stress.curl(QUERY))] == [
        row["id"] for row in session.rows
    ]


def test_collector_without_the_jobs_processes_says_so(stress: Stress) -> None:
    """One that is alone in its pid namespace has nothing to meter, which is said and not left to be guessed."""
    with stress.engine.spawn("jobmeter-collector", "--interval=100ms") as alone:
        wait_until(lambda: '"metering"' in alone.logs(), "the first sample")
        alone.stop()
        said = alone.logs()

    assert said.count("No container was seen: the collector needs the pid namespace of the job") == 2
    assert '"containers": []' in said


@pytest.mark.parametrize("image", ["jobmeter-collector", "jobmeter-receiver"])
def test_image_says_its_version(stress: Stress, image: str) -> None:
    """`jobmeter` is on the path of both images and is this checkout's."""
    flags = ["--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--entrypoint=jobmeter"]
    said = stress.engine.docker("run", *flags, image, "--version")

    assert said.stdout.startswith("jobmeter ")


def test_collector_image_has_msgspec_alone(stress: Stress) -> None:
    """What the sidecar does not need is not in its image."""
    flags = ["--rm", "--network=none", "--entrypoint=sh"]
    listing = stress.engine.docker(
        "run", *flags, "jobmeter-collector", "-c", "ls /opt/jobmeter/lib/python3*/site-packages"
    )

    assert {name.split("-")[0] for name in listing.stdout.split()} == {"jobmeter", "msgspec"}


def test_receiver_image_draws_signs_in_and_shares(stress: Stress) -> None:
    """The libraries of the extras html, oidc and postgresql are there and run in it."""
    drawn = "v.vegalite_to_svg({'data': {'values': []}, 'mark': 'bar'})"
    program = f"import joserfc, psycopg, vl_convert as v; print({drawn})"
    flags = [
        "--rm",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--entrypoint=/opt/jobmeter/bin/python",
    ]

    assert "<svg" in stress.engine.docker("run", *flags, "jobmeter-receiver", "-c", program).stdout


def test_collector_stops_in_time(session: Session) -> None:
    """It ended by SIGTERM with its summary sent, not by the engine's patience."""
    state = session.stress.container("collector").inspect()["State"]

    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
