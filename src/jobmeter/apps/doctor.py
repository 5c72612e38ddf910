"""`jobmeter doctor`: which sources can be read here, which cannot and why, and what that costs in truth."""

import importlib.util
import os
from collections.abc import Callable, Mapping

from jobmeter.apps.doctor_exporter import exporter_findings, exporter_verdict
from jobmeter.apps.doctor_gateway import gateway_findings, gateway_verdict
from jobmeter.apps.findings import Finding, show
from jobmeter.config.settings import DoctorSettings
from jobmeter.linux.cgroup_mounts import UNIFIED, hierarchies_below
from jobmeter.linux.taskstats import ExitRecords
from jobmeter.metering.container_groups import in_initial_pid_namespace
from jobmeter.model.errors import MissingExtra, SourceUnavailable
from jobmeter.supervise.placement import Placement


def doctor(settings: DoctorSettings, environ: Mapping[str, str]) -> int:
    """Print one paragraph per source, then those of the exporter, and of a gateway whose file is named.

    Returns 0 when CPU time can be metered, else 1.
    """
    findings = [check(settings) for check in _CHECKS]
    show(findings)
    best = next((finding.source for finding in findings[:3] if finding.available), None)
    print(f"\nCPU time of `jobmeter run` comes from: {best or 'nothing: no source can be read'}\n")
    of_exporter = exporter_findings(settings, environ)
    show(of_exporter)
    print(f"\n`jobmeter exporter` {exporter_verdict(of_exporter)}")
    if settings.gateway_config:
        of_gateway = gateway_findings(settings.gateway_config, environ, settings.proc_path)
        print()
        show(of_gateway)
        print(f"\n`jobmeter gateway` {gateway_verdict(of_gateway)}")
    return 0 if best else 1


def _own_cgroup(settings: DoctorSettings) -> Finding:
    cost = "`run` takes CPU time from its ledger over /proc (exact but for children reaped unseen), memory as RSS."
    placement = Placement.find(settings.proc_path)
    try:
        placement.make_cgroup()
    except SourceUnavailable as error:
        return Finding("cgroup of our own", False, f"{error}.", cost)
    reader = placement.reader()
    gives = reader.gives if reader else frozenset()
    if reader:
        reader.close()
    placement.remove()
    lacking = [
        name
        for name, field in (
            ("memory", "memory_current_bytes"), ("memory peak", "memory_peak_bytes"),
            ("OOM kills", "oom_kills"), ("pressure", "cpu"), ("block I/O", "io_read_bytes"), ("tasks", "pids"),
        )
        if field not in gives
    ]  # fmt: skip
    detail = "`run` can put the command into one"
    detail += f"; it has no account of {', '.join(lacking)}." if lacking else ", with every account."
    return Finding("cgroup of our own", True, detail, cost)


def _exit_records(settings: DoctorSettings) -> Finding:
    cost = "programs and top processes list only what lives at a tick; beside containers, CPU time needs their cgroups."
    try:
        ExitRecords().close()
    except SourceUnavailable as error:
        return Finding("exit records", False, f"{error}.", cost)
    return Finding("exit records", True, "the kernel reports every process that ends, however short.", cost)


def _proc(settings: DoctorSettings) -> Finding:
    root, cost = settings.proc_path, "nothing can be said of single processes."
    try:
        pids = [name for name in os.listdir(root) if name.isdecimal()]
        with open(f"{root}/self/stat", "rb") as file:
            file.read()
    except OSError as error:
        return Finding("/proc", False, f"{root} cannot be read: {error.strerror}.", cost)
    hidden = "" if "1" in pids else " Others' processes are hidden (hidepid)."
    return Finding("/proc", True, f"{len(pids)} processes are visible.{hidden}", cost)


def _peers(settings: DoctorSettings) -> Finding:
    cost = "`collector` reads containers from /proc, a lower bound that says so."
    if settings.cgroup_path:
        try:
            found = hierarchies_below(settings.cgroup_path)
        except SourceUnavailable as error:
            return Finding("cgroups of containers", False, f"{error}.", cost)
        kinds = "v2" if any(one.controllers == (UNIFIED,) for one in found) and len(found) == 1 else "v1"
        return Finding("cgroups of containers", True, f"{settings.cgroup_path} holds a {kinds} tree.", cost)
    if in_initial_pid_namespace(settings.proc_path):
        return Finding("cgroups of containers", True, "this is a host: its cgroups are visible.", cost)
    readable = _readable_roots(settings.proc_path)
    detail = "the roots of other containers' processes can be read." if readable else (
        "no other process's root can be read: same uid and no fewer capabilities, or CAP_SYS_PTRACE, or "
        "--cgroup-path with the host's /sys/fs/cgroup."
    )  # fmt: skip
    return Finding("cgroups of containers", readable, detail, cost)


def _readable_roots(root: str) -> bool:
    try:
        own, names = os.stat(f"{root}/self/root/."), os.listdir(root)
    except OSError:
        return False
    for name in names:
        if name.isdecimal():
            try:
                other = os.stat(f"{root}/{name}/root/.")
            except OSError:
                continue
            if (other.st_dev, other.st_ino) != (own.st_dev, own.st_ino):
                return True
    return False


def _pressure(settings: DoctorSettings) -> Finding:
    available = os.path.exists(f"{settings.proc_path}/pressure/cpu")
    detail = "the kernel keeps it." if available else "the kernel was built or booted without it (psi=1)."
    return Finding("pressure (PSI)", available, detail, "waiting for CPU, memory and I/O is not shown.")


def _html(settings: DoctorSettings) -> Finding:
    available = importlib.util.find_spec("vl_convert") is not None
    detail = "vl-convert is installed." if available else f"{MissingExtra('vl-convert', 'html')}."
    return Finding(
        "HTML page", available, detail, "`run --html` makes no page, `report --format html` is refused."
    )


_CHECKS: tuple[Callable[[DoctorSettings], Finding], ...] = (
    _own_cgroup, _proc, _exit_records, _peers, _pressure, _html,
)  # fmt: skip
