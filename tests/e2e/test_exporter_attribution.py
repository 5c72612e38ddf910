"""Whose job a container is, with real engines and against what the tests know of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.sockets import parse_socket
from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.directory import Identities
from jobmeter.exporter.fleet import Fleet
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of, Sums
from jobmeter.linux.cgroup_mounts import parse_mountinfo
from jobmeter.linux.descriptors import Descriptors
from jobmeter.model.job import Job
from tests.containers.catalog.support import Notes, eventually
from tests.e2e.support.docker import BUSYBOX, HOST, Container, DockerEngine

BUILD = Job(organization="org", repository="org/tool", job="build", run_id="31")
OTHER = Job(organization="org", repository="org/other", job="test", run_id="32")
TASK = f"FORGEJO-ACTIONS-TASK-12_WORKFLOW-{'9' * 64}_JOB-build"
SERVICE = f"{TASK.replace('_', '-')[:63]}-{'7' * 64}"
"""A service's name begins as that of its job, which is cut."""
STEP = [
    "--env=FORGEJO_ACTIONS=true",
    "--env=GITHUB_REPOSITORY=org/tool",
    "--env=GITHUB_JOB=build",
    "--env=GITHUB_RUN_ID=31",
    "--env=GITHUB_TOKEN=not-to-be-kept",
]
STEP_JOB = Job(forge="forgejo", organization="org", repository="org/tool", job="build", run_id="31")
GITLAB = {
    "job.id": "12345",
    "job.url": "https://gitlab.example.com/group/app/-/jobs/12345",
    "pipeline.id": "77",
    "type": "build",
}
BURN = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done"


class Watch:
    """The exporter's own view of the host, kept fresh by a thread."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def rows(self) -> Sequence[Row]:
        return self._fleet.rows

    def row(self, container_id: str) -> Row:
        """That of a container; waits until it is there."""
        eventually(lambda: any(row.id == container_id for row in self._fleet.rows))
        return next(row for row in self._fleet.rows if row.id == container_id)

    def identity(self, container_id: str) -> Identity:
        return self.row(container_id).identity

    def attributed(self, container_id: str, seconds: float = 15.0) -> tuple[Job | None, str | None]:
        """Its job and how that is known, once it is."""
        eventually(lambda: self.identity(container_id).attribution is not None, seconds)
        return self.identity(container_id).job, self.identity(container_id).attribution

    def credited(self, job: Job) -> float:
        """CPU seconds in the totals of a job."""
        of = Of(job.repository or "", job.workflow or "", job.job or "")
        return dict(self._fleet.totals.shown_to(Asking("the test"))).get(of, Sums()).cpu_seconds


@pytest.fixture
def watch(docker_engine: DockerEngine) -> Iterator[Watch]:
    with Catalog([parse_socket(docker_engine.url)], Notes(), first_pause=0.05) as catalog:
        eventually(lambda: catalog.states()[0].status == "connected")
        with watching(catalog) as fleet:
            yield Watch(fleet)


@contextmanager
def watching(catalog: Catalog) -> Iterator[Fleet]:
    hierarchies = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    fleet = Fleet(hierarchies, Identities(catalog), linger_seconds=60.0, descriptors=Descriptors.of_process())
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            fleet.tick()
            fleet.wait(0.5)

    fleet.tick()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield fleet
    finally:
        stop.set()
        thread.join()
        fleet.close()


def labelled(job: Job) -> list[str]:
    fields = {"repository": job.repository, "job": job.job, "run_id": job.run_id}
    return [f"--label=jobmeter.{name}={value}" for name, value in fields.items()]


def with_socket(engine: DockerEngine) -> list[str]:
    """What lets a container speak to the engine that made it."""
    return [f"--volume={engine.directory}/docker.sock:/run/docker.sock"]


def made_within(job: Container, *argv: str) -> str:
    """The id of a container that a job makes through the socket that it was given."""
    command = ("docker", "--host=unix:///run/docker.sock", "run", "--detach", "--network=none", BUSYBOX)
    return job.exec(*command, *argv).stdout.strip()


def test_names_and_labels(docker_engine: DockerEngine, watch: Watch) -> None:
    """Each by its runner's word, a service by that of its job's container; one of nobody is nobody's."""
    gitlab = [f"--label=com.gitlab.gitlab-runner.{name}={value}" for name, value in GITLAB.items()]
    with (
        docker_engine.spawn(BUSYBOX, "sleep", "60", name=SERVICE) as service,
        docker_engine.spawn(BUSYBOX, "sleep", "60", name=TASK) as task,
        docker_engine.spawn(BUSYBOX, "sleep", "60", flags=gitlab) as build,
        docker_engine.spawn(BUSYBOX, "sleep", "60", flags=labelled(OTHER)) as own,
        docker_engine.spawn(BUSYBOX, "sleep", "60", name="redis", flags=["--env=GITHUB_JOB=x"]) as nobody,
    ):
        eventually(lambda: watch.identity(service.id).task_id == "12")
        assert not watch.identity(service.id).resolved
        task.exec("sleep", "50", flags=["--detach", *STEP])
        eventually(lambda: watch.identity(task.id).resolved)
        told = watch.identity(task.id)
        assert (told.name, told.role, told.job, told.task_id) == (TASK, "job", STEP_JOB, "12")
        eventually(lambda: watch.identity(service.id).job == STEP_JOB)
        assert watch.identity(service.id).role == "service"
        assert watch.attributed(build.id)[0] == Job(
            forge="gitlab", server_url="https://gitlab.example.com", organization="group",
            repository="group/app", run_id="77",
        )  # fmt: skip
        assert watch.attributed(own.id) == (OTHER, "own")
        eventually(lambda: watch.identity(nobody.id).name == "redis")
        assert watch.identity(nobody.id).attribution is None


@pytest.mark.parametrize("nested, attribution", [(True, "nesting"), (False, "ancestry")])
def test_docker_in_docker(docker_engine: DockerEngine, watch: Watch, nested: bool, attribution: str) -> None:
    """What a job's own daemon makes is the job's, and each second of it is credited once."""
    with docker_engine.spawn_engine(nested=nested, flags=labelled(BUILD)) as inner:
        eventually(lambda: watch.identity(inner.container.id).resolved)
        made = inner.spawn("sh", "-c", f"{BURN}; sleep 60")
        assert watch.attributed(made) == (BUILD, attribution)
        assert watch.row(made).parent == (inner.container.id if nested else None)
        eventually(lambda: (watch.row(made).account.cpu_seconds or 0.0) > 0.3, 30.0)

        def known() -> float:
            outer = watch.row(inner.container.id).account.cpu_seconds or 0.0
            return outer if nested else outer + (watch.row(made).account.cpu_seconds or 0.0)

        eventually(lambda: abs(watch.credited(BUILD) - known()) < 0.02 * known())


def test_socket_with_one_job(docker_engine: DockerEngine, watch: Watch) -> None:
    """What it makes is its own while it lives; the containers from before are not, nor is the time after it."""
    flags = [*labelled(BUILD), *with_socket(docker_engine)]
    with docker_engine.spawn(BUSYBOX, "sleep", "60") as before:
        with docker_engine.spawn(HOST, "sleep", "60", flags=flags) as job:
            eventually(lambda: watch.identity(job.id).resolved)
            made = made_within(job, "sh", "-c", f"{BURN}; while :; do :; done")
            short = made_within(job, "true")
            assert watch.attributed(made) == (BUILD, "only_job")
            assert watch.attributed(short) == (BUILD, "only_job")
            assert watch.row(short).ended is not None
            eventually(lambda: watch.credited(BUILD) > 1.0)
            assert watch.identity(before.id).attribution is None
        eventually(lambda: watch.identity(made).attribution is None)
        credited, nobodys = watch.credited(BUILD), watch.credited(Job())
        eventually(lambda: watch.credited(Job()) > nobodys + 0.5, 40.0)
        assert watch.credited(BUILD) == credited
        docker_engine.docker("rm", "--force", made, short)


def test_build_through_the_socket(docker_engine: DockerEngine, watch: Watch) -> None:
    """A step of Docker's own builder is in no list of containers; its cgroup tells of it."""
    flags = [*labelled(BUILD), *with_socket(docker_engine), "--env=DOCKER_BUILDKIT=1"]
    before = {row.id for row in watch.rows() if row.engine == "buildkit"}
    with docker_engine.spawn(HOST, "sleep", "60", flags=flags) as job:
        eventually(lambda: watch.identity(job.id).resolved)
        # Debian's client has BuildKit within; newer ones need a plugin.
        build = ["/usr/bin/docker", "--host=unix:///run/docker.sock", "build", "--network=none", "-"]
        dockerfile = f"FROM {BUSYBOX}\nRUN {BURN}; echo {job.id}\n"
        docker_engine.docker("exec", "--interactive", job.id, *build, stdin=dockerfile.encode())
        made = [row.id for row in watch.rows() if row.engine == "buildkit" and row.id not in before]
        assert len(made) == 1
        assert watch.attributed(made[0]) == (BUILD, "only_job")
        assert (watch.row(made[0]).account.cpu_seconds or 0.0) > 0.3


def test_socket_with_two_jobs(docker_engine: DockerEngine, watch: Watch) -> None:
    """Nobody can tell which of them made it, or whether one that cannot reach the engine did not."""
    flags = [*labelled(BUILD), *with_socket(docker_engine)]
    with (
        docker_engine.spawn(HOST, "sleep", "60", flags=flags) as job,
        docker_engine.spawn(BUSYBOX, "sleep", "60", flags=labelled(OTHER)) as other,
    ):
        eventually(lambda: watch.identity(job.id).resolved and watch.identity(other.id).resolved)
        made = made_within(job, "sleep", "60")
        threading.Event().wait(7)
        assert (watch.identity(made).attribution, watch.identity(made).job) == (None, None)
        docker_engine.docker("rm", "--force", made)


def test_no_socket(docker_engine: DockerEngine, watch: Watch) -> None:
    """One job that cannot reach the engine has made nothing."""
    with docker_engine.spawn(HOST, "sleep", "60", flags=labelled(BUILD)) as job:
        eventually(lambda: watch.identity(job.id).resolved)
        with docker_engine.spawn(BUSYBOX, "sleep", "60") as made:
            threading.Event().wait(7)
            assert watch.identity(made.id).attribution is None
