"""`jobmeter exporter` as a process: how it starts, what it says, what it survives, how it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.e2e.support.cgroup import V1_CONTROLLERS, V2, Cgroup, own_cgroups
from tests.e2e.support.collectors import wait_until
from tests.e2e.support.components import JOBMETER, jobmeter_environment, require_root
from tests.e2e.support.docker import BUSYBOX, DockerEngine, hierarchy_root
from tests.e2e.support.exporters import RunningExporter, running_exporter
from tests.e2e.support.podman import BUSYBOX as PODMAN_BUSYBOX
from tests.e2e.support.podman import running_podman
from tests.e2e.support.runs import AS_NOBODY, Jobmeter
from tests.support.receivers import certificate

INFO = "jobmeter_container_info"
CPU = "jobmeter_container_cpu_usage_seconds_total"
ENDED = "jobmeter_container_end_time_seconds"
NETWORK = "jobmeter_container_network_receive_bytes_total"
ENGINE_UP = "jobmeter_exporter_engine_up"
LINGER_SECONDS = 2.0
TOKEN = "read-token-of-tests"


def socket_of(engine: DockerEngine) -> str:
    return f"--engine-socket={engine.url}"


@pytest.fixture(scope="module")
def exporter(
    docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningExporter]:
    """One with all dialects for the tests that do it no harm."""
    dialects = [f"--dialect={name}" for name in ("jobmeter", "ephemerd", "cadvisor")]
    flags = [*dialects, f"--linger={LINGER_SECONDS}s", socket_of(docker_engine)]
    with running_exporter(tmp_path_factory.mktemp("exporter"), *flags) as running:
        yield running
        failed = [one for one in running.messages() if one["level"] != "info"]
        assert failed == []


# --- how it starts


def start_in_vain(*words: str, within: list[str] | None = None, **variables: str) -> tuple[int, str]:
    """Exit code, and the one line that it says."""
    done = subprocess.run(
        [*(within or []), *JOBMETER, "exporter", *words],
        env=jobmeter_environment(**variables), cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1), done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["--listen=nonesuch.invalid"], 1, "nonesuch.invalid:9925 cannot be listened on: the host"),
        (["--listen=192.0.2.1:0"], 1, "--listen: 192.0.2.1:0 cannot be listened on: Cannot assign"),
        (["--listen=9925"], 2, "--listen: '9925' is not accepted: a port alone is written with a colon"),
        (["--cgroup-path=/nonesuch"], 1, "cannot read the cgroups in /nonesuch: No such file or directory"),
        (["--cgroup-path=/etc"], 1, "there are no cgroups in /etc"),
        (["--proc-path=/nonesuch"], 1, "cannot read the processes in /nonesuch: No such file or directory"),
        (["--engine-socket=tcp://there:2375"], 2, "'tcp://there:2375' is not the socket of an engine"),
        (["--config=/nonesuch"], 2, "/nonesuch cannot be read: No such file or directory"),
        (["--read-token-file=/nonesuch"], 2, "--read-token-file: /nonesuch cannot be read"),
        (["--tls-cert=cert.pem"], 2, "--tls-cert needs --tls-key too"),
        (
            ["--dialect=node"],
            2,
            "--dialect: 'node' is not accepted; accepted are jobmeter, ephemerd, cadvisor",
        ),
        (["word"], 2, "'word' is not accepted: the exporter takes only flags"),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence(words: list[str], code: int, sentence: str) -> None:
    """Without a traceback."""
    found = start_in_vain("--listen=127.0.0.1:0", *words)

    assert found[0] == code
    assert sentence in found[1]


@pytest.mark.parametrize(
    "text, sentence",
    [
        (b"interval = ", "at its end: this is not TOML: there is no value here"),
        (b"\xff\xfe", "is not UTF-8: invalid start byte at byte 0"),
        (b'intervall = "1s"', "intervall: there is no such key; 'interval' is meant?"),
        (b'container_stats_interval = "soon"', "container_stats_interval: 'soon' is not a duration"),
        (b"[interval]\nseconds = 1", "interval: a table is not accepted"),
        (b'dialects = ["x"]', "dialects: 'x' is not accepted; accepted are jobmeter, ephemerd, cadvisor"),
    ],
)
def test_configuration_that_is_not_accepted(tmp_path: Path, text: bytes, sentence: str) -> None:
    """The sentence names the file, and in it the key."""
    file = tmp_path / "exporter.toml"
    file.write_bytes(text)
    code, said = start_in_vain(f"--config={file}")

    assert code == 2
    assert f"{file}" in said
    assert sentence in said


def test_port_that_is_taken() -> None:
    """It says where, and how to find out by whom."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = start_in_vain(f"--listen={place}")

    assert code == 1
    assert f"{place} cannot be listened on: Address already in use" in said


@pytest.mark.parametrize("package", ["inotify_simple", "isal", "starlette"])
def test_package_that_is_not_installed(tmp_path: Path, package: str) -> None:
    """It says what to install, wherever the package is needed."""
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})\n")
    path = os.pathsep.join((str(tmp_path), jobmeter_environment()["PYTHONPATH"]))
    code, said = start_in_vain("--listen=127.0.0.1:0", PYTHONPATH=path)

    assert code == 1
    assert f"{package} is not installed, it comes with jobmeter's extra exporter" in said


@pytest.mark.usefixtures("nobody")
def test_cgroups_that_it_may_not_read(tmp_path: Path) -> None:
    """It says why it does not start."""
    tmp_path.chmod(0o700)
    code, said = start_in_vain("--listen=127.0.0.1:0", f"--cgroup-path={tmp_path}", within=AS_NOBODY)

    assert code == 1
    assert f"cannot read the cgroups in {tmp_path}: Permission denied" in said


def test_without_root(
    nobody: Jobmeter, docker_engine: DockerEngine, exporter: RunningExporter, tmp_path: Path
) -> None:
    """It warns, and shows everything but network and what an engine tells that does not let it in."""
    with (
        docker_engine.spawn(BUSYBOX, "sleep", "600", network="bridge") as container,
        running_exporter(tmp_path, socket_of(docker_engine), within=AS_NOBODY) as running,
    ):
        wait_until(lambda: exporter.shows(NETWORK, id=container.id), "the network as root sees it")
        scrape = running.scrape()
        said = [one["msg"] for one in running.messages() if one["level"] == "warn"]

    assert scrape.value(CPU, id=container.id) > 0
    assert scrape.values("jobmeter_container_processes", id=container.id) == [1]
    assert scrape.labels(NETWORK) == []
    assert scrape.value(ENGINE_UP) == 0
    assert any("without root" in sentence and "no network series" in sentence for sentence in said)


def test_network_of_the_engine(docker_engine: DockerEngine, exporter: RunningExporter) -> None:
    """It is no container's own, also where the engine is in a network namespace that is not the host's."""
    with (
        docker_engine.spawn(BUSYBOX, "sleep", "600", network="host") as on_the_engines,
        docker_engine.spawn(BUSYBOX, "sleep", "600", network="bridge") as on_its_own,
    ):
        wait_until(lambda: exporter.shows(NETWORK, id=on_its_own.id), "the other one's network")
        wait_until(lambda: exporter.shows(CPU, id=on_the_engines.id), "the container")
        assert exporter.shows(NETWORK, id=on_the_engines.id) == []


# --- what it survives


@contextmanager
def cgroups(count: int) -> Iterator[dict[str, Cgroup]]:
    """So many at one path in all hierarchies, each with a process, by the ids that their names are."""
    require_root("cgroups of the test's own")
    own, name = own_cgroups(), f"test-{uuid4().hex[:8]}"
    tops = {one: hierarchy_root(own[one]) / name for one in (*V1_CONTROLLERS, V2) if one in own}
    ids = [uuid4().hex * 2 for _ in range(count)]
    groups = {one: Cgroup({key: top / one for key, top in tops.items()}) for one in ids}
    processes = []
    try:
        for group in groups.values():
            for path in group.paths.values():
                path.mkdir(parents=True)
            processes.append(group.spawn(["sleep", "600"]))
        yield groups
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for group in groups.values():
            group.remove()
        for top in tops.values():
            top.rmdir()


def test_few_descriptors(tmp_path: Path) -> None:
    """All containers are there with true values; what cannot stay open is opened for each reading."""
    with cgroups(150) as groups:
        flags = ["--interval=100ms", "--engine-socket=none"]
        few = ["prlimit", "--nofile=256:256"]
        with running_exporter(tmp_path, *flags, within=few) as running:
            wait_until(
                lambda: len(running.shows("jobmeter_container_processes")) >= len(groups), "all of them"
            )
            scrapes = [running.scrape() for _ in range(5)]

        for key, group in groups.items():
            assert scrapes[-1].value(CPU, id=key) == pytest.approx(group.cpu_seconds(), abs=1e-5)
            assert {*scrapes[-1].values("jobmeter_exporter_read_errors_total")} == {0.0}


def test_hostile_labels(docker_engine: DockerEngine, exporter: RunningExporter) -> None:
    """Whatever an engine accepts, the scrape parses in both forms, and the text is there on one line, cut when long."""
    labels = {
        "newline": "a\nb",
        "quotes": 'a"b\\c\\n"} 1\n# EOF\n',
        "bytes": "a\udcff\udcfeb",
        "control": "\x1b[31mred\x7f",
        "long": "x" * 10_240,
        "ünï-key": "strange",
        "jobmeter.repository": 'acme/"x"\n{y="z"}',
        "jobmeter.job": "b\udcffuild\\",
    }
    flags = [f"--label={name}={value}" for name, value in labels.items()]
    with docker_engine.spawn(BUSYBOX, "sleep", "600", flags=flags, name="hostile") as container:
        wait_until(lambda: exporter.shows(INFO, id=container.id, attribution="own"), "whose it is")
        scrape = exporter.scrape()
        openmetrics = exporter.get(headers={"Accept": "application/openmetrics-text"})
        (cadvisor,) = scrape.labels("container_last_seen", name="hostile")
        (info,) = scrape.labels(INFO, id=container.id)

    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert "container_last_seen" in {family.name for family in parse_openmetrics(openmetrics.text)}
    assert (info["repo"], info["job"]) == ('acme/"x" {y="z"}', "b\ufffduild\\")
    assert {
        name: cadvisor[f"container_label_{name}"] for name in ("newline", "quotes", "bytes", "control")
    } == {
        "newline": "a b",
        "quotes": 'a"b\\c\\n"} 1 # EOF',
        "bytes": "a\ufffd\ufffdb",
        "control": "[31mred",
    }
    assert 1000 < len(cadvisor["container_label_long"]) <= 1024


def test_engine_that_hangs(docker_engine: DockerEngine, tmp_path: Path) -> None:
    """It starts and shows the containers all the same; names come when the engine answers again."""
    with docker_engine.spawn(BUSYBOX, "sleep", "600", name="patient") as container:
        os.kill(docker_engine.pid, signal.SIGSTOP)
        try:
            with running_exporter(tmp_path, socket_of(docker_engine)) as running:
                scrape = running.scrape()
                os.kill(docker_engine.pid, signal.SIGCONT)
                wait_until(lambda: running.shows(INFO, id=container.id, name="patient"), "its name")
        finally:
            os.kill(docker_engine.pid, signal.SIGCONT)

    assert scrape.value(CPU, id=container.id) > 0
    assert [one["image"] for one in scrape.labels(INFO, id=container.id)] == [""]


def test_engine_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Who was known stays known; a container that is made meanwhile has its values at once, and its name later."""
    with (
        running_podman() as podman,
        running_exporter(tmp_path, f"--engine-socket=docker={podman.socket}") as running,
    ):
        before = podman.run("--detach", "--name=before", PODMAN_BUSYBOX, "sleep", "600")
        wait_until(lambda: running.shows(INFO, id=before, name="before"), "a name")
        podman.leave()
        wait_until(lambda: running.scrape().value(ENGINE_UP) == 0, "that it is gone")
        between = podman.run("--detach", "--name=between", PODMAN_BUSYBOX, "sleep", "600")
        wait_until(lambda: running.shows(CPU, id=between), "the values of an unknown container")
        assert running.shows(INFO, id=before, name="before")
        assert [one["image"] for one in running.shows(INFO, id=between)] == [""]
        podman.serve()
        wait_until(lambda: running.shows(INFO, id=between, name="between"), "its name")
        assert running.scrape().value(ENGINE_UP) == 1
        failed = [one for one in running.messages() if one["msg"] == "a sample failed"]
    assert failed == []


def test_series_go_after_a_while(docker_engine: DockerEngine, exporter: RunningExporter) -> None:
    """The last values of a container stay as long as was said, then all of it goes."""
    container = docker_engine.spawn(BUSYBOX, "sleep", "600")
    wait_until(lambda: exporter.shows(CPU, id=container.id), "the container")
    container.remove()
    wait_until(lambda: exporter.shows(ENDED, id=container.id), "its end")
    ended = exporter.scrape().container("end_time_seconds", container.id)
    assert exporter.shows(CPU, id=container.id)
    wait_until(lambda: not exporter.shows(CPU, id=container.id), "the end of its series")

    assert LINGER_SECONDS <= time.time() - ended < LINGER_SECONDS + 5
    assert container.id not in exporter.scrape().text


# --- who may ask, and how it stops


def test_token(tmp_path: Path) -> None:
    """Without it there is nothing to be had but whether it lives; it is in no log."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with running_exporter(tmp_path, f"--read-token-file={file}", "--engine-socket=none") as running:
        statuses = {
            (path, given): running.get(
                path, headers={"Authorization": f"Bearer {given}"} if given else {}
            ).status_code
            for path in ("/metrics", "/debug/pprof/", "/healthz")
            for given in ("", "wrong", TOKEN)
        }
        said = running.log.read_text()

    assert {one for one, status in statuses.items() if status == 401} == {
        (path, given) for path in ("/metrics", "/debug/pprof/") for given in ("", "wrong")
    }
    assert set(statuses.values()) == {200, 401}
    assert TOKEN not in said


def test_tls(tmp_path: Path) -> None:
    """A scraper that trusts the certificate is answered."""
    place, key = certificate(tmp_path)
    flags = [f"--tls-cert={place}", f"--tls-key={key}", "--engine-socket=none"]
    with running_exporter(tmp_path, *flags, scheme="https") as running:
        answer = running.get(verify=str(place))

    assert answer.status_code == 200
    assert "jobmeter_exporter_build_info" in answer.text


def test_it_stops_in_order_however_often_it_is_told(tmp_path: Path) -> None:
    """With exit code 0, and one line."""
    with running_exporter(tmp_path, "--engine-socket=none") as running:
        for _ in range(3):
            running.process.send_signal(signal.SIGTERM)
        running.process.wait(30)

    assert [one["msg"] for one in running.messages()] == ["exporter started", "exporter stopped"]
