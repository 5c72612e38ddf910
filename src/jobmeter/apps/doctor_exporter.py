"""What `jobmeter doctor` says of the exporter: whether it could run here, and what it would not see."""

import importlib.util
import os
import resource
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jobmeter.apps.doctor_machines import NO_START, machine_findings
from jobmeter.apps.exporter import engine_sockets
from jobmeter.apps.findings import Finding
from jobmeter.config.exporter import exporter_settings
from jobmeter.config.settings import DoctorSettings
from jobmeter.linux.cgroup_mounts import UNIFIED, hierarchies_below
from jobmeter.metering.container_groups import in_initial_pid_namespace
from jobmeter.model.errors import MissingExtra, SourceUnavailable, UsageError

if TYPE_CHECKING:
    from jobmeter.containers.catalog.sockets import EngineSocket
    from jobmeter.containers.catalog.watcher import SocketState

ANSWER_SECONDS = 3.0
"""So long an engine may take to tell of its containers."""
FEW_DESCRIPTORS = 4096
NEEDED = (
    "httptools",
    "inotify_simple",
    "isal",
    "prometheus_client",
    "google.protobuf",
    "starlette",
    "uvicorn",
    "uvloop",
)
_DAC_OVERRIDE, _DAC_READ_SEARCH, _SYS_PTRACE = 1 << 1, 1 << 2, 1 << 19
_NO_NAMES = "containers have no names, labels and images, only ids; their jobs are known from their environment alone."


def exporter_findings(settings: DoctorSettings, environ: Mapping[str, str]) -> list[Finding]:
    """With the settings that the exporter takes from the environment and the file that this names."""
    try:
        wanted = exporter_settings((), environ)
        sockets = engine_sockets(wanted, environ)
    except UsageError as error:
        return [Finding("settings", False, f"{error}.", NO_START)]
    root = settings.proc_path
    return [
        _packages(), _cgroups(settings.cgroup_path or wanted.cgroup_path), _rights(root), _processes(root),
        _networks(root), _descriptors(), *_engines(sockets), *machine_findings(wanted),
    ]  # fmt: skip


def exporter_verdict(findings: Sequence[Finding]) -> str:
    """Whether it can run, as the end of a sentence."""
    if any(not one.available and one.cost == NO_START for one in findings):
        return "cannot run here."
    return (
        "can run here."
        if all(one.available for one in findings)
        else "can run here; it will show less than it could."
    )


def _packages() -> Finding:
    missing = next((name for name in NEEDED if not _installed(name)), None)
    detail = (
        "all that the exporter needs is installed."
        if missing is None
        else f"{MissingExtra(missing, 'exporter')}."
    )
    return Finding("packages", missing is None, detail, NO_START)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _cgroups(path: str) -> Finding:
    try:
        found = hierarchies_below(path)
    except SourceUnavailable as error:
        return Finding("cgroup hierarchies", False, f"{error}.", NO_START)
    controllers = sorted(name for one in found for name in one.controllers if name != UNIFIED)
    unified = any(UNIFIED in one.controllers for one in found)
    kinds = ["v2"] if unified else []
    kinds += [f"v1 with {', '.join(controllers)}"] if controllers else []
    return Finding("cgroup hierarchies", True, f"{path} has {' and '.join(kinds)}.", NO_START)


def _rights(root: str) -> Finding:
    lacking = _lacking(root)
    detail = (
        "it may look into the processes of all users."
        if not lacking
        else f"{' and '.join(lacking)} would be needed."
    )
    cost = "no network series, and no job from the environment within a container."
    return Finding("rights", not lacking, detail, cost)


def _lacking(root: str) -> list[str]:
    """Capabilities that this process has not in effect (proc_pid_status(5), CapEff)."""
    try:
        with open(f"{root}/self/status", "rb") as file:
            fields = dict(line.split(b":\t", 1) for line in file.read().splitlines() if b":\t" in line)
        effective = int(fields[b"CapEff"], 16)
    except (OSError, KeyError, ValueError):
        effective = 0
    wanted = (("CAP_SYS_PTRACE", _SYS_PTRACE), ("CAP_DAC_READ_SEARCH", _DAC_READ_SEARCH | _DAC_OVERRIDE))
    return [name for name, bits in wanted if not effective & bits]


def _processes(root: str) -> Finding:
    host = in_initial_pid_namespace(root)
    detail = "those of the whole host are visible." if host else (
        "this is a pid namespace of its own: a container needs --pid=host, a pod hostPID: true."
    )  # fmt: skip
    cost = (
        "no network series, no job from an environment, and the last moments of short containers are missed."
    )
    return Finding("processes of the host", host, detail, cost)


def _networks(root: str) -> Finding:
    cost = "a container whose namespace cannot be seen has no network series."
    try:
        pids = [name for name in os.listdir(root) if name.isdecimal()]
    except OSError as error:
        return Finding("network namespaces", False, f"{root} cannot be read: {error.strerror}.", cost)
    hidden = sum(_is_hidden(f"{root}/{pid}/ns/net") for pid in pids)
    detail = f"those of {len(pids) - hidden} of {len(pids)} processes can be seen."
    return Finding("network namespaces", 2 * hidden <= len(pids), detail, cost)


def _is_hidden(path: str) -> bool:
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        return False  # It has ended.
    return False


def _descriptors() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = (
        "any number of files may be open."
        if hard == resource.RLIM_INFINITY
        else f"{hard} files may be open at once."
    )
    cost = f"with fewer than {FEW_DESCRIPTORS}, what many containers need is opened for each reading, which takes CPU."
    return Finding("descriptors", hard == resource.RLIM_INFINITY or hard >= FEW_DESCRIPTORS, detail, cost)


# --- engines


class _NoLog:
    """What is said of engines is said by their findings."""

    def info(self, message: str, **fields: object) -> None:
        """Nobody reads it."""

    def warn(self, message: str, **fields: object) -> None:
        """Nobody reads it."""


def _engines(sockets: "Sequence[EngineSocket]") -> list[Finding]:
    """One for each socket that was named or is there; one that says where was looked when there is none."""
    if not sockets:
        return [
            Finding("engines", False, "none is to be asked: the setting engine-socket is none.", _NO_NAMES)
        ]
    named = {socket.path for socket in sockets if socket.named}
    found = [state for state in _ask(sockets) if state.status != "absent" or state.path in named]
    if not found:
        places = ", ".join(socket.path for socket in sockets)
        return [Finding("engines", False, f"none listens at {places}.", _NO_NAMES)]
    return [_engine(state) for state in found]


def _ask(sockets: "Sequence[EngineSocket]") -> "list[SocketState]":
    """What each answers, once all have or the time is over."""
    from jobmeter.containers.catalog.catalog import Catalog

    deadline = time.monotonic() + ANSWER_SECONDS
    with Catalog(sockets, _NoLog()) as catalog:
        while any(state.status == "starting" for state in catalog.states()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return catalog.states()


def _engine(state: "SocketState") -> Finding:
    if state.status == "connected":
        detail = f"the one at {state.path} tells names and labels, now of containers: {state.containers}."
        return Finding(state.engine, True, detail, _NO_NAMES)
    reason = state.reason or f"it has not told its containers within {ANSWER_SECONDS:g} s"
    return Finding(state.engine, False, f"the one at {state.path} tells nothing: {reason}.", _NO_NAMES)
