"""Keepers on a machine with cgroup v2 alone: limits below the gateway's own cgroup, accounts, ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support.components import ROOT
from tests.e2e.support.vm import VirtualMachine

MIB = 1024 * 1024
ACCOUNTS = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
GROUPS = b"root:x:0:\nnogroup:x:65534:\n"


@pytest.fixture(scope="module")
def told(vm: VirtualMachine) -> dict[str, Any]:
    """What each case of the guest said."""
    support = ROOT / "tests/support"
    files = {str(support / name): (support / name).read_bytes() for name in ("__init__.py", "launches.py")}
    files |= {"/etc/passwd": ACCOUNTS, "/etc/group": GROUPS}
    done = vm.run("python3 -m tests.e2e.support.guest_keeper", files=files, timeout=240)
    assert done.exit_code == 0, done.stdout
    return {line["case"]: line for line in done.json_lines()}


def test_the_gateway_makes_room(told: dict[str, Any]) -> None:
    """It moves below its own cgroup, beside which tasks get theirs; a second start finds it done."""
    assert told["alone"]["own"] == "0::/service/gateway\n"
    assert {"cpu", "memory", "pids"} <= set(told["alone"]["controllers"])
    assert told["alone"]["left"] == []


def test_the_gateway_is_started_in_its_subgroup(told: dict[str, Any]) -> None:
    """As with `DelegateSubgroup`: it stays there, what a former one has started beside it is found."""
    assert told["in its subgroup"]["own"] == "0::/delegated/gateway\n"
    assert {"cpu", "memory", "pids"} <= set(told["in its subgroup"]["controllers"])
    assert told["in its subgroup"]["tasks"] == ["jobmeter-task-former"]


def test_where_there_is_no_room(told: dict[str, Any]) -> None:
    """Another process in its cgroup keeps a limit from being set: that is said, and the gateway stays where it was."""
    assert told["in company"]["said"] == (
        "the limit cpu of launched runners cannot be set: other processes are in /sys/fs/cgroup/service beside the "
        "gateway, which must have it to itself"
    )
    assert told["in company"]["own"] == "0::/service\n"


@pytest.mark.parametrize(
    "case, reason, signal",
    [
        ("oom", "oom", "SIGKILL"),
        ("timeout", "timeout", "SIGKILL"),
        ("survivors", "exit", None),
        ("crowd", "exit", None),
    ],
)
def test_ends(told: dict[str, Any], case: str, reason: str, signal: str | None) -> None:
    """The same reasons as with version 1, by the kernel's account."""
    ended = told[case]["ended"]
    assert (ended["reason"], ended["signal"]) == (reason, signal), told[case]
    assert ended["cpu_seconds"] > 0
    assert ended["memory_peak_bytes"] > 0
    assert ended["oom_kills"] == (1 if case == "oom" else 0)


def test_limits_hold(told: dict[str, Any]) -> None:
    """Memory is at its limit at most, and a fork too many fails."""
    assert told["oom"]["ended"]["memory_peak_bytes"] <= 48 * MIB == told["oom"]["ended"]["memory_limit_bytes"]
    assert len(told["crowd"]["ended"]["survivors"]) <= 4
    assert [one["name"] for one in told["survivors"]["ended"]["survivors"]] == ["sleep"]


def test_the_account(told: dict[str, Any]) -> None:
    """The runner is the account, in the task's cgroup below the service's own, and cannot reach its keeper."""
    uid, place = told["account"]["output"].split()
    assert (uid, place) == ("65534", f"0::/service/{told['account']['name']}")


def test_nothing_is_left(told: dict[str, Any]) -> None:
    """Neither of those that ended nor of one whose keeper was killed."""
    assert (told["killed"]["ended"], told["killed"]["cleared"]) == (None, ["sleep"])
    assert told["left"]["directories"] == ["gateway"]
