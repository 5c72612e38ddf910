"""What `jobmeter doctor` says of the exporter, each finding both ways."""

from __future__ import annotations

import os
import resource
import tomllib
from pathlib import Path

import pytest

from jobmeter.apps import doctor_exporter
from jobmeter.apps.doctor_exporter import NEEDED, exporter_findings, exporter_verdict
from jobmeter.apps.findings import Finding
from jobmeter.config.settings import DoctorSettings
from tests.containers.catalog.support import Docker, Server, http, say, say_nothing

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
CAN, LESS, CANNOT = "can run here.", "can run here; it will show less than it could.", "cannot run here."


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Cgroups of version 2, and a place for what else a test needs."""
    (tmp_path / "cgroup").mkdir()
    for name in ("cgroup.procs", "cgroup.controllers"):
        (tmp_path / "cgroup" / name).touch()
    return tmp_path


def find(tree: Path, proc: str = "/proc", **environ: str) -> dict[str, Finding]:
    """By source, with no engine to ask unless the environment names one."""
    settings = DoctorSettings(proc_path=proc, cgroup_path=f"{tree}/cgroup")
    given = {"JOBMETER_ENGINE_SOCKET": "none"} | environ
    return {one.source: one for one in exporter_findings(settings, given)}


def test_packages_are_those_of_the_extra() -> None:
    """Each that the extra brings is looked for, by the name it is imported by."""
    extra = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]["exporter"]
    imported = {line.split(">")[0].replace("-", "_") for line in extra} - {"protobuf"} | {"google.protobuf"}

    assert set(NEEDED) == imported


@pytest.mark.parametrize("missing", NEEDED)
def test_package_that_is_missing(tree: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """It says which, and what installs it."""
    monkeypatch.setattr(doctor_exporter, "_installed", lambda name: name != missing)
    found = find(tree)

    assert not found["packages"].available
    assert found["packages"].detail.startswith(
        f"{missing} is not installed, it comes with jobmeter's extra exporter"
    )
    assert exporter_verdict(list(found.values())) == CANNOT


@pytest.mark.parametrize(
    "files, available, detail",
    [
        (["cgroup.procs"], True, "/cgroup has v2."),
        (["cpu,cpuacct/cgroup.procs", "memory/cgroup.procs"], True, "has v1 with cpu, cpuacct, memory."),
        (
            ["pids/cgroup.procs", "unified/cgroup.procs", "unified/cgroup.controllers"],
            True,
            "has v2 and v1 with pids.",
        ),
        ([], False, "there are no cgroups in "),
    ],
)
def test_cgroup_hierarchies(tmp_path: Path, files: list[str], available: bool, detail: str) -> None:
    """Both versions, one or none."""
    (tmp_path / "cgroup").mkdir()
    for file in files:
        (tmp_path / "cgroup" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "cgroup" / file).touch()
    found = find(tmp_path)

    assert found["cgroup hierarchies"].available is available
    assert detail in found["cgroup hierarchies"].detail
    assert (exporter_verdict(list(found.values())) == CANNOT) is not available


@pytest.mark.parametrize(
    "effective, needed",
    [
        ("0000000000080004", None),
        ("0000000000080002", None),
        ("0000000000080000", "CAP_DAC_READ_SEARCH would"),
        ("0000000000000004", "CAP_SYS_PTRACE would"),
        ("0000000000000000", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH would"),
        ("nonsense", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH would"),
    ],
)
def test_rights(tree: Path, effective: str, needed: str | None) -> None:
    """They are the capabilities in effect, whoever the user is."""
    (tree / "proc/self").mkdir(parents=True)
    (tree / "proc/self/status").write_text(f"Name:\tx\nCapEff:\t{effective}\n")
    found = find(tree, f"{tree}/proc")["rights"]

    assert found.available is (needed is None)
    assert found.detail.startswith(needed or "it may look into the processes of all users")


def test_processes_of_a_pid_namespace(tree: Path) -> None:
    """Where the namespace is not the host's it says what a container needs."""
    (tree / "proc").mkdir()

    assert "--pid=host" in find(tree, f"{tree}/proc")["processes of the host"].detail


def test_network_namespaces(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is refused is counted; one of a process that has ended is not."""
    for pid in ("1", "2", "3", "4"):
        (tree / "proc" / pid / "ns").mkdir(parents=True)
        (tree / "proc" / pid / "ns/net").touch()
    (tree / "proc/4/ns/net").unlink()
    refused: set[str] = set()
    real = os.stat

    def stat(path: str) -> os.stat_result:
        if path in refused:
            raise PermissionError
        return real(path)

    monkeypatch.setattr(os, "stat", stat)
    told = []
    for pid in ("1", "2", "3"):
        refused.add(f"{tree}/proc/{pid}/ns/net")
        one = find(tree, f"{tree}/proc")["network namespaces"]
        told.append((one.available, one.detail.split(" processes")[0]))

    assert told == [(True, "those of 3 of 4"), (True, "those of 2 of 4"), (False, "those of 1 of 4")]


@pytest.mark.parametrize(
    "hard, available, detail",
    [
        (20_000, True, "20000 files may be open"),
        (1024, False, "1024 files may be open"),
        (resource.RLIM_INFINITY, True, "any number"),
    ],
)
def test_descriptors(
    tree: Path, monkeypatch: pytest.MonkeyPatch, hard: int, available: bool, detail: str
) -> None:
    """It is the hard limit that counts: the exporter raises the other one."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    found = find(tree)["descriptors"]

    assert (found.available, found.detail.startswith(detail)) == (available, True)


# --- engines


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for long."""
    monkeypatch.setattr(doctor_exporter, "ANSWER_SECONDS", 0.3)


def test_engine_that_answers(tree: Path) -> None:
    """What it is, and how many containers it tells of."""
    with Server(tree / "docker.sock", Docker([])):
        found = find(tree, JOBMETER_ENGINE_SOCKET=f"{tree}/docker.sock")["docker"]

    assert found.available
    assert found.detail == f"the one at {tree}/docker.sock tells names and labels, now of containers: 0."


@pytest.mark.usefixtures("impatient")
def test_engine_that_hangs(tree: Path) -> None:
    """The doctor goes on."""
    with Server(tree / "docker.sock", say_nothing):
        found = find(tree, JOBMETER_ENGINE_SOCKET=f"{tree}/docker.sock")["docker"]

    assert not found.available
    assert "it has not told its containers within 0.3 s" in found.detail


def test_engine_that_refuses(tree: Path) -> None:
    """With its reason."""
    with Server(tree / "docker.sock", say(http(b'{"message": "no"}', "403 Forbidden"))):
        found = find(tree, JOBMETER_ENGINE_SOCKET=f"{tree}/docker.sock")["docker"]

    assert not found.available
    assert "tells nothing: " in found.detail


@pytest.mark.parametrize(
    "said, source, detail",
    [
        ("none", "engines", "none is to be asked"),
        (
            "containerd=/nonesuch/one.sock",
            "containerd",
            "the one at /nonesuch/one.sock tells nothing: there is no",
        ),
    ],
)
def test_no_engine(tree: Path, said: str, source: str, detail: str) -> None:
    """One that was named is missed by name."""
    found = find(tree, JOBMETER_ENGINE_SOCKET=said)

    assert not found[source].available
    assert found[source].detail.startswith(detail)
    assert exporter_verdict(list(found.values())) == LESS


def test_usual_places(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was named and nothing is there, it says where was looked."""
    monkeypatch.setattr("jobmeter.containers.catalog.sockets._PLACES", (("docker", f"{tree}/none.sock"),))
    settings = DoctorSettings(cgroup_path=f"{tree}/cgroup")
    found = {one.source: one for one in exporter_findings(settings, {})}

    assert found["engines"].detail == f"none listens at {tree}/none.sock."


def test_settings_that_are_not_accepted(tree: Path) -> None:
    """Those that the exporter would take from the environment are judged as it would."""
    found = find(tree, JOBMETER_INTERVAL="soon")

    assert list(found) == ["settings"]
    assert found["settings"].detail.startswith("JOBMETER_INTERVAL: 'soon' is not a duration")
    assert exporter_verdict(list(found.values())) == CANNOT


def test_verdict_where_nothing_is_missing() -> None:
    """All is there."""
    assert exporter_verdict([Finding("packages", True, "", "")]) == CAN
