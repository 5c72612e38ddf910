"""A pod in the guest: OCI containers with a shared pid namespace and cgroup namespaces of their own, by runc.

The peers of a container then are `/../ID` in /proc/PID/cgroup, and its own cgroup is `/`. The root of each
container is made of the guest's own directories. Needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

BUNDLES = Path("/run/bundles")
POD = "/pod1"
NOT_SHARED = {"proc", "sys", "dev", "run", "init", "script", "run-once"}
DEFAULT_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"]
PATIENCE_SECONDS = 60.0


def wait_until(look: Callable[[], object], what: str) -> None:
    """Wait until `look` returns something true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what}")
        time.sleep(0.02)


class Pod:
    """Containers below one cgroup, unless one is named; the first one's pid namespace is shared by all."""

    def __init__(self, *, share_pids: bool = True) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        self._share_pids = share_pids
        self._first: str | None = None

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cgroup: str = "",
        within: str = "",
        **limits: int,
    ) -> None:
        """Start a container in the background: `memory` in bytes, `cpu` in thousandths of a core.

        `within` is a container whose process the runtime is, as that of an engine in there.
        """
        bundle = BUNDLES / name
        (bundle / "rootfs").mkdir(parents=True)
        for directory in ("proc", "sys", "dev", "out"):
            (bundle / "rootfs" / directory).mkdir()
        (bundle / "config.json").write_text(
            json.dumps(self._spec(cgroup or f"{POD}/{name}", argv, env or {}, limits))
        )
        with (bundle / "log").open("wb") as log:
            subprocess.run(
                [
                    *(*self._enter(within), "runc", f"--root=/run/runc{within}", "run"),
                    *("--no-pivot", "--detach", "--bundle", str(bundle), name),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True,
            )  # fmt: skip
        if self._share_pids:
            self._first = self._first or name

    def execute(self, name: str, *argv: str) -> int:
        """Run one more command in a container, as a runner starts a step; its exit code."""
        command = ["runc", "exec", name, *argv]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, check=False, timeout=PATIENCE_SECONDS
        ).returncode

    def stop(self, name: str) -> None:
        """SIGTERM, and wait for the end."""
        subprocess.run(["runc", "kill", name, "TERM"], check=True)
        wait_until(lambda: self.state(name) == "stopped", f"the end of {name}")

    def state(self, name: str) -> str:
        """Whether it is running or stopped."""
        return str(self._status(name)["status"])

    def pid(self, name: str) -> int:
        """Its first process, as the guest's root sees it."""
        return int(self._status(name)["pid"])

    def delete(self, name: str) -> None:
        """Kill and remove it with its cgroup, as an engine does when a container has ended."""
        subprocess.run(["runc", "delete", "--force", name], check=True)

    def said(self, name: str) -> str:
        """What its processes said."""
        return (BUNDLES / name / "log").read_text()

    def cpu_seconds(self, name: str) -> float:
        """The kernel's account, as the guest's root sees it."""
        text = (Path("/sys/fs/cgroup") / POD.strip("/") / name / "cpu.stat").read_text()
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6

    def _enter(self, name: str) -> list[str]:
        """What runs a command as a process of a container that sees the guest's files."""
        if not name:
            return []
        pid = self.pid(name)
        cgroup = Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")
        join = f'echo 0 > /sys/fs/cgroup{cgroup}/cgroup.procs && mount -t proc proc /proc && exec "$@"'
        return ["nsenter", "-t", str(pid), "-p", "unshare", "-m", "sh", "-c", join, "sh"]

    def _status(self, name: str) -> dict[str, Any]:
        answer = subprocess.run(["runc", "state", name], capture_output=True, text=True, check=True)
        return dict(json.loads(answer.stdout))

    def _spec(
        self, cgroup: str, argv: Sequence[str], env: Mapping[str, str], limits: Mapping[str, int]
    ) -> dict[str, Any]:
        pid_namespace = {"type": "pid"}
        if self._first:
            pid_namespace["path"] = f"/proc/{self.pid(self._first)}/ns/pid"
        shared = sorted(
            path.name for path in Path("/").iterdir() if path.name not in NOT_SHARED and path.is_dir()
        )
        resources: dict[str, Any] = {}
        if "memory" in limits:
            resources["memory"] = {"limit": limits["memory"], "swap": limits["memory"]}
        if "cpu" in limits:
            resources["cpu"] = {"quota": limits["cpu"] * 100, "period": 100_000}
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": list(argv),
                "env": [f"{key}={value}" for key, value in (os.environ | dict(env)).items()],
                "cwd": "/",
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), DEFAULT_CAPABILITIES),
            },
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
                *(
                    {"destination": f"/{one}", "type": "none", "source": f"/{one}", "options": ["rbind"]}
                    for one in shared
                ),
            ],
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [
                    pid_namespace,
                    *({"type": one} for one in ("mount", "ipc", "uts", "network", "cgroup")),
                ],
                "resources": resources,
            },
        }


def records(journal: Path) -> list[dict[str, Any]]:
    """Every whole record of a journal."""
    text = journal.read_bytes() if journal.exists() else b""
    return [json.loads(line) for line in text.rpartition(b"\n")[0].splitlines()]


def wait_for_samples(journal: Path, count: int = 2) -> None:
    """Wait for so many more samples."""
    before = sum(one["kind"] == "sample" for one in records(journal))
    wait_until(
        lambda: sum(one["kind"] == "sample" for one in records(journal)) >= before + count, f"{count} samples"
    )


def main() -> None:
    """Meter a pod from one of its containers; print what it says and what the kernel's account is."""
    job, busy, eater, collector = (letter * 64 for letter in "abcd")
    journal, summary = Path("/tmp/journal.jsonl"), Path("/tmp/summary.json")
    pod = Pod()
    pod.start(job, ["sleep", "1000000"], memory=32 << 20)
    pod.start(busy, ["sh", "-c", "while ! [ -e /tmp/go ]; do sleep 0.1; done; while :; do :; done"], cpu=200)
    pod.start(
        collector,
        [
            "python3",
            "-m",
            "jobmeter",
            "collector",
            "--interval=1s",
            f"--journal={journal}",
            f"--json={summary}",
        ],
        env={"CGROUP_PROCESS_MAP": '{"sleep": "job"}'},
    )
    try:
        wait_for_samples(journal)
        before = pod.cpu_seconds(job)
        pod.execute(job, "sh", "-c", "i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); done")
        pod.execute(job, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done")
        account = pod.cpu_seconds(job) - before
        Path("/tmp/go").touch()
        child = pod.execute(job, "tail", "/dev/zero")
        account_with_tail = pod.cpu_seconds(job) - before
        pod.start(
            eater,
            ["sh", "-c", "while ! [ -e /tmp/eat ]; do sleep 0.1; done; exec tail /dev/zero"],
            memory=24 << 20,
        )
        wait_until(lambda: eater[:12] in journal.read_text(), "the container of the eater")
        wait_for_samples(journal)
        Path("/tmp/eat").touch()
        wait_until(lambda: pod.state(eater) == "stopped", "the end of the eater")
        pod.delete(eater)
        wait_for_samples(journal)
        pod.stop(collector)
    except BaseException:
        print(pod.said(collector), file=sys.stderr)
        raise
    print(
        json.dumps(
            {
                "account": account,
                "account_with_tail": account_with_tail,
                "child": child,
                "ids": {"job": job, "busy": busy, "eater": eater, "collector": collector},
                "summary": json.loads(summary.read_text()),
                "records": len(records(journal)),
            }
        )
    )
    for name in (busy, job):
        pod.delete(name)


if __name__ == "__main__":
    main()
