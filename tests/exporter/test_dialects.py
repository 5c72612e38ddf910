"""What each dialect shows of a container."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.dialects import cadvisor
from jobmeter.exporter.dialects.cadvisor import MAX_CONTAINER_LABELS, container_labels
from jobmeter.exporter.dialects.jobmeter import CONTAINER_INFO_LABELS, JOB_INFO_LABELS
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.families import Labels
from jobmeter.model.account import Account, Bounds, Interface
from jobmeter.model.job import Job
from tests.exporter.reading import read
from tests.exporter.rows import (
    BUILD,
    ELSEWHERE,
    ENDED,
    GROUPS,
    JOB,
    LIMITED,
    MACHINE,
    NO_SYS,
    POD,
    POD_BUILD,
    ROWS,
    SANDBOX,
    TOTALS,
    USE,
    WITHIN,
)


def found(dialect: str, name: str, *rows: Row, groups=(), totals=()) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each series of a name."""
    made = Exposition((dialect,), machine=MACHINE, sys_path=NO_SYS, clock=lambda: 1795300100.0)
    text = "".join(made.render(rows, groups, totals, machine=USE, openmetrics=False))
    return [(one.labels, one.value) for one in read(text) if one.name == name]


def only(dialect: str, name: str, *rows: Row, **more) -> tuple[dict[str, str], float]:
    (one,) = found(dialect, name, *rows, **more)
    return one


# --- jobmeter


def test_what_is_known_of_a_container() -> None:
    """Its job, its engine's names, how it is known whose it is; always the same labels."""
    labels, value = only("jobmeter", "jobmeter_container_info", WITHIN)
    assert value == 1
    assert tuple(labels) == CONTAINER_INFO_LABELS
    assert labels == {
        "id": "7aa1", "name": "postgres", "image": "postgres:16", "engine": "docker", "runtime": "linux-native",
        "machine": "", "role": "service", "parent": "4f0c", "namespace": "", "pod": "", "repo": "acme/engine",
        "workflow": "ci.yml", "job": "build", "run_id": "4711", "attempt": "2", "task_id": "12",
        "attribution": "nesting",
    }  # fmt: skip


def test_a_container_of_which_nothing_is_known() -> None:
    """It has the name that its path gives, and nothing else."""
    labels, _ = only("jobmeter", "jobmeter_container_info", ENDED)
    assert {name for name, value in labels.items() if value} == {"id", "name", "engine", "runtime"}


def test_a_container_of_another_machine() -> None:
    """No label of it is that of one here, and what it lies in is of its machine."""
    within = replace(ELSEWHERE, id="7aa1", path="vm-1/7aa1", parent="4f0c")
    labels = [one for one, _ in found("jobmeter", "jobmeter_container_info", BUILD, ELSEWHERE, within)]
    names = ("id", "machine", "runtime", "parent")
    assert [tuple(one[name] for name in names) for one in labels] == [
        ("4f0c", "", "linux-native", ""),
        ("vm-1/4f0c", "vm-1", "linux-vm", ""),
        ("vm-1/7aa1", "vm-1", "linux-vm", "vm-1/4f0c"),
    ]
    cpu = found("jobmeter", "jobmeter_container_cpu_usage_seconds_total", BUILD, ELSEWHERE)
    assert [(one["id"], one["runtime"]) for one, _ in cpu] == [
        ("4f0c", "linux-native"),
        ("vm-1/4f0c", "linux-vm"),
    ]


def test_a_start_that_nobody_told() -> None:
    """There is no series of it."""
    assert found("jobmeter", "jobmeter_container_start_time_seconds", ELSEWHERE) == []
    assert found("cadvisor", "container_start_time_seconds", ELSEWHERE) == []


def test_a_pod_is_named_as_it_is_known() -> None:
    """By its name, else by its UID."""
    named, unnamed = SANDBOX, replace(SANDBOX, id="x", path="/x", identity=Identity())
    pods = [labels["pod"] for labels, _ in found("jobmeter", "jobmeter_container_info", named, unnamed)]
    assert pods == ["runner-x1", "2c48913c"]


def test_a_job_is_there_once() -> None:
    """Whatever number of containers it has, and however much each of them tells."""
    less = replace(WITHIN, identity=replace(WITHIN.identity, job=replace(JOB, ref=None, event=None)))
    labels, value = only("jobmeter", "jobmeter_job_info", less, BUILD, ENDED)
    assert value == 1
    assert tuple(labels) == JOB_INFO_LABELS
    assert labels == {
        "repo": "acme/engine", "workflow": "ci.yml", "job": "build", "run_id": "4711", "attempt": "2",
        "task_id": "12", "forge": "forgejo", "server_url": "https://forge.example", "ref": "refs/heads/main",
        "event": "push", "runner": "large-1",
    }  # fmt: skip


def test_another_run_is_another_job() -> None:
    """And so is another attempt, and another leg of a matrix that has a task of its own."""

    def of(number: int, **changes: object) -> Row:
        return replace(
            BUILD, id=str(number), path=f"/docker/{number}", identity=replace(BUILD.identity, **changes)
        )

    rows = (
        of(1), of(2, job=replace(JOB, run_id="4712")), of(3, job=replace(JOB, attempt=3)), of(4, task_id="13"),
    )  # fmt: skip
    assert len(found("jobmeter", "jobmeter_job_info", *rows)) == 4


def test_totals_of_jobs() -> None:
    """Also of what belongs to no job, which is no job itself."""
    cpu = found("jobmeter", "jobmeter_repository_cpu_seconds_total", totals=TOTALS)
    jobs = found("jobmeter", "jobmeter_repository_jobs_total", totals=TOTALS)
    assert [(labels["repo"], value) for labels, value in cpu] == [
        ("acme/engine", 13.05),
        ("", 0.3),
        ("other", 1.5),
    ]
    assert [(labels["repo"], value) for labels, value in jobs] == [("acme/engine", 1), ("other", 3)]


def test_the_end_of_a_container() -> None:
    """Only of one that has ended; its last values stay."""
    ended = found("jobmeter", "jobmeter_container_end_time_seconds", BUILD, ENDED)
    assert [(labels["id"], value) for labels, value in ended] == [("c0de", 1795300060.25)]
    assert only("jobmeter", "jobmeter_container_memory_usage_bytes", ENDED)[1] == 4096


def test_the_machine_itself() -> None:
    """Its CPUs by mode, its memory, how it waits; none of it has the labels of a container."""
    modes = found("jobmeter", "jobmeter_host_cpu_seconds_total")
    waiting = found("jobmeter", "jobmeter_host_pressure_seconds_total")
    assert {labels["mode"]: value for labels, value in modes} == USE.cpu_seconds
    assert {(one["resource"], one["kind"]): value for one, value in waiting} == USE.pressure_seconds
    assert only("jobmeter", "jobmeter_host_cpus") == ({}, 8)
    assert only("jobmeter", "jobmeter_host_memory_available_bytes") == ({}, 21474836480)


# --- ephemerd


@pytest.mark.parametrize(
    "name, of_build, of_unlimited",
    [
        ("cpu_usage_seconds_total", 12.75, 12.75),
        ("memory_bytes", 22151168, 22151168),
        ("memory_anon_bytes", 16777216, 16777216),
        ("memory_limit_bytes", 67108864, 0),
        ("cpu_limit", 2.5, 0),
        ("network_rx_bytes_total", 295, 295),
        ("network_tx_bytes_total", 116, 116),
    ],
)
def test_the_seven_names(name: str, of_build: float, of_unlimited: float) -> None:
    """No limit is 0; all interfaces but the loopback count, bridges too."""
    unlimited = replace(BUILD, bounds=Bounds(cpu_cores="unlimited", memory_bytes="unlimited"))
    labels, value = only("ephemerd", f"ephemerd_container_{name}", BUILD)
    assert labels == {"id": "4f0c", "repo": "acme/engine", "runtime": "linux-native"}
    assert value == of_build
    assert only("ephemerd", f"ephemerd_container_{name}", unlimited)[1] == of_unlimited


def test_containers_within_are_not_shown() -> None:
    """They are in the account of the one around them."""
    assert [
        labels["id"] for labels, _ in found("ephemerd", "ephemerd_container_memory_bytes", BUILD, WITHIN)
    ] == ["4f0c"]


@pytest.mark.parametrize("rows", [(BUILD, ELSEWHERE), (ELSEWHERE, BUILD)])
def test_an_id_of_two_machines(rows: tuple[Row, Row]) -> None:
    """There is no label for the machine: told apart by how they run, else the host's own is shown."""
    name = "ephemerd_container_cpu_usage_seconds_total"
    assert sorted(labels["runtime"] for labels, _ in found("ephemerd", name, *rows)) == [
        "linux-native",
        "linux-vm",
    ]
    alike = [replace(one, runtime="linux-vm", account=Account(cpu_seconds=len(one.machine))) for one in rows]
    assert [value for _, value in found("ephemerd", name, *alike)] == [0]


# --- cadvisor


def test_labels_of_a_container() -> None:
    """As cAdvisor gives them: the cgroup's path, name and image, and the container's own."""
    labels, _ = only("cadvisor", "container_memory_rss", BUILD)
    assert labels == {
        "id": "/docker/4f0c", "name": "FORGEJO-ACTIONS-TASK-12_WORKFLOW-ci_JOB-build",
        "image": "docker.io/library/node:20-bookworm", "container_label_com_acme_pool": "small",
        "container_label_maintainer": "acme",
    }  # fmt: skip


def test_labels_in_kubernetes() -> None:
    """As the kubelet gives them; the sandbox is no container of the pod, the pod's cgroup holds both."""
    rows = found("cadvisor", "container_cpu_usage_seconds_total", SANDBOX, POD_BUILD, groups=GROUPS)
    of_pod = [labels for labels, _ in rows if labels.get("pod")]
    common = {"namespace": "ci", "pod": "runner-x1", "cpu": "total"}
    assert of_pod == [
        common | {"container": "", "id": POD, "image": "", "name": ""},
        common | {"container": "", "id": SANDBOX.path, "image": "registry.k8s.io/pause:3.10", "name": "5a5a"},
        common | {"container": "build", "id": POD_BUILD.path, "image": "acme/build:7", "name": "b11d"},
    ]


def test_a_pod_is_the_same_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing else is known of it, its labels are not written again; then they are."""
    asked: list[str] = []

    def note(row: Row) -> Labels:
        asked.append(row.path)
        return (("id", row.path),)

    monkeypatch.setattr(cadvisor, "_labels", note)
    made = Exposition(("cadvisor",), machine=MACHINE, sys_path=NO_SYS)
    renamed = replace(POD_BUILD, identity=replace(POD_BUILD.identity, pod_name="renamed"))
    for container in (POD_BUILD, POD_BUILD, renamed):
        "".join(made.render((container,), GROUPS, (), openmetrics=False))
    assert asked.count(POD) == 2


def test_interfaces_that_are_gone_have_no_series() -> None:
    """They have no name."""
    gone = replace(BUILD.account, interfaces=(*(BUILD.account.interfaces or ()), Interface("", *range(8))))
    rows = found("cadvisor", "container_network_receive_bytes_total", replace(BUILD, account=gone))
    assert [labels["interface"] for labels, _ in rows] == ["eth0"]


def test_labels_of_what_is_no_container() -> None:
    """The path alone: dashboards leave out what has no name or no image."""
    rows = found("cadvisor", "container_cpu_usage_seconds_total", groups=GROUPS)
    assert [(labels["id"], labels["name"], labels["image"]) for labels, _ in rows] == [
        ("/", "", ""), ("/system.slice", "", ""), (POD, "", ""),
    ]  # fmt: skip


def test_labels_that_become_the_same() -> None:
    """The first in order stays; empty ones say nothing; there are not too many."""
    assert container_labels({"b": "2", "a.b": "dot", "a-b": "dash", "a_b": "low", "none": ""}) == (
        ("container_label_a_b", "dash"), ("container_label_b", "2"),
    )  # fmt: skip
    assert len(container_labels({f"l{number}": "x" for number in range(100)})) == MAX_CONTAINER_LABELS
    ((name, _),) = container_labels({"k" * 10240: "v"})
    assert len(name) < 200


def test_interfaces_as_cadvisor_chooses_them() -> None:
    """Bridges and inner ends are left out there too."""
    rows = found("cadvisor", "container_network_receive_bytes_total", BUILD)
    assert [(labels["interface"], value) for labels, value in rows] == [("eth0", 205)]
    of = {
        name: only("cadvisor", f"container_network_{name}_total", BUILD)[1]
        for name in (
            "receive_packets", "receive_errors", "receive_packets_dropped",
            "transmit_bytes", "transmit_packets", "transmit_errors", "transmit_packets_dropped",
        )
    }  # fmt: skip
    assert list(of.values()) == [2, 3, 4, 36, 5, 6, 7]


@pytest.mark.parametrize(
    "name, values",
    [
        ("reads_bytes", (12288, 4096)), ("writes_bytes", (20971520, 0)), ("reads", (3, 1)), ("writes", (41, 0)),
    ],
)  # fmt: skip
def test_devices(name, values) -> None:
    """By number where the machine does not name them."""
    rows = found("cadvisor", f"container_fs_{name}_total", BUILD)
    assert tuple(value for _, value in rows) == values


@pytest.mark.parametrize(
    "name, of_limited, of_unlimited",
    [
        ("container_spec_cpu_period", [100000], [100000]),
        ("container_spec_cpu_quota", [250000], []),
        ("container_spec_cpu_shares", [1024], [1024]),
        ("container_spec_memory_limit_bytes", [67108864], [0]),
        ("container_spec_memory_reservation_limit_bytes", [0], [0]),
        ("container_spec_memory_swap_limit_bytes", [0], [0]),
        ("container_cpu_cfs_periods_total", [210], []),
        ("container_cpu_cfs_throttled_seconds_total", [0.793065], []),
        ("container_threads_max", [512], [0]),
    ],
)
def test_limits(name, of_limited, of_unlimited) -> None:
    """No limit is 0; what only a quota gives is there only with one, as in cAdvisor."""
    unlimited = replace(BUILD, bounds=WITHIN.bounds)
    assert [value for _, value in found("cadvisor", name, BUILD)] == of_limited
    assert [value for _, value in found("cadvisor", name, unlimited)] == of_unlimited


@pytest.mark.parametrize(
    "name, value",
    [
        ("container_memory_usage_bytes", 22151168), ("container_memory_working_set_bytes", 20089536),
        ("container_memory_rss", 16777216), ("container_memory_cache", 4194304), ("container_memory_swap", 4096),
        ("container_memory_max_usage_bytes", 67108864), ("container_memory_failcnt", 3),
        ("container_oom_events_total", 1), ("container_cpu_user_seconds_total", 10.5),
        ("container_cpu_system_seconds_total", 2.25), ("container_pressure_cpu_waiting_seconds_total", 0.75506),
        ("container_pressure_io_stalled_seconds_total", 0.001), ("container_processes", 5),
        ("container_threads", 7), ("container_start_time_seconds", 1795300000),
        ("container_last_seen", 1795300100),
    ],
)  # fmt: skip
def test_values(name, value) -> None:
    """Each name shows what it shows there."""
    assert only("cadvisor", name, BUILD)[1] == value


def test_one_that_has_ended() -> None:
    """What it counted stays, and when it was seen last; memory and threads it has no more."""
    assert only("cadvisor", "container_cpu_usage_seconds_total", ENDED)[1] == 0.3
    assert only("cadvisor", "container_last_seen", ENDED)[1] == 1795300060
    assert found("cadvisor", "container_memory_usage_bytes", ENDED) == []


def test_the_machine() -> None:
    """With the labels that tell machines apart."""
    labels, cores = only("cadvisor", "machine_cpu_cores")
    assert labels == {"boot_id": "9f01", "machine_id": "5d41", "system_uuid": "ec2e"}
    assert (cores, only("cadvisor", "machine_memory_bytes")[1]) == (8, 33554432000)
    device, used = only("cadvisor", "container_fs_usage_bytes", groups=GROUPS)
    assert (device["device"], device["id"], used) == ("/dev/sda1", "/", 250000)


def test_a_job_that_is_known_by_its_task_alone() -> None:
    """It is a job all the same."""
    row = replace(
        BUILD, identity=Identity(job=Job(forge="gitea"), task_id="12"), account=Account(), bounds=LIMITED
    )
    labels, _ = only("jobmeter", "jobmeter_job_info", row)
    assert (labels["forge"], labels["task_id"], labels["repo"]) == ("gitea", "12", "")


def test_every_row_is_shown() -> None:
    """In the dialects that know containers within containers."""
    assert len(found("jobmeter", "jobmeter_container_info", *ROWS)) == len(ROWS)
    assert len(found("cadvisor", "container_last_seen", *ROWS, groups=GROUPS)) == len(ROWS) + len(GROUPS)


@pytest.mark.parametrize("dialect, name", [
    ("jobmeter", "jobmeter_container_cpu_usage_seconds_total"),
    ("ephemerd", "ephemerd_container_cpu_usage_seconds_total"),
])  # fmt: skip
def test_of_one_id_the_outermost_container_is_shown(dialect: str, name: str) -> None:
    """Who may make cgroups within its own could take another's id there; whatever the order they are found in."""
    feigned = replace(BUILD, path="/docker/aaaa/docker/4f0c", account=replace(BUILD.account, cpu_seconds=0.5))
    for rows in ((feigned, BUILD), (BUILD, feigned)):
        assert [value for _, value in found(dialect, name, *rows)] == [BUILD.account.cpu_seconds]
