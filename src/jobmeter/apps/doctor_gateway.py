"""What `jobmeter doctor` says of a gateway that is to launch runners: whether it could, started as we are."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jobmeter.apps.findings import Finding
from jobmeter.config.gateway import gateway_settings
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.templates import PATH
from jobmeter.model.errors import LaunchError, UsageError
from jobmeter.supervise.keeper.account import look_up, pwd_name
from jobmeter.supervise.keeper.grounds import LIMITED_BY, Grounds, find_grounds, refuse_missing
from jobmeter.supervise.keeper.spec import Limits

NO_START = "the gateway does not start."
_NO_ROOT = "no runner can be started as another account, and none can be given a cgroup."
_NO_LIMIT = "a gateway that is started from here does not start; a service has a cgroup of its own, with Delegate=yes."


def gateway_findings(config: str, environ: Mapping[str, str], root: str = "/proc") -> list[Finding]:
    """Of the gateway with this file, as it would be here; ``root`` is /proc. Nothing if it launches no runners."""
    try:
        settings = gateway_settings([f"--config={config}"], environ)
    except UsageError as error:
        return [Finding("settings", False, f"{error}.", NO_START)]
    wrong = [Finding("settings", False, f"{sentence}.", NO_START) for sentence in settings.mistakes]
    runners = [runner for forge in settings.forges for runner in forge.runners]
    if not any(forge.mode == "launch" for forge in settings.forges):
        return wrong
    return [
        *wrong, _root(), *_cgroups([one.limits for one in runners], root),
        *(finding for runner in runners for finding in _runner(runner)),
    ]  # fmt: skip


def gateway_verdict(findings: Sequence[Finding]) -> str:
    """Whether it could launch runners, as the end of a sentence."""
    if not findings:
        return "launches no runners: no forge has mode = 'launch'."
    able = all(one.available for one in findings)
    return f"{'can' if able else 'cannot'} launch runners from here."


def _root() -> Finding:
    uid = os.geteuid()
    detail = "this account is root." if uid == 0 else f"this account, {pwd_name(uid)!r}, is not root."
    return Finding("root", uid == 0, detail, _NO_ROOT)


def _cgroups(limits: Sequence[Limits], root: str) -> Iterator[Finding]:
    """Where tasks would have theirs, and one for each limit that a runner sets."""
    try:
        grounds = find_grounds(root)
    except LaunchError as error:
        yield Finding("cgroups of tasks", False, f"{error}.", NO_START)
        return
    yield _writable(grounds)
    for controller, field in LIMITED_BY.items():
        values = [value for one in limits if (value := getattr(one, field)) is not None]
        if values:
            yield _limit(controller, Limits(**{field: values[0]}), grounds)


def _writable(grounds: Grounds) -> Finding:
    places = sorted(set(grounds.parents.values()))
    closed = next((one for one in places if not os.access(one, os.W_OK)), None)
    detail = f"nothing can be made in {closed}." if closed else f"they can be made in {', '.join(places)}."
    return Finding("cgroups of tasks", closed is None, detail, NO_START)


def _limit(controller: str, limit: Limits, grounds: Grounds) -> Finding:
    try:
        refuse_missing(limit, grounds)
    except LaunchError as error:
        return Finding(f"limit {controller}", False, f"{error}.", _NO_LIMIT)
    found = grounds.of(controller)
    detail = "version 2 has its controller." if not found else f"version 1 has its controller, {found}."
    return Finding(f"limit {controller}", True, detail, _NO_LIMIT)


def _runner(runner: RunnerOptions) -> Iterator[Finding]:
    """The settings are refused where one of these is not so, with the reason."""
    name = runner.name
    if runner.user is None:
        detail = "its jobs have the gateway's own account: isolated = true."
    else:
        detail = f"its jobs are {runner.user!r}, uid {look_up(runner.user).uid}."
    yield Finding(f"{name}: user", True, detail, NO_START)
    program = shutil.which(runner.command[0], path=runner.environment.get("PATH", PATH))
    detail = f"it starts {program}." if program else f"{runner.command[0]!r} is known with a task."
    yield Finding(f"{name}: command", True, detail, NO_START)
    folder = runner.work_dir
    there = "is there" if Path(folder).is_dir() else "will be made"
    yield Finding(
        f"{name}: work_dir", True, f"{folder} {there}, and only root can change what is above.", NO_START
    )
