"""A container's last use is counted, although its cgroup is gone some 30 ms after its last process."""

import json
import signal
import subprocess

import pytest

from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import BUSYBOX

BURN = "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done"


@pytest.fixture
def collector():
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


def test_use_up_to_the_end_of_a_container_is_counted(docker_engine, collector):
    """It burns after the last tick that saw it alive, and its whole use is in the summary."""
    container = docker_engine.spawn(BUSYBOX, "sh", "-c", f"sleep 2.5; {BURN}")
    account = 0
    try:
        with open(f"/sys/fs/cgroup/unified/docker/{container.id}/cpu.stat") as file:
            while True:
                account = int(file.readline().split()[1])
                file.seek(0)
    except OSError:
        pass  # It is gone.
    collector.send_signal(signal.SIGTERM)
    summary = json.loads(collector.communicate()[0])
    (found,) = [one for one in summary["containers"] if one["id"] == container.id]
    assert found["cpu_seconds"] == pytest.approx(account / 1e6, abs=0.02)
    assert summary["cpu_complete"] is True
