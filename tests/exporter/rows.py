"""Rows as a busy host has them: a job's container and one within, a pod, one that has ended, the host itself."""

from __future__ import annotations

from msgspec.structs import replace

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.machine import Machine, MachineUse
from jobmeter.exporter.totals import Of, Sums
from jobmeter.model.account import Account, Bounds, DeviceCount, Filesystem, Interface, Spec
from jobmeter.model.job import Job

NO_SYS = "/nowhere"
"""A machine that does not name its devices."""
MACHINE = Machine(
    cpus=8, memory_bytes=33554432000, swap_bytes=0, booted=1795200000, machine_id="5d41", system_uuid="ec2e",
    boot_id="9f01",
)  # fmt: skip
USE = MachineUse(
    cpu_seconds={
        "user": 5200.5, "nice": 1.25, "system": 740.0, "idle": 93000.75, "iowait": 80.0, "irq": 0.0, "softirq": 12.5,
        "steal": 0.5,
    },
    cpus=8, memory_total_bytes=33554432000, memory_available_bytes=21474836480, swap_total_bytes=0, swap_free_bytes=0,
    pressure_seconds={
        ("cpu", "some"): 310.25, ("memory", "some"): 0.5, ("memory", "full"): 0.25, ("io", "some"): 42.125,
        ("io", "full"): 40.0,
    },
    booted=1795200000,
)  # fmt: skip
JOB = Job(
    forge="forgejo", server_url="https://forge.example", repository="acme/engine", workflow="ci.yml", job="build",
    run_id="4711", attempt=2, ref="refs/heads/main", event="push", runner="large-1",
)  # fmt: skip
WHOLE = Account(
    cpu_seconds=12.75, cpu_user_seconds=10.5, cpu_system_seconds=2.25, cpu_periods=210, cpu_throttled_periods=17,
    cpu_throttled_seconds=0.793065, memory_usage_bytes=22151168, memory_inactive_file_bytes=2061632,
    memory_anon_bytes=16777216, memory_file_bytes=4194304, memory_swap_bytes=4096,
    memory_charged_peak_bytes=67108864, memory_limit_hits=3, oom_kills=1, cpu_waiting_seconds=0.75506,
    cpu_stalled_seconds=0.754967, memory_waiting_seconds=7.9e-05, memory_stalled_seconds=0.0,
    io_waiting_seconds=0.001134, io_stalled_seconds=0.001, io_read_bytes=16384, io_written_bytes=20971520,
    io_reads=4, io_writes=41, processes=7, network_received_bytes=205, network_sent_bytes=36,
    interfaces=(
        Interface("eth0", 205, 2, 3, 4, 36, 5, 6, 7), Interface("docker0", 90, 1, 0, 0, 80, 1, 0, 0),
    ),
    io_bytes_by_device=(DeviceCount("8:0", 12288, 20971520), DeviceCount("8:16", 4096, 0)),
    io_operations_by_device=(DeviceCount("8:0", 3, 41), DeviceCount("8:16", 1, 0)),
    process_count=5,
)  # fmt: skip
LIMITED = Bounds(
    cpu_cores=2.5, memory_bytes=67108864, processes=512,
    spec=Spec(
        cpu_shares=1024, cpu_period_microseconds=100000, cpu_quota_microseconds=250000,
        memory_limit_bytes=67108864, memory_reservation_bytes="unlimited", memory_swap_limit_bytes="unlimited",
    ),
)  # fmt: skip
UNLIMITED = Bounds(
    cpu_cores="unlimited", memory_bytes="unlimited", processes="unlimited",
    spec=Spec(
        cpu_shares=1024, cpu_period_microseconds=100000, cpu_quota_microseconds="unlimited",
        memory_limit_bytes="unlimited", memory_reservation_bytes=0, memory_swap_limit_bytes="unlimited",
    ),
)  # fmt: skip
BUILD = Row(
    id="4f0c", path="/docker/4f0c", parent=None, engine="docker", pod=None,
    identity=Identity(
        name="FORGEJO-ACTIONS-TASK-12_WORKFLOW-ci_JOB-build", image="docker.io/library/node:20-bookworm",
        labels={"com.acme.pool": "large", "com-acme-pool": "small", "maintainer": "acme"}, role="job", job=JOB,
        task_id="12", attribution="own",
    ),
    account=WHOLE, bounds=LIMITED, started=1795300000.5,
)  # fmt: skip
WITHIN = replace(
    BUILD, id="7aa1", path="/docker/4f0c/docker/7aa1", parent="4f0c", bounds=UNLIMITED,
    identity=replace(BUILD.identity, name="postgres", image="postgres:16", labels={}, role="service",
                     attribution="nesting"),
    account=Account(cpu_seconds=0.25, memory_usage_bytes=1048576, memory_inactive_file_bytes=0),
)  # fmt: skip
ENDED = replace(
    BUILD, id="c0de", path="/docker/c0de", ended=1795300060.25, identity=Identity(), bounds=Bounds(),
    account=Account(cpu_seconds=0.3, memory_usage_bytes=4096, memory_inactive_file_bytes=0, oom_kills=0),
)  # fmt: skip
POD = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod2c48913c.slice"
SANDBOX = Row(
    id="5a5a", path=f"{POD}/cri-containerd-5a5a.scope", parent=None, engine="containerd", pod="2c48913c",
    identity=Identity(
        name="sandbox", image="registry.k8s.io/pause:3.10", namespace="ci", pod_name="runner-x1",
        labels={"app": "runner", "io.kubernetes.pod.name": "runner-x1"},
    ),
    account=Account(cpu_seconds=0.02, network_received_bytes=1000, network_sent_bytes=500,
                    interfaces=(Interface("eth0", 1000, 10, 0, 0, 500, 5, 0, 0),)),
    bounds=UNLIMITED, started=1795300001.0,
)  # fmt: skip
POD_BUILD = replace(
    SANDBOX, id="b11d", path=f"{POD}/cri-containerd-b11d.scope", account=replace(WHOLE, interfaces=None),
    identity=replace(
        SANDBOX.identity, name="build", image="acme/build:7", job=replace(JOB, job="test"), role="job",
        labels={**SANDBOX.identity.labels, "io.kubernetes.container.name": "build"}, attribution="own",
    ),
    bounds=LIMITED,
)  # fmt: skip
ROWS = (BUILD, WITHIN, ENDED, SANDBOX, POD_BUILD)
ELSEWHERE = replace(BUILD, path="vm-1/4f0c", machine="vm-1", runtime="linux-vm", started=None)
"""A container of another machine, with the id of one here."""


def group(path: str, account: Account, bounds: Bounds = UNLIMITED) -> Row:
    """A cgroup that is no container."""
    return Row(
        id=path, path=path, parent=None, engine=None, pod=None, identity=Identity(), account=account,
        bounds=bounds, started=1795200000.0,
    )  # fmt: skip


GROUPS = (
    group("/", replace(WHOLE, filesystems=(Filesystem("/dev/sda1", 1000000, 250000),)), LIMITED),
    group("/system.slice", Account(cpu_seconds=99.5)),
    group(POD, Account(cpu_seconds=12.77, memory_usage_bytes=23000000, memory_inactive_file_bytes=2061632)),
)
TOTALS = (
    (Of("acme/engine", "ci.yml", "build"), Sums(13.05, 205, 36, 1, 1)),
    (Of(), Sums(0.3)),
    (Of("other", "other", "other"), Sums(1.5, 7, 8, 0, 3)),
)
