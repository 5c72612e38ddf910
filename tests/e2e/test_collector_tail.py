"""A container's last use is counted, although its cgroup is gone some 30 ms after its last process."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import BUSYBOX, DockerEngine

BURN = "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done"
CONTAINERS = 3


@pytest.fixture
def collector() -> Iterator[subprocess.Popen[bytes]]:
    """A collector on the host with a long interval, by the containers' cgroups."""
    command = [*JOBMETER, "collector", "--interval=2s", "--source=cgroup", "--log-format=text"]
    with subprocess.Popen(
        command, env=jobmeter_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        while b"metering" not in process.stderr.readline():
            pass
        yield process
        if process.poll() is None:
            process.kill()


def account_of_a_life(engine: DockerEngine) -> tuple[str, float]:
    """A container that burns after the last tick that saw it alive, and the last that its cgroup said."""
    container = engine.spawn(BUSYBOX, "sh", "-c", f"sleep 2.5; {BURN}")
    account = 0
    try:
        with open(f"/sys/fs/cgroup/unified/docker/{container.id}/cpu.stat") as file:
            while True:
                account = int(file.readline().split()[1])
                file.seek(0)
    except OSError:
        return container.id, account / 1e6


def test_use_up_to_the_end_of_a_container_is_counted(
    docker_engine: DockerEngine, collector: subprocess.Popen[bytes]
) -> None:
    """Its whole use is in the summary; where a busy machine lets us come too late for one, that is said."""
    accounts = dict(account_of_a_life(docker_engine) for _ in range(CONTAINERS))
    collector.send_signal(signal.SIGTERM)
    summary: dict[str, Any] = json.loads(collector.communicate()[0])
    found = {one["id"]: one["cpu_seconds"] for one in summary["containers"]}
    whole = [abs(found[id_] - account) <= 0.02 for id_, account in accounts.items()]

    assert any(whole)
    assert summary["cpu_complete"] is all(whole)
    assert all(found[id_] <= account + 0.02 for id_, account in accounts.items())
