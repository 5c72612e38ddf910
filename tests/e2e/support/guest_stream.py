"""In the guest: containers by runc and `jobmeter exporter --serve-stats`, until the machine is lost.

That of a job has a link, holds memory, and rests until it is told to work; another one is always at work. Reads lines;
answers each with a line of JSON, which is what the kernel has counted by then:

    serve    start the exporter, at the address that the program was given
    work     let the job use CPU time and its link
    figures  do nothing
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

from tests.e2e.support.guest_attribution import JOB, variables
from tests.e2e.support.guest_exporter import Exporter
from tests.e2e.support.guest_pod import Pod, wait_until

SINK_PORT = 7433
CERTIFICATE, KEY, TOKEN = "/serving.pem", "/serving.key", "/token"
HELD_BYTES = 24 << 20
MEMORY_LIMIT_BYTES = 48 << 20
SENT_BYTES = 1_000_000
CPU_LIMIT_CORES = 0.1
NEAR, FAR = "10.99.0.1", "10.99.0.2"
"""The guest's end of the job's link, and the job's own."""
TREE = Path("/sys/fs/cgroup/docker")
NEAR_END = Path("/sys/class/net/near/statistics")
HOLD = f"dd if=/dev/zero of=/dev/held bs=1M count={HELD_BYTES >> 20} 2>/dev/null"
WORK = (
    f"dd if=/dev/zero bs=1000 count={SENT_BYTES // 1000} 2>/dev/null | nc {NEAR} {SINK_PORT}; "
    "i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done"
)


def main() -> None:
    """Start the containers; then do what is said."""
    pod, other = Pod(share_pids=False), uuid4().hex * 2
    pod.start(
        JOB, ["sleep", "1000000"], env=variables(JOB), cgroup=f"/docker/{JOB}", memory=MEMORY_LIMIT_BYTES
    )
    link(pod.pid(JOB))
    pod.execute(JOB, "sh", "-c", HOLD)
    busy = ["sh", "-c", "while :; do :; done"]
    pod.start(other, busy, cgroup=f"/docker/{other}", cpu=round(1000 * CPU_LIMIT_CORES))
    threading.Thread(target=swallow, args=(socket.create_server((NEAR, SINK_PORT)),), daemon=True).start()
    tell(other)
    for line in sys.stdin:
        match line.strip():
            case "serve":
                serve(sys.argv[1])
            case "work":
                pod.execute(JOB, "sh", "-c", WORK)
        tell(other)


def link(pid: int) -> None:
    """Give the network namespace of a process an interface that leads out of it."""
    inside = f"nsenter -t {pid} -n ip"
    for command in (
        "ip link add near type veth",
        f"ip link set veth0 netns {pid}",
        f"ip address add {NEAR}/24 dev near",
        "ip link set near up",
        f"{inside} link set veth0 name eth0",
        f"{inside} address add {FAR}/24 dev eth0",
        f"{inside} link set eth0 up",
    ):
        subprocess.run(command.split(), stdin=subprocess.DEVNULL, check=True)


def swallow(server: socket.socket) -> None:
    """Take what comes, to its end."""
    while True:
        with server.accept()[0] as client:
            while client.recv(1 << 20):
                pass


def serve(address: str) -> None:
    """Start the exporter; it ends with the machine."""
    keys = (f"--stats-token-file={TOKEN}", f"--tls-cert={CERTIFICATE}", f"--tls-key={KEY}")
    exporter = Exporter(f"--serve-stats={address}", *keys, "--interval=1s")
    try:
        wait_until(lambda: "statistics are served" in exporter.said(), "the exporter")
    except TimeoutError:
        print(exporter.said(), file=sys.stderr)
        raise


def tell(other: str) -> None:
    """What the kernel has counted; bytes of the link as its other end sees them."""
    told = {
        "other": other,
        "cpu_seconds": {one: cpu_seconds(one) for one in (JOB, other)},
        "memory_bytes": int((TREE / JOB / "memory.current").read_text()),
        "received_bytes": int((NEAR_END / "tx_bytes").read_text()),
        "sent_bytes": int((NEAR_END / "rx_bytes").read_text()),
    }
    print(json.dumps(told), flush=True)


def cpu_seconds(container_id: str) -> float:
    """Those of one container."""
    text = (TREE / container_id / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


if __name__ == "__main__":
    main()
