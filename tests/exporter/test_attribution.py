"""Whose a container is follows from evidence alone, in a fixed order, and what needs a guess is nobody's."""

from __future__ import annotations

import pytest

from jobmeter.exporter.attribution import DECIDE_SECONDS, KEPT_SECONDS, NOBODY, Owner, Owners
from jobmeter.identity.containers import ContainerIdentity
from jobmeter.model.job import Job

BUILD = Job(repository="org/tool", job="build", run_id="1")
TEST = Job(repository="org/tool", job="test", run_id="1")
TASK = Job(forge="gitea")
ENGINE = frozenset({"/run/docker.sock"})
BEGAN = 1000.0
LATER = BEGAN + 100.0


def says(job: Job, task_id: str | None = None, *, labelled: bool = False) -> ContainerIdentity:
    execution = f"gitea/{task_id}" if task_id else None
    return ContainerIdentity(job=job, task_id=task_id, execution=execution, labelled=labelled)


class Host:
    """Containers that are put there by a test."""

    def __init__(self) -> None:
        self.owners = Owners(began=BEGAN)

    def put(
        self,
        path: str,
        own: ContainerIdentity | None = None,
        *,
        at: float = BEGAN + 10.0,
        parent: str | None = None,
        above: tuple[str, ...] = (),
        made_by: frozenset[str] = frozenset(),
        reaches: frozenset[str] = frozenset(),
    ) -> None:
        self.owners.enter(path, parent, at)
        self.owners.tell(path, own)
        self.owners.descends(path, above)
        self.owners.made_by(path, made_by)
        self.owners.reaches(path, reaches)

    def of(self, path: str, now: float = LATER) -> tuple[Job | None, str | None]:
        owner = self.owners.owner(path, now)
        return owner.job, owner.attribution


@pytest.fixture
def host() -> Host:
    return Host()


def test_own_word(host: Host) -> None:
    """A container that says whose it is; one that says nothing is nobody's, as is one that is not there."""
    host.put("/a", says(BUILD))
    host.put("/b")
    assert (host.of("/a"), host.of("/b")) == ((BUILD, "own"), (None, None))
    assert host.owners.owner("/c", LATER) is NOBODY


@pytest.mark.parametrize("order", [("/job", "/service"), ("/service", "/job")])
def test_one_execution(host: Host, order: tuple[str, str]) -> None:
    """What one container of a task knows is known of all, whichever came first, and also when that one is gone."""
    told = {"/job": says(BUILD, "12"), "/service": says(TASK, "12")}
    for path in order:
        host.put(path, told[path])
    host.put("/other", says(TASK, "13"))
    assert host.owners.owner("/service", LATER) == Owner(BUILD, "12", "own")
    assert host.of("/other") == (TASK, "own")
    host.owners.end("/job", LATER)
    host.owners.forget("/job")
    assert host.of("/service") == (BUILD, "own")


def test_more_is_learned(host: Host) -> None:
    """The fuller word wins, for every container of the execution."""
    host.put("/a", says(Job(repository="org/tool"), "12"))
    host.put("/b", says(TASK, "12"))
    assert host.of("/b")[0] == Job(repository="org/tool")
    host.owners.tell("/a", says(BUILD, "12"))
    host.owners.tell("/b", says(Job(repository="org/tool", sha="0"), "12"))
    assert host.of("/a") == host.of("/b") == (BUILD, "own")


def test_two_jobs_of_one_number(host: Host) -> None:
    """Two forges count alike: where the word of two contradicts, each has its own and the third none."""
    host.put("/a", says(BUILD, "12"))
    host.put("/b", says(Job(repository="other/tool", run_id="1"), "12"))
    host.put("/c", says(TASK, "12"))
    assert host.of("/a")[0] == BUILD
    assert host.of("/b")[0] == Job(repository="other/tool", run_id="1")
    assert host.of("/c") == (TASK, "own")
    host.owners.reaches("/a", ENGINE)
    host.put("/made", at=BEGAN + 20.0, made_by=ENGINE)
    assert host.of("/made") == (None, None)


def test_own_labels_stand(host: Host) -> None:
    """What the user wrote on one container is not overruled by what others of the execution know."""
    mine = Job(repository="org/tool", job="mine")
    host.put("/a", says(BUILD, "12"))
    host.put("/b", says(mine, "12", labelled=True))
    assert (host.of("/a")[0], host.of("/b")[0]) == (BUILD, mine)


@pytest.mark.parametrize("own", [None, says(TASK, "1"), says(TEST)])
def test_nesting(host: Host, own: ContainerIdentity | None) -> None:
    """All that lies in the container of a known job is this job's, at any depth, whatever it says of itself."""
    host.put("/a", says(BUILD))
    host.put("/a/b", own, parent="/a")
    host.put("/a/b/c", parent="/a/b")
    assert host.of("/a/b") == host.of("/a/b/c") == (BUILD, "nesting")


def test_nesting_in_nobodys(host: Host) -> None:
    """In a runner's own container each job's container says itself whose it is."""
    host.put("/runner")
    host.put("/runner/a", says(BUILD), parent="/runner")
    host.put("/runner/b", parent="/runner")
    assert (host.of("/runner/a"), host.of("/runner/b")) == ((BUILD, "own"), (None, None))


def test_nesting_becomes_known(host: Host) -> None:
    """What lies in a task's container is the task's, and the job's once that is known."""
    host.put("/a", says(TASK, "12"))
    host.put("/a/b", parent="/a")
    assert host.owners.owner("/a/b", LATER) == Owner(TASK, "12", "nesting")
    host.owners.tell("/a", says(BUILD, "12"))
    assert host.of("/a/b") == (BUILD, "nesting")


def test_ancestry(host: Host) -> None:
    """The nearest ancestor in the container of a job tells; a container's own word of a repository comes first."""
    host.put("/engine")
    host.put("/a", says(BUILD))
    host.put("/b", says(TEST))
    host.put("/1", above=("/engine", "/a", "/b"))
    host.put("/2", says(TEST), above=("/a",))
    host.put("/3", says(TASK), above=("/a",))
    host.put("/4", above=("/4", "/4/inner", "/nowhere"))
    assert [host.of(f"/{number}") for number in range(1, 5)] == [
        (BUILD, "ancestry"), (TEST, "own"), (BUILD, "ancestry"), (None, None),
    ]  # fmt: skip


def test_ancestors_in_a_circle(host: Host) -> None:
    """What cannot be does no harm."""
    host.put("/a", above=("/b",))
    host.put("/b", above=("/a",), parent="/a")
    assert host.of("/a") == host.of("/b") == (None, None)


class Made:
    """One job that can reach an engine, and what the engine makes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        host.put("/job", says(BUILD), reaches=ENGINE)
        self.at = BEGAN + 20.0

    def make(self, path: str = "/made", *, at: float | None = None) -> None:
        self.host.put(path, at=self.at if at is None else at, made_by=ENGINE)


@pytest.fixture
def made(host: Host) -> Made:
    return Made(host)


def test_the_only_job(host: Host, made: Made) -> None:
    """It is told once all that were there have told whose they are; what lies within is the job's too."""
    made.make()
    host.put("/made/in", at=made.at, parent="/made")
    assert host.of("/made", made.at + DECIDE_SECONDS - 1) == (None, None)
    assert host.of("/made/in", made.at + DECIDE_SECONDS - 1) == (None, None)
    assert host.of("/made", made.at + DECIDE_SECONDS) == (BUILD, "only_job")
    assert host.of("/made/in", made.at + DECIDE_SECONDS) == (BUILD, "nesting")


def test_the_only_job_at_its_time(host: Host, made: Made) -> None:
    """One that ended is the job's that was alone with it, whoever comes later, also when the job is forgotten."""
    made.make()
    host.owners.end("/made", made.at + 1.0)
    host.put("/later", says(TEST), at=made.at + 2.0)
    assert host.of("/made") == (BUILD, "only_job")
    for path in ("/job", "/later"):
        host.owners.end(path, LATER)
        host.owners.forget(path)
    host.owners.expire(LATER + KEPT_SECONDS)
    assert host.of("/made", LATER + KEPT_SECONDS) == (BUILD, "only_job")


@pytest.mark.parametrize(
    "begins, ends",
    [(BEGAN - 50.0, None), (BEGAN + 5.0, BEGAN + 21.0), (BEGAN + 25.0, None), (BEGAN + 25.0, BEGAN + 26.0)],
)
def test_a_second_job(host: Host, made: Made, begins: float, ends: float | None) -> None:
    """With two jobs at any moment of its life nobody knows, although one of them cannot reach the engine."""
    made.make()
    host.put("/other", says(TEST), at=begins)
    if ends is not None:
        host.owners.end("/other", ends)
        host.owners.forget("/other")
        host.owners.expire(LATER)
    assert host.of("/made") == (None, None)


def test_a_second_job_comes(host: Host, made: Made) -> None:
    """From then on it is nobody's, also when the second has gone again."""
    made.make()
    assert host.of("/made") == (BUILD, "only_job")
    host.put("/other", says(TASK, "13"), at=LATER)
    assert host.of("/made", LATER + 1) == (None, None)
    host.owners.end("/other", LATER + 2)
    host.owners.forget("/other")
    host.owners.expire(LATER + 2 * KEPT_SECONDS)
    assert host.of("/made", LATER + 2 * KEPT_SECONDS) == (None, None)


def test_the_only_job_ends(host: Host, made: Made) -> None:
    """What outlives it is nobody's."""
    made.make()
    assert host.of("/made") == (BUILD, "only_job")
    host.owners.end("/job", LATER)
    assert host.of("/made", LATER + 1) == (None, None)


def test_a_second_container_of_the_only_job(host: Host, made: Made) -> None:
    """Makes no second job, neither by its execution nor by all that is known of the job."""
    host.owners.tell("/job", says(BUILD, "12"))
    host.put("/service", says(TASK, "12"), at=BEGAN + 15.0)
    made.make()
    host.owners.tell("/job", says(BUILD))
    host.owners.tell("/service", says(BUILD))
    assert host.of("/made") == (BUILD, "only_job")


@pytest.mark.parametrize(
    "at, made_by, reaches",
    [
        (BEGAN - 1.0, ENGINE, ENGINE),
        (BEGAN + 5.0, ENGINE, ENGINE),
        (BEGAN + 20.0, frozenset(), ENGINE),
        (BEGAN + 20.0, frozenset({"/run/podman.sock"}), ENGINE),
        (BEGAN + 20.0, ENGINE, frozenset()),
    ],
)
def test_not_by_the_only_job(host: Host, at: float, made_by: frozenset[str], reaches: frozenset[str]) -> None:
    """From before the watching began, or the job; by an engine that is not known, or out of the job's reach."""
    host.put("/job", says(BUILD), reaches=reaches)
    host.put("/made", at=at, made_by=made_by)
    assert host.of("/made") == (None, None)


def test_socket_that_was_gone(host: Host) -> None:
    """A container of the only job that could reach the engine, but ended before or came after, made nothing."""
    host.put("/job", says(BUILD, "12"))
    host.put("/early", says(TASK, "12"), at=BEGAN + 11.0, reaches=ENGINE)
    host.owners.end("/early", BEGAN + 15.0)
    host.put("/made", at=BEGAN + 20.0, made_by=ENGINE)
    host.put("/late", says(TASK, "12"), at=BEGAN + 25.0, reaches=ENGINE)
    assert host.of("/made") == (None, None)


def test_nothing_is_left(host: Host) -> None:
    """Once all are forgotten and their jobs have been there long ago."""
    for number in range(100):
        host.put(f"/{number}", says(BUILD, str(number % 7)) if number % 2 else None)
        host.of(f"/{number}")
    for number in range(100):
        host.owners.end(f"/{number}", LATER)
        host.owners.forget(f"/{number}")
    host.owners.expire(LATER + KEPT_SECONDS)
    kept = (host.owners._containers, host.owners._executions, host.owners._past)
    assert not any(kept)
