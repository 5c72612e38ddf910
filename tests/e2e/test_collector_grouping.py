"""What `jobmeter collector` calls the containers of a job, what limits it gives them, and which lie in which."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import (
    Collector,
    cgroup_of,
    container_of,
    cpuacct_seconds,
    start_beside,
    start_on_host,
)
from tests.e2e.support.docker import HOST, Container, DockerEngine

MIB = 1024 * 1024
BURN = "while :; do :; done"
PROGRAMS = {"burner": "sh", "late": "sleep", "zzz-a-name-longer-than-comm": "sleep"}
"""Programs by the names that the process map knows."""

PROCESS_MAP = {"burner": "runner", "late": "database", "zzz-a-name-longer-than-comm": "cache"}
LIMITS = {
    "runner": {"cpu": "2", "memory": "1Gi", "cpu_request": "250m", "memory_request": "128Mi"},
    "database": {"cpu": "750m", "memory": "256Mi"},
    "cache": {"cpu_request": "0.1"},
}
BROKEN = {
    "CGROUP_PROCESS_MAP": '{"burner": "runner"',
    "CGROUP_LIMITS": '{"runner": {"memory": "12Qi", "cpu": "500m"}}',
}


class Grouped:
    """Four containers in one pid namespace, and what the collectors beside them said."""

    def __init__(
        self,
        containers: dict[str, Container],
        summaries: dict[str, dict[str, Any]],
        account: tuple[float, float],
    ) -> None:
        self.containers = containers
        self.summaries = summaries
        self.account = account
        """CPU seconds of the burning container, before the collectors were stopped and after."""

    def said_of(self, container: str, collector: str = "named") -> dict[str, Any]:
        """One container as a collector has it in its summary."""
        return container_of(self.summaries[collector], self.containers[container].id)


@pytest.fixture(scope="module")
def grouped(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grouped]:
    """One container burns against its CPU limit, the others sleep; in one a named process starts later."""
    out = tmp_path_factory.mktemp("out")
    programs = _programs(tmp_path_factory.mktemp("bin"))
    mount = f"--volume={programs}:/named:ro"
    with ExitStack() as stack:

        def spawn(*argv: str, flags: tuple[str, ...] = ()) -> Container:
            return stack.enter_context(docker_engine.spawn(HOST, *argv, flags=[mount, *flags]))

        job = spawn("/named/burner", "-c", "while ! [ -e /tmp/go ]; do /bin/sleep 0.1; done; "
                    f"({BURN}) & {BURN}", flags=("--cpus=0.5", "--memory=64m"))  # fmt: skip
        shared = f"--pid=container:{job.id}"
        containers = {
            "job": job,
            "service": spawn("sleep", "infinity", flags=(shared,)),
            "cache": spawn("/named/zzz-a-name-longer-than-comm", "infinity", flags=(shared,)),
            "helper": spawn("sleep", "infinity", flags=(shared,)),
        }
        named = {"CGROUP_PROCESS_MAP": json.dumps(PROCESS_MAP), "CGROUP_LIMITS": json.dumps(LIMITS)}
        collectors: dict[str, Collector] = {}
        for name, env in {"named": named, "broken": BROKEN, "plain": {}}.items():
            collectors[name] = start_beside(docker_engine, job, out / name, "--interval=1s", env=env)
            stack.enter_context(collectors[name])
        before = cpuacct_seconds(job)
        job.exec("touch", "/tmp/go")
        collectors["named"].wait_for_samples()
        containers["service"].exec("/named/late", "infinity", flags=["--detach"])
        collectors["named"].wait_for_container("database")
        collectors["named"].wait_for_samples()
        least = cpuacct_seconds(job) - before
        summaries = {name: collector.stop() for name, collector in collectors.items()}
        yield Grouped(containers, summaries, (least, cpuacct_seconds(job) - before))


def _programs(directory: Path) -> Path:
    for name, program in PROGRAMS.items():
        path = shutil.which(program)
        assert path
        (directory / name).symlink_to(path)
    return directory


@pytest.mark.parametrize(
    "container, name",
    [("job", "runner"), ("service", "database"), ("cache", "cache"), ("helper", None)],
    ids=["from the start", "renamed by a later process", "by the first 15 bytes", "in no map"],
)
def test_containers_are_named(grouped: Grouped, container: str, name: str | None) -> None:
    """The process map names a container, also late; what it does not name keeps a stable readable name."""
    by_path = f"docker-{grouped.containers[container].id[:12]}"

    assert grouped.said_of(container)["name"] == (name or by_path)
    assert grouped.said_of(container, "plain")["name"] == by_path


LIMIT_FIELDS = ("cpu_limit_cores", "memory_limit_bytes", "cpu_request_cores", "memory_request_bytes")


@pytest.mark.parametrize(
    "collector, container, limits",
    [
        ("named", "job", (0.5, 64 * MIB, 0.25, 128 * MIB)),
        ("named", "service", (0.75, 256 * MIB, None, None)),
        ("named", "cache", ("unlimited", "unlimited", 0.1, None)),
        ("plain", "job", (0.5, 64 * MIB, None, None)),
        ("plain", "helper", ("unlimited", "unlimited", None, None)),
    ],
    ids=["kernel's before told", "told", "a request alone", "kernel's", "none"],
)
def test_limits_are_told(grouped: Grouped, collector: str, container: str, limits: tuple[Any, ...]) -> None:
    """What the kernel enforces comes first, then what `CGROUP_LIMITS` says; no limit is said in a word."""
    said = grouped.said_of(container, collector)

    assert tuple(said[field] for field in LIMIT_FIELDS) == limits


def test_burning_container_shows_its_limit(grouped: Grouped) -> None:
    """Cores stand at the limit and never above, throttling is shown, and both agree with the account."""
    said = grouped.said_of("job")
    least, most = grouped.account

    assert said["throttled_seconds"] > 0
    assert least - 0.02 <= said["cpu_seconds"] <= most + 0.02
    # Quota is given for a tenth of a second: one more of these may fall into an interval, which is never to the
    # millisecond as long as it should be.
    assert said["cpu_cores"]["avg"] <= said["cpu_cores"]["peak"] <= 0.5 * 1.25


@pytest.mark.parametrize("container", ["service", "cache", "helper"])
def test_sleeping_container_shows_none(grouped: Grouped, container: str) -> None:
    """A container without a limit is not throttled; who sleeps uses no core."""
    said = grouped.said_of(container)

    assert said["throttled_seconds"] == 0
    assert said["cpu_cores"]["avg"] < 0.05


@pytest.mark.parametrize("collector", ["named", "broken", "plain"])
def test_own_processes_are_left_out(grouped: Grouped, collector: str) -> None:
    """A collector does not meter itself: of four containers and three collectors it shows all but its own."""
    summary = grouped.summaries[collector]

    found = [(one["name"], one["id"], one["cpu_seconds"]) for one in summary["containers"]]
    assert len(found) == 6, found
    assert summary["collector"]["cpu_seconds"] > 0
    assert summary["collector"]["peak_memory_bytes"] > MIB


@pytest.mark.parametrize(
    "variable, value", [("CGROUP_PROCESS_MAP", '{"burner": "runner"'), ("CGROUP_LIMITS", "12Qi")]
)
def test_bad_variable_is_said_once(grouped: Grouped, variable: str, value: str) -> None:
    """Broken JSON and an unknown unit get one sentence each that names the value; metering goes on."""
    summary = grouped.summaries["broken"]
    sentences = [one for one in summary["warnings"] if one.startswith(variable)]

    assert len(sentences) == 1
    assert value in sentences[0].replace('\\"', '"')
    assert summary["sample_count"] > 2
    assert grouped.said_of("job", "broken")["cpu_source"] == "cgroup"


def test_good_part_of_a_variable_is_used(
    docker_engine: DockerEngine, tmp_path: Path, grouped: Grouped
) -> None:
    """The entries beside a bad one stay."""
    env = {
        "CGROUP_PROCESS_MAP": '{"sleep": "sleeper", "other": 7}',
        "CGROUP_LIMITS": '{"sleeper": {"memory": "12Qi", "cpu": "500m"}, "x": 1}',
    }
    with docker_engine.spawn(HOST, "sleep", "infinity") as job:
        summary = start_beside(docker_engine, job, tmp_path, env=env).stop()

    assert container_of(summary, "sleeper")["cpu_limit_cores"] == 0.5
    assert len([one for one in summary["warnings"] if one.startswith("CGROUP_")]) == 3


# --- one container inside another


@pytest.fixture(scope="module")
def nested(
    docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Container, Container, dict[str, dict[str, Any]], float]]:
    """A container below another's cgroup, as Docker-in-Docker makes them; both work."""
    out = tmp_path_factory.mktemp("nested")
    work = "i=0; while [ $i -lt 900000 ]; do i=$((i + 1)); done"
    with ExitStack() as stack:
        outer = stack.enter_context(docker_engine.spawn(HOST, "sleep", "infinity"))
        flags = [f"--pid=container:{outer.id}", f"--cgroup-parent=/docker/{outer.id}"]
        inner = stack.enter_context(docker_engine.spawn(HOST, "sleep", "infinity", flags=flags))
        collectors = {
            "cgroup": start_beside(docker_engine, outer, out / "cgroup", "--interval=500ms"),
            "proc": start_beside(docker_engine, outer, out / "proc", "--interval=500ms", "--source=proc"),
            "exit_records": start_on_host(out / "exits", "--interval=500ms", "--source=exit_records"),
        }
        for collector in collectors.values():
            stack.enter_context(collector)
        before = cpuacct_seconds(outer)
        for container in (outer, inner):
            container.exec("sh", "-c", f"sh -c '{work}'; exec sh -c '{work}'")
            for collector in collectors.values():
                collector.wait_for_samples()
        account = cpuacct_seconds(outer) - before
        assert (cgroup_of(outer, "cpuacct") / inner.id).is_dir()
        yield outer, inner, {name: one.stop() for name, one in collectors.items()}, account


@pytest.mark.parametrize("source", ["cgroup", "proc", "exit_records"])
def test_nested_container_is_shown_under_its_parent(
    nested: tuple[Container, Container, dict[str, dict[str, Any]], float], source: str
) -> None:
    """A nested container names its parent, whose numbers include it, and is never counted twice in the total."""
    outer, inner, summaries, _ = nested
    summary = summaries[source]
    around, within = container_of(summary, outer.id), container_of(summary, inner.id)
    top = [one["cpu_seconds"] for one in summary["containers"] if one["parent"] is None]

    assert (around["parent"], within["parent"]) == (None, outer.id)
    assert within["cpu_source"] == around["cpu_source"] == source
    assert 0 < within["cpu_seconds"] < around["cpu_seconds"]
    assert summary["cpu_seconds"] == pytest.approx(sum(top), abs=1e-5)


def test_nesting_counts_what_the_kernel_counts(
    nested: tuple[Container, Container, dict[str, dict[str, Any]], float],
) -> None:
    """The enclosing container's CPU time is the kernel's account of its cgroup with all that is below."""
    outer, _, summaries, account = nested

    assert container_of(summaries["cgroup"], outer.id)["cpu_seconds"] == pytest.approx(
        account, rel=0.001, abs=0.02
    )
    assert container_of(summaries["exit_records"], outer.id)["cpu_seconds"] == pytest.approx(
        account, rel=0.01, abs=0.02
    )
    assert container_of(summaries["proc"], outer.id)["cpu_seconds"] <= account + 0.02
