"""Every field of a summary is filled from a real source somewhere, and null somewhere else for want of one.

The scenarios are a rich job (two networks, a block device, limits, a nested container, an OOM kill, marks), the
same kind of job seen without any permission, a machine whose /proc cannot be read, and commands of `jobmeter run`.
The fields are taken from the contract's own types, so that a new one must be shown here.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobmeter.model.summary import Summary
from tests.e2e.support.collectors import cgroup_of, container_of, start_beside, start_on_host, wait_until
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import HOST, Container, DockerEngine

MIB = 1024 * 1024
MARKS = "@jobmeter-test-fields"
JOB = {
    "JOBMETER_FORGE": "forgejo",
    "JOBMETER_SERVER_URL": "https://forge.example",
    "JOBMETER_REPOSITORY": "my-org/my-repo",
    "JOBMETER_WORKFLOW": "ci.yml",
    "JOBMETER_JOB": "build",
    "JOBMETER_RUN_ID": "run-123",
    "JOBMETER_ATTEMPT": "2",
    "JOBMETER_MATRIX": '{"os": "linux"}',
    "JOBMETER_REF": "refs/heads/main",
    "JOBMETER_BASE_REF": "main",
    "JOBMETER_SHA": "0123456789abcdef",
    "JOBMETER_EVENT": "push",
    "JOBMETER_RUNNER": "runner-1",
    "JOBMETER_RUNNER_LABELS": "docker,large",
}
WANTED = {
    "CGROUP_PROCESS_MAP": '{"fields-server": "job"}',  # a name of its own: the host has other containers
    "CGROUP_LIMITS": '{"job": {"cpu_request": "500m", "memory_request": "64Mi"}}',
}
SERVE = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
TRAFFIC_BYTES = 4 * MIB
READ_BYTES, WRITTEN_BYTES = 2 * MIB, 8 * MIB
FETCH = (
    "import os, urllib.request as u; os.environ.clear();"
    f"assert len(u.urlopen('http://{{address}}:8000/tmp/payload').read()) == {TRAFFIC_BYTES}"
)
BURN = "count() { i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; }; count & count; wait"
EAT = "eaten = []\nwhile True: eaten.append(bytearray(b'x') * 1000000)"

NEVER_FILLED = {"devices[]": "reserved"}
NEVER_NULL = {
    "job": "there is always one, if of nulls only",
    "collector.version": "the meter knows itself",
    "collector.interval_seconds": "the meter knows itself",
    "collector.cpu_seconds": "the meter knows itself",
    "collector.peak_memory_bytes": "the meter knows itself",
    "programs[].cpu_seconds": "who is counted has been read, be it as 0",
    "host.name": "uname(2) always answers",
    "host.kernel": "uname(2) always answers",
    "unattributed_cpu_seconds": "a sum that begins at 0",
    "top_cpu_processes[].container": "only processes of containers are followed",
    "top_cpu_processes[].cpu_seconds": "who stands in the list by CPU was seen to use some",
    "top_cpu_processes[].peak_cpu_percent": "who stands in the list by CPU was seen to use some",
    "top_cpu_processes[].peak_memory_bytes": "who was seen to use CPU was seen with its memory",
    "top_mem_processes[].container": "only processes of containers are followed",
    "top_mem_processes[].cpu_seconds": "who stands in the list was read, be it as 0",
    "top_mem_processes[].peak_memory_bytes": "who stands in the list by memory was seen to hold some",
}
for resource in ("cpu", "memory", "io"):
    for part in ("", ".some_seconds", ".full_seconds"):
        NEVER_NULL[f"containers[].pressure.{resource}{part}"] = "a kernel that has pressure has all of it"
"""Fields whose type allows null, but for which a machine cannot be made that lacks the source."""


class Rich:
    """What the collector on the host said of the rich job, and its containers by their parts in it."""

    def __init__(self, summary: dict[str, Any], parts: dict[str, Container]) -> None:
        self.summary = summary
        self.parts = parts

    def said(self, part: str) -> dict[str, Any]:
        """One container of the summary."""
        return container_of(self.summary, self.parts[part].id)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A block device of the test's own."""
    image = tmp_path_factory.mktemp("device") / "image"
    image.touch()
    os.truncate(image, 16 * MIB)
    found = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=True
    ).stdout.strip()
    yield found
    subprocess.run(["losetup", "--detach", found], check=True)


@pytest.fixture(scope="module")
def rich(
    docker_engine: DockerEngine, device: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rich]:
    """A job that does everything there is a field for, metered from the host."""
    out = tmp_path_factory.mktemp("rich")
    with ExitStack() as stack:

        def spawn(*argv: str, flags: list[str] | None = None, network: str = "none") -> Container:
            return stack.enter_context(docker_engine.spawn(HOST, *argv, flags=flags or [], network=network))

        io = [f"--device={device}", f"--device-write-bps={device}:1gb", f"--device-read-bps={device}:1gb"]
        (named := out / "bin").mkdir()
        (named / "fields-server").symlink_to("/usr/bin/python3")
        io += ["--cpus=0.5", "--memory=96m", "--memory-swap=96m", f"--volume={named}:/named:ro"]
        job = spawn("/named/fields-server", "-c", SERVE, network="bridge", flags=io)
        client = spawn("sleep", "infinity", network="bridge")
        parts = {
            "job": job,
            "client": client,
            "sharing": spawn("sleep", "infinity", flags=[f"--network=container:{client.id}"]),
            "nested": spawn("sleep", "infinity", flags=[f"--cgroup-parent=/docker/{job.id}"]),
        }
        job.exec("dd", "if=/dev/zero", "of=/tmp/payload", f"bs={TRAFFIC_BYTES}", "count=1")
        address = job.inspect()["NetworkSettings"]["IPAddress"]
        collector = stack.enter_context(
            start_on_host(out, "--interval=200ms", "--top=50", f"--mark-socket={MARKS}", env=JOB | WANTED)
        )
        for container in parts.values():
            collector.wait_for_container_of(container.id)
        collector.wait_for_samples()
        mark("work")
        before = throttled(job)
        wait_until(lambda: job.exec("sh", "-c", BURN) and throttled(job) > before, "its limit")
        client.exec("python3", "-c", FETCH.format(address=address))
        job.exec(
            "dd", "if=/dev/zero", f"of={device}", "bs=1M", f"count={WRITTEN_BYTES // MIB}", "oflag=direct"
        )
        job.exec("dd", f"if={device}", "of=/dev/null", "bs=1M", f"count={READ_BYTES // MIB}", "iflag=direct")
        job.exec("python3", "-c", EAT, check=False)
        collector.wait_for_samples()
        yield Rich(collector.stop(), parts)


@pytest.fixture(scope="module")
def poor(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A job seen by a collector that may read nothing but the plainest of /proc.

    One of its processes has ended and is never waited for; one container does not get beyond being made.
    """
    unmade = "open('/proc/self/comm', 'w').write('runc:[2:INIT]'); import signal; signal.pause()"
    with (
        docker_engine.spawn(HOST, "sh", "-c", "true & exec sleep infinity") as job,
        docker_engine.spawn(HOST, "python3", "-c", unmade, flags=[f"--pid=container:{job.id}"]),
    ):
        collector = start_beside(
            docker_engine, job, tmp_path_factory.mktemp("poor"), "--interval=200ms",
            flags=["--user=1000:1000", "--cap-drop=ALL"],
        )  # fmt: skip
        collector.wait_for_samples()
        return collector.stop()


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A machine whose /proc cannot be read: even a section of it is empty."""
    collector = start_on_host(
        tmp_path_factory.mktemp("blind"),
        "--proc-path=/nonexistent",
        "--interval=1h",
        f"--mark-socket={MARKS}",
    )
    mark("nothing")
    return collector.stop()


@pytest.fixture(scope="module")
def short(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A container that came and went unseen but for one look: there is nothing to make statistics of."""
    with docker_engine.spawn(HOST, "sleep", "infinity") as job:
        collector = start_beside(docker_engine, job, tmp_path_factory.mktemp("short"), "--interval=1h")
        return collector.stop()


def throttled(container: Container) -> int:
    """In how many periods its limit has held it up, by the kernel's own account."""
    table = (cgroup_of(container, "cpu") / "cpu.stat").read_text().splitlines()
    return int(dict(line.split() for line in table)["nr_throttled"])


def mark(name: str) -> None:
    """`jobmeter mark`."""
    environment = jobmeter_environment(JOBMETER_MARK_SOCKET=MARKS)
    subprocess.run([*JOBMETER, "mark", name], env=environment, check=True)


def run(out: Path, script: str, *arguments: str) -> dict[str, Any]:
    """The summary of `jobmeter run` of a shell script."""
    summary = out / "summary.json"
    subprocess.run(
        [*JOBMETER, "run", "--quiet", f"--json={summary}", f"--journal={out / 'journal'}", *arguments,
         "sh", "-c", script],
        env=jobmeter_environment(), check=False,
    )  # fmt: skip
    return dict(json.loads(summary.read_text()))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Commands that end in their own ways: with a survivor, by a signal, too short for a statistic."""
    out = tmp_path_factory.mktemp("run")
    daemon = out / "daemon"
    until_it_sleeps = 'until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done'
    summaries = [
        run(out, f"sleep 60 > /dev/null 2>&1 & echo $! > {daemon}; {until_it_sleeps}; exit 3"),
        run(out, "kill -KILL $$"),
        run(out, "true", "--source=proc"),
    ]
    subprocess.run(["kill", daemon.read_text().strip()], check=True)
    return summaries


@pytest.fixture(scope="module")
def summaries(
    rich: Rich,
    poor: dict[str, Any],
    blind: dict[str, Any],
    short: dict[str, Any],
    commands: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """All of them."""
    return [rich.summary, poor, blind, short, *commands]


# --- the table


def fields(kind: msgspec.inspect.Type, path: str = "") -> Iterator[tuple[str, bool]]:
    """Every field of the contract by its path, and whether it may be null (or empty, for a list)."""
    if isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    types = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    inner = [one.type if isinstance(one, msgspec.inspect.Metadata) else one for one in types]
    if path:
        nullable = any(isinstance(one, msgspec.inspect.NoneType) for one in inner)
        yield path, nullable or path.endswith("[]")
    for one in inner:
        if isinstance(one, msgspec.inspect.StructType):
            for field in one.fields:
                name = f"{path}.{field.encode_name}" if path else field.encode_name
                many = isinstance(_bare(field.type), msgspec.inspect.ListType | msgspec.inspect.VarTupleType)
                yield from fields(field.type, f"{name}[]" if many else name)
        elif isinstance(one, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            yield from ((name, may) for name, may in fields(one.item_type, path) if name != path)


def _bare(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def values(value: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Every field of a summary by its path, and whether it is filled."""
    if isinstance(value, list):
        yield f"{path}[]", bool(value)
        for one in value:
            yield from ((name, filled) for name, filled in values(one, f"{path}[]") if name != f"{path}[]")
        return
    if path:
        yield path, value is not None
    if isinstance(value, dict) and path != "job.matrix":
        for name, inner in value.items():
            yield from values(inner, f"{path}.{name}" if path else name)


FIELDS = dict(fields(msgspec.inspect.type_info(Summary)))


@pytest.mark.parametrize("field", [name for name in FIELDS if name not in NEVER_FILLED])
def test_field_is_filled_from_a_real_source(summaries: list[dict[str, Any]], field: str) -> None:
    """Some scenario has a value for it."""
    assert any((field, True) in set(values(summary)) for summary in summaries)


@pytest.mark.parametrize("field", [name for name, may in FIELDS.items() if may and name not in NEVER_NULL])
def test_field_is_null_where_its_source_is_missing(summaries: list[dict[str, Any]], field: str) -> None:
    """Some scenario has no value for it, and says null (a list is empty) rather than 0."""
    assert any((field, False) in set(values(summary)) for summary in summaries)


# --- what the values are


def test_traffic_between_two_containers(rich: Rich) -> None:
    """What one sent the other received; who shares its network with another container has no number of its own."""
    sent = rich.said("job")["network_tx_bytes"]

    assert TRAFFIC_BYTES < sent < TRAFFIC_BYTES * 1.1
    assert 0 < rich.said("job")["network_rx_bytes"] < TRAFFIC_BYTES / 10
    assert [rich.said(one)["network_rx_bytes"] for one in ("client", "sharing")] == [None, None]


def test_block_io_to_the_byte(rich: Rich) -> None:
    """Direct reads and writes of a device are the bytes that were asked for."""
    job = rich.said("job")

    assert job["io_write_bytes"] == WRITTEN_BYTES
    assert READ_BYTES <= job["io_read_bytes"] < READ_BYTES + MIB


def test_requests_and_limits(rich: Rich) -> None:
    """The kernel's limits, and the requests that were told, of the container that the map names."""
    job = rich.said("job")

    assert job["name"] == "job"
    assert (job["cpu_limit_cores"], job["memory_limit_bytes"]) == (0.5, 96 * MIB)
    assert (job["cpu_request_cores"], job["memory_request_bytes"]) == (0.5, 64 * MIB)
    assert job["throttled_seconds"] > 0
    assert job["pressure"]["cpu"]["some_seconds"] > 0
    assert rich.said("nested")["parent"] == rich.parts["job"].id


def test_sections_cut_the_run_at_its_marks(rich: Rich) -> None:
    """What came before the mark and what came after; together they are the whole run."""
    names = [one["name"] for one in rich.summary["sections"]]
    used = [one["cpu_seconds"] for one in rich.summary["sections"]]

    assert names == ["start", "work"]
    assert sum(used) == pytest.approx(rich.summary["cpu_seconds"], abs=0.01)
    assert used[1] > used[0]


def test_identity_is_whole(rich: Rich) -> None:
    """Every field of the job is the one that was told."""
    job = rich.summary["job"]

    assert job["organization"] == "my-org"
    assert (job["attempt"], job["matrix"], job["runner_labels"]) == (2, {"os": "linux"}, ["docker", "large"])


def test_run_ends_in_its_own_way(commands: list[dict[str, Any]]) -> None:
    """Exit code, signal and survivors of `run` are filled; a collector has none of them."""
    assert (commands[0]["exit"]["reason"], commands[0]["exit"]["code"]) == ("failure", 3)
    assert [one["name"] for one in commands[0]["survivors"]] == ["sleep"]
    assert commands[1]["exit"]["signal"] == "SIGKILL"
