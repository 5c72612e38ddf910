"""What `jobmeter doctor` says of a gateway that is to launch runners, each finding both ways."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jobmeter.apps.doctor import doctor
from jobmeter.apps.doctor_gateway import gateway_findings, gateway_verdict
from jobmeter.apps.findings import Finding
from jobmeter.config.settings import DoctorSettings

FORGE = """
[[forge]]
name = "forgejo"
kind = "forgejo"
url = "https://forge.example/"
listen = "127.0.0.1:8090"
"""
RUNNER = """mode = "launch"

[[forge.runner]]
name = "builder-1"
registration_file = "{folder}/builder-1.runner"
command = ["/bin/true", "{{config}}"]
user = "nobody"
work_dir = "/srv/w"
"""
LIMITS = 'limits = { cpu = "2", memory = "4Gi", pids = 2000 }\n'
CAN, CANNOT = "can launch runners from here.", "cannot launch runners from here."


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """/proc of a process below a cgroup of version 2 with two of the controllers."""
    (tmp_path / "builder-1.runner").write_text(
        json.dumps({"uuid": "u-1", "token": "secret", "labels": ["host:host"]})
    )
    (tmp_path / "builder-1.runner").chmod(0o600)
    own = tmp_path / "cgroup" / "service"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/service\n")
    mount = f"30 23 0:26 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc" / "self" / "mountinfo").write_text(mount)
    return tmp_path / "proc"


def find(proc: Path, text: str) -> list[Finding]:
    file = proc.parent / "gateway.toml"
    file.write_text(text.replace("{folder}", str(proc.parent)).replace("{{", "{").replace("}}", "}"))
    return gateway_findings(str(file), {}, str(proc))


def one(found: list[Finding], source: str) -> tuple[bool, str]:
    (about,) = [finding for finding in found if finding.source == source]
    return about.available, about.detail


def test_a_gateway_that_launches_nothing(proc: Path) -> None:
    """There is nothing to look at."""
    found = find(proc, FORGE)
    assert (found, gateway_verdict(found)) == (
        [],
        "launches no runners: no forge has mode = 'launch'.",
    )


def test_what_a_runner_has(proc: Path) -> None:
    """Its account, its program, its directory."""
    found = find(proc, FORGE + RUNNER)
    assert one(found, "builder-1: user") == (True, "its jobs are 'nobody', uid 65534.")
    assert one(found, "builder-1: command") == (True, "it starts /bin/true.")
    assert one(found, "builder-1: work_dir")[1].startswith("/srv/w will be made, and only root")
    assert one(found, "cgroups of tasks") == (True, f"they can be made in {proc.parent}/cgroup/service.")
    assert not [finding for finding in found if finding.source.startswith("limit")]


def test_limits(proc: Path) -> None:
    """Each that a runner sets needs its controller; what keeps the gateway from starting is said so."""
    found = find(proc, FORGE + RUNNER + LIMITS)
    assert [one(found, f"limit {name}")[0] for name in ("cpu", "memory", "pids")] == [True, True, False]
    assert one(found, "limit pids")[1] == (
        "the limit pids of launched runners cannot be set: its controller is not delegated to "
        f"{proc.parent}/cgroup/service."
    )
    assert gateway_verdict(found) == CANNOT


@pytest.mark.parametrize("uid, detail", [(0, "this account is root."), (65534, "'nobody', is not root.")])
def test_root(proc: Path, monkeypatch: pytest.MonkeyPatch, uid: int, detail: str) -> None:
    """Nobody else can start a program as another account."""
    text = RUNNER.replace('user = "nobody"', "isolated = true").replace("/srv/w", f"{proc.parent}/w")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    found = find(proc, FORGE + text)
    assert one(found, "root")[0] == (uid == 0)
    assert one(found, "root")[1].endswith(detail)


@pytest.mark.parametrize(
    "key, value, sentence",
    [
        ('user = "nobody"', 'user = "nonesuch"', "user: there is no account 'nonesuch'"),
        ('"/bin/true"', '"nonesuch"', "command: 'nonesuch' is not found"),
        ('"/srv/w"', '"/proc/w"', "work_dir: /proc/w is of the kernel's own"),
    ],
)
def test_what_a_runner_has_not(proc: Path, key: str, value: str, sentence: str) -> None:
    """With the sentence of the gateway."""
    found = find(proc, FORGE + RUNNER.replace(key, value))
    available, detail = one(found, "settings")
    assert not available
    assert sentence in detail
    assert gateway_verdict(found) == CANNOT


def test_no_cgroups(proc: Path) -> None:
    """Without them no runner is started."""
    (proc / "self" / "mountinfo").write_text("")
    assert one(find(proc, FORGE + RUNNER), "cgroups of tasks") == (
        False,
        "no cgroups are mounted here, so a runner cannot be given one.",
    )


def test_it_is_said_where_the_file_is_named(proc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And only there; a file that is not there is a finding."""
    environ = {"JOBMETER_ENGINE_SOCKET": "none"}
    doctor(DoctorSettings(), environ)
    assert "jobmeter gateway" not in capsys.readouterr().out
    doctor(DoctorSettings(gateway_config=f"{proc}/nonesuch.toml"), environ)
    said = capsys.readouterr().out
    assert "nonesuch.toml" in said
    assert said.endswith(f"`jobmeter gateway` {CANNOT}\n")
