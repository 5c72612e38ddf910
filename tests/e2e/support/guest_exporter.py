"""In the guest: containers by runc below one cgroup, what `jobmeter exporter` shows of them, and the kernel's account.

Runs with the packages of the exporter, which `packages` brings in. Prints one line of JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.e2e.support.guest_pod import POD, Pod, wait_until

ADDRESS = "127.0.0.1:9925"
MESSAGES = Path("/tmp/messages")
JOB, BUSY, SHORT = (letter * 64 for letter in "abc")
MEMORY_LIMIT_BYTES = 48 << 20
HELD_BYTES = 24 << 20
WRITTEN_BYTES, READ_BYTES = 8 << 20, 4 << 20
DISK = "/dev/nvme0n1"
CPU_LIMIT_CORES = 0.2
FRESH_SECONDS = 1.5
"""After so long a scrape shows what lives now as it is."""
PARENT = Path("/sys/fs/cgroup") / POD.strip("/")
HOLD = f"dd if=/dev/zero of=/dev/held bs=1M count={HELD_BYTES >> 20} 2>/dev/null"
MANY = "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i + 1)); done"


def main() -> None:
    """A job that works, holds memory and has a process killed; one that is throttled; one that is over at once."""
    exporter = Exporter()
    pod = Pod()
    try:
        wait_until(exporter.answers, "the exporter")
        pod.start(JOB, ["sleep", "1000000"], memory=MEMORY_LIMIT_BYTES)
        pod.start(BUSY, ["sh", "-c", "while :; do :; done"], cpu=round(1000 * CPU_LIMIT_CORES))
        pod.execute(JOB, "sh", "-c", HOLD)
        pod.execute(JOB, "sh", "-c", MANY)
        use_disk(PARENT / JOB)
        killed = pod.execute(JOB, "tail", "/dev/zero")
        pod.start(SHORT, ["sh", "-c", MANY])
        wait_until(lambda: pod.state(SHORT) == "stopped", "the end of the short one")
        for one in (SHORT, BUSY):
            pod.delete(one)
        wait_until(lambda: scrape().count("jobmeter_container_end_time_seconds{") == 2, "two ends")
        time.sleep(FRESH_SECONDS)
        shown = scrape()
        account = cpu_seconds()
    except BaseException:
        print(exporter.said(), file=sys.stderr)
        raise
    code = exporter.stop()
    print(json.dumps({"killed": killed, "cpu_seconds": account, "scrape": shown, "code": code}))
    pod.delete(JOB)


class Exporter:
    """`jobmeter exporter` without an engine; `enter` is called in the process before it becomes that."""

    def __init__(self, *flags: str, enter: Callable[[], None] | None = None) -> None:
        command = ["python3", "-m", "jobmeter", "exporter", f"--listen={ADDRESS}", "--engine-socket=none"]
        with MESSAGES.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--log-format=text", *flags],
                stdin=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=enter,  # noqa: PLW1509 - there is one thread
            )

    def answers(self) -> bool:
        """Whether it answers by now."""
        assert self._process.poll() is None
        try:
            scrape()
        except OSError:
            return False
        return True

    def said(self) -> str:
        """Its messages."""
        return MESSAGES.read_text()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        return self._process.wait()


def scrape() -> str:
    """What the exporter shows."""
    with urllib.request.urlopen(f"http://{ADDRESS}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def use_disk(cgroup: Path) -> None:
    """Write to the disk and read from it as a process of a cgroup, from which it could not be opened."""
    disk = os.open(DISK, os.O_RDWR | os.O_DIRECT)
    with mmap.mmap(-1, 1 << 20) as page:
        child = os.fork()
        if not child:
            (cgroup / "cgroup.procs").write_text("0")
            written = sum(os.pwrite(disk, page, place) for place in range(0, WRITTEN_BYTES, len(page)))
            read = sum(os.preadv(disk, [page], place) for place in range(0, READ_BYTES, len(page)))
            os._exit((written, read) != (WRITTEN_BYTES, READ_BYTES))
        assert os.waitpid(child, 0)[1] == 0
    os.close(disk)


def cpu_seconds() -> float:
    """Of all containers, those that are gone too."""
    text = (PARENT / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


if __name__ == "__main__":
    main()
