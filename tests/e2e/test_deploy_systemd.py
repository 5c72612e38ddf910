"""The units of `deploy/systemd`, judged by systemd's own tools, and their commands run as they start them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from tests.e2e.support.collectors import read_records, wait_until
from tests.e2e.support.components import JOBMETER, ROOT, jobmeter_environment, require_command, require_root

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
EXPOSURE = {
    "jobmeter-receiver.service": 2.0, "jobmeter-collector.service": 3.5, "jobmeter-exporter.service": 3.5,
    "jobmeter-gateway.service": 2.0, "jobmeter-gateway-launch.service": 7.0,
}  # fmt: skip
"""The most that `systemd-analyze security` may count, from 0 to 10."""


@pytest.fixture(params=UNITS, ids=lambda path: path.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit whose program is there."""
    source: Path = request.param
    installed = tmp_path / source.name
    installed.write_text(source.read_text().replace("/opt/jobmeter/bin/jobmeter", "/bin/true"))
    return installed


def test_systemd_understands_the_unit(unit: Path) -> None:
    """No unknown section, setting or value."""
    command = [require_command("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_unit_exposes_little(unit: Path) -> None:
    """What it may do is bounded, as systemd counts it."""
    command = [require_command("systemd-analyze"), "security", "--offline=true", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)

    assert float(level) <= EXPOSURE[unit.name]


# --- the commands, with what the units leave them

WITHOUT_WRITABLE_CODE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""What MemoryDenyWriteExecute does, by prctl(PR_SET_MDWE), which it outlives; kernels before 6.3 refuse."""


def values(unit: Path, name: str) -> list[str]:
    """What a unit says for one setting, word by word."""
    lines = re.findall(rf"^{name}=(.*)", unit.read_text(), re.MULTILINE)
    return [word for line in lines for word in shlex.split(line)]


def replace(text: str, places: Mapping[str, str]) -> str:
    for old, new in places.items():
        text = text.replace(old, new)
    return text


def confined(unit: Path) -> list[str]:
    """Precedes a command that has the capabilities of a unit."""
    kept = [
        "-all",
        *(f"+{one.removeprefix('CAP_').lower()}" for one in values(unit, "CapabilityBoundingSet")),
    ]
    return ["setpriv", "--no-new-privs", f"--bounding-set={','.join(kept)}", "--"]


class Service:
    """The command of a unit, started with its variables, credentials and capabilities."""

    def __init__(self, name: str, directory: Path, **variables: str) -> None:
        unit = ROOT / "deploy/systemd" / name
        self.state, self.log = directory / "state", directory / "log"
        self.state.mkdir()
        for credential in values(unit, "LoadCredential"):
            (directory / credential.partition(":")[0]).write_text(f"the-{credential.partition(':')[0]}\n")
        for word in values(unit, "Environment"):
            key, _, value = word.partition("=")
            variables[key] = value.replace("%d", str(directory))
        places = {
            "${STATE_DIRECTORY}": str(self.state),
            "/etc/jobmeter": str(directory),
            "=:8080": "=127.0.0.1:0",
        }
        flags = [replace(word, places) for word in values(unit, "ExecStart")[1:]]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*confined(unit), sys.executable, "-c", WITHOUT_WRITABLE_CODE, *JOBMETER, *flags],
                env=jobmeter_environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.state,
            )

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until what it says matches."""
        found = wait_until(
            lambda: re.search(pattern, self.log.read_text()) or self.process.poll() is not None, pattern
        )
        assert isinstance(found, re.Match), self.log.read_text()
        return found

    def stop(self) -> int:
        """SIGTERM, as systemd stops it."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def test_receiver_runs_as_its_unit_starts_it(tmp_path: Path) -> None:
    """Without a capability, with its state in one directory and both tokens from credentials."""
    require_root("dropping capabilities")
    service = Service("jobmeter-receiver.service", tmp_path)
    try:
        address = service.wait_for(r"127\.0\.0\.1:[1-9]\d*")[0]
        answers = {
            token: requests.get(
                f"http://{address}/api/v1/runs", headers={"Authorization": f"Bearer {token}"}, timeout=30
            ).status_code
            for token in ("the-read-token", "the-push-token", "another")
        }
    finally:
        code = service.stop()

    assert (answers["the-read-token"], answers["another"]) == (200, 401)
    assert answers["the-push-token"] in (401, 403)
    assert code == 0, service.log.read_text()
    assert (service.state / "metrics.db").exists()
    assert "the-read-token" not in service.log.read_text()


def test_collector_runs_as_its_unit_starts_it(tmp_path: Path) -> None:
    """With two capabilities it hears exit records, and leaves its summary when it is stopped."""
    require_root("dropping capabilities")
    service = Service("jobmeter-collector.service", tmp_path, GITHUB_REPOSITORY="my-org/my-repo")
    journal = service.state / "job.jsonl"
    try:
        wait_until(lambda: any(one["kind"] == "sample" for one in read_records(journal)), "a sample")
    finally:
        code = service.stop()

    assert code == 0, service.log.read_text()
    summary = json.loads((service.state / "summary.json").read_text())
    assert summary["job"]["repository"] == "my-org/my-repo"
    assert not [one for one in summary["warnings"] if "CAP_" in one]


def test_exporter_runs_as_its_unit_starts_it(tmp_path: Path) -> None:
    """With two capabilities it reads the host, and it looks into processes of other users."""
    require_root("dropping capabilities")
    service = Service("jobmeter-exporter.service", tmp_path, JOBMETER_LISTEN="127.0.0.1:0")
    try:
        address = service.wait_for(r"127\.0\.0\.1:[1-9]\d*")[0]
        page = requests.get(f"http://{address}/metrics", timeout=30).text
        ready = requests.get(f"http://{address}/readyz", timeout=30).status_code
        kept = re.findall(r"CapBnd:\s+(\w+)", Path(f"/proc/{service.process.pid}/status").read_text())
    finally:
        code = service.stop()

    assert (ready, code) == (200, 0), service.log.read_text()
    assert "jobmeter_exporter_build_info" in page
    assert int(kept[0], 16) == (1 << 19) | (1 << 2), "SYS_PTRACE and DAC_READ_SEARCH"


def test_gateway_runs_as_its_unit_starts_it(tmp_path: Path) -> None:
    """Without a capability, with the file that ships and its state in one directory."""
    require_root("dropping capabilities")
    config = (ROOT / "deploy/gateway/gateway.toml").read_text()
    (tmp_path / "gateway.toml").write_text(re.sub(r"127\.0\.0\.1:(9252|8090)", "127.0.0.1:0", config))
    service = Service("jobmeter-gateway.service", tmp_path)
    try:
        address = service.wait_for(r'"listen":"(127\.0\.0\.1:[1-9]\d*)"')[1]
        page = requests.get(f"http://{address}/metrics", timeout=30).text
        healthy = requests.get(f"http://{address}/healthz", timeout=30).status_code
        kept = re.findall(r"CapBnd:\s+(\w+)", Path(f"/proc/{service.process.pid}/status").read_text())
    finally:
        code = service.stop()

    assert (healthy, code) == (200, 0), service.log.read_text()
    assert 'jobmeter_gateway_runners{forge="forgejo",standing="ready"} 0.0' in page
    assert int(kept[0], 16) == 0
    assert (service.state / "lock").exists()


LAUNCHED = """
import asyncio
from tests.support import launches

async def main():
    async with launches.running() as keepers:
        with launches.place() as place:
            task = launches.spec(place, "setsid sleep 1000 & id -un; umask", user="nobody")
            ended = await launches.kept(keepers, task)
            print(ended.reason, ended.code, len(ended.survivors), *launches.output(task).split())

asyncio.run(main())
"""


def test_runners_are_started_as_the_unit_starts_them() -> None:
    """Its capabilities are enough to be another account, and to end what that has left."""
    require_root("dropping capabilities")
    unit = ROOT / "deploy/systemd/jobmeter-gateway-launch.service"
    done = subprocess.run(
        [*confined(unit), sys.executable, "-c", LAUNCHED],
        env=jobmeter_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.stdout.split() == ["exit", "0", "1", "nobody", "0022"], done.stderr
