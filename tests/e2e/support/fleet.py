"""Containers of a Docker that do what CI jobs do, and are hurt as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.support.components import unavailable
from tests.e2e.support.docker import BUSYBOX, Container, DockerEngine

JOB = {"repo": "acme/engine", "workflow": "ci.yaml", "job": "build", "run": "4711"}
_FIELD_OF = {"repo": "repository", "run": "run_id"}
BUILD = (
    "while :; do :; done & "
    "while :; do wget -q -O /dev/null http://$1:8080/blob; sleep 0.2; done & "
    "while :; do dd if=/dev/zero of=/data/out bs=64k count=8 conv=fsync 2>/dev/null; rm /data/out; sleep 0.2; done & "
    "dd if=/dev/zero of=/dev/shm/held bs=1M count=58 2>/dev/null; wait"
)
HUNGRY = "sleep 3; while :; do tail /dev/zero; sleep 20; done"
SERVE = "mkdir /www; dd if=/dev/zero of=/www/blob bs=64k count=16 2>/dev/null; httpd -f -p 8080 -h /www"
BURN = "while :; do :; done & while :; do :; done & wait"


def labels(**job: str) -> list[str]:
    """Flags that say whose a container is."""
    return [f"--label=jobmeter.{_FIELD_OF.get(name, name)}={value}" for name, value in job.items()]


def block_device(path: str) -> str:
    """The disk that a directory is on."""
    number = os.stat(path).st_dev
    place = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    if not place.exists():
        unavailable(f"{path} is not on a disk, whose traffic a cgroup could count")
    return f"/dev/{(place.parent if (place / 'partition').exists() else place).name}"


@contextmanager
def fleet(engine: DockerEngine) -> Iterator[dict[str, Container]]:
    """A build that runs into its limits, tests of it that are killed, its service, and two jobs without a limit.

    The build's disk has a limit that it does not reach: only then a kernel with cgroup v1 counts what it writes.
    """
    device = block_device(str(engine.directory))
    limits = ["--cpus=0.05", "--memory=64m", "--memory-swap=64m", "--pids-limit=60", "--shm-size=64m"]
    disk = ["--volume=/data", f"--device-write-bps={device}:1gb"]
    with ExitStack() as stack:

        def spawn(name: str, script: str, *words: str, flags: list[str]) -> Container:
            command = ("sh", "-c", script, "sh", *words)
            made = engine.spawn(BUSYBOX, *command, flags=flags, name=name, network="bridge")
            return stack.enter_context(made)

        def burner(job: str) -> Container:
            whose = labels(repo="acme/tools", workflow="nightly.yaml", job=job, run="12")
            return spawn(f"tools-{job}", BURN, flags=whose)

        whose = labels(**JOB)
        service = spawn("engine-cache", SERVE, flags=whose)
        address = service.inspect()["NetworkSettings"]["IPAddress"]
        build = spawn("engine-build", BUILD, address, flags=[*whose, *limits, *disk])
        hungry = spawn("engine-tests", HUNGRY, flags=[*whose, "--memory=32m", "--memory-swap=32m"])
        made = (service, build, hungry, burner("lint"), burner("test"))
        yield {one.name: one for one in made}
