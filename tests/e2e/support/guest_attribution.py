"""In the guest: containers of two jobs and of nobody, and what an exporter in a container of its own says of them.

That one is in a cgroup namespace of its own, as containers are where there is cgroup v2 alone. Prints one line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.e2e.support.guest_exporter import FRESH_SECONDS, MANY, Exporter, scrape
from tests.e2e.support.guest_pod import Pod, wait_until

JOB, NESTED, BESIDE, PODMANS, NOBODYS = (letter * 64 for letter in "abcde")
PLACES = {
    JOB: f"/docker/{JOB}",
    NESTED: f"/docker/{JOB}/docker/{NESTED}",
    BESIDE: f"/docker/{BESIDE}",
    # As crun makes it by systemd: limits are the scope's, processes in a directory below.
    PODMANS: f"/machine.slice/libpod-{PODMANS}.scope/container",
    NOBODYS: f"/docker/{NOBODYS}",
}
OWN_PLACE = "/kubepods/burstable/pod2c48913c-b29f-11e7-9350-020968147796/" + "f" * 64
REPOSITORIES = {JOB: "acme/engine", PODMANS: "acme/tools"}
MEMORY_LIMIT_BYTES = 48 << 20
TREE = Path("/sys/fs/cgroup")
WORK = ["sh", "-c", f"{MANY}; exec sleep 1000000"]
_CLONE_NEWCGROUP = 0x02000000


def main() -> None:
    """Each works a while; an engine within a job is runc in the pid namespace of the job."""
    exporter = Exporter(enter=enter_own_namespace)
    pod = Pod(share_pids=False)
    try:
        wait_until(exporter.answers, "the exporter")
        pod.start(JOB, WORK, env=variables(JOB), cgroup=PLACES[JOB])
        make_room(PLACES[JOB], pod.pid(JOB))
        pod.start(NESTED, WORK, cgroup=PLACES[NESTED], within=JOB)
        pod.start(BESIDE, WORK, cgroup=PLACES[BESIDE], within=JOB)
        pod.start(PODMANS, WORK, env=variables(PODMANS), cgroup=PLACES[PODMANS])
        scope = (TREE / PLACES[PODMANS].lstrip("/")).parent
        (scope / "memory.max").write_text(str(MEMORY_LIMIT_BYTES))
        pod.start(NOBODYS, WORK, cgroup=PLACES[NOBODYS])
        wait_until(lambda: all(names_in(one) == ["sleep"] for one in PLACES.values()), "the end of the work")
        wait_until(all_attributed, "whose they are")
        time.sleep(FRESH_SECONDS)
        shown, seconds = scrape(), {one: cpu_seconds(one) for one in PLACES}
    except BaseException:
        print(exporter.said(), scrape(), file=sys.stderr)
        raise
    print(json.dumps({"scrape": shown, "cpu_seconds": seconds, "code": exporter.stop()}))


def all_attributed() -> bool:
    """Whether each but nobody's is shown as somebody's, and counted; it is asked seldom, for it costs much here."""
    time.sleep(1)
    lines = [line for line in scrape().splitlines() if line.startswith("jobmeter_container_info{")]
    known = {
        one for one in PLACES for line in lines if f'id="{one}"' in line and 'attribution=""' not in line
    }
    return known == PLACES.keys() - {NOBODYS} and all(in_totals(one) for one in REPOSITORIES.values())


def in_totals(repository: str) -> bool:
    """Whether the CPU time of its jobs is shown; at first it is 0."""
    row = f'jobmeter_repository_cpu_seconds_total{{repo="{repository}"'
    return any(line.startswith(row) and float(line.split()[-1]) > 0 for line in scrape().splitlines())


def variables(job: str) -> dict[str, str]:
    """What a runner gives to a job's container."""
    return {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": REPOSITORIES[job], "GITHUB_JOB": "build"}


def enter_own_namespace() -> None:
    """Bring this process into a cgroup, and make this the root of its namespace (cgroup_namespaces(7))."""
    place = TREE / OWN_PLACE.lstrip("/")
    place.mkdir(parents=True)
    (place / "cgroup.procs").write_text(str(os.getpid()))
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWCGROUP):
        raise OSError(ctypes.get_errno(), "unshare")


def make_room(place: str, pid: int) -> None:
    """Move the process of a container into a cgroup below, as an engine within does: only leaves have processes."""
    leaf = TREE / place.lstrip("/") / "init"
    leaf.mkdir()
    (leaf / "cgroup.procs").write_text(str(pid))


def names_in(place: str) -> list[str]:
    """Those of the processes in a cgroup and its `init`."""
    directory = TREE / place.lstrip("/")
    files = [one / "cgroup.procs" for one in (directory, directory / "init") if one.exists()]
    pids = [pid for file in files for pid in file.read_text().split()]
    with suppress(FileNotFoundError, ProcessLookupError):  # One has just ended.
        return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
    return []


def cpu_seconds(container_id: str) -> float:
    """By the kernel's account, what is within included."""
    text = (TREE / PLACES[container_id].lstrip("/") / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


if __name__ == "__main__":
    main()
