"""Whose a container is follows from evidence alone, in a fixed order, and what needs a guess is nobody's."""

from __future__ import annotations

import pytest

from jobmeter.exporter.attribution import DECIDE_SECONDS, KEPT_SECONDS, NEAR_SECONDS, NOBODY, Owner, Owners
from jobmeter.identity.containers import ContainerIdentity
from jobmeter.model.job import Job

BUILD = Job(repository="org/tool", job="build", run_id="1")
TEST = Job(repository="org/tool", job="test", run_id="1")
TASK = Job(forge="gitea")
ENGINE = frozenset({"/run/docker.sock"})
BEGAN = 1000.0
LATER = BEGAN + 100.0


def says(
    job: Job, task_id: str | None = None, *, labelled: bool = False, vouched: bool = True
) -> ContainerIdentity:
    execution = f"gitea/{task_id}" if task_id else None
    return ContainerIdentity(
        job=job, task_id=task_id, execution=execution, vouched=vouched, labelled=labelled
    )


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
    first = f"{order[0]}@{BEGAN + 10.0}"
    assert host.owners.owner("/service", LATER) == Owner(BUILD, "12", "own", first)
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


@pytest.mark.parametrize("after, job", [(NEAR_SECONDS - 1.0, BUILD), (NEAR_SECONDS + 1.0, TASK)])
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_number_again(host: Host, after: float, job: Job, forgotten: bool) -> None:
    """What is known of an execution ends with its last container: later its number is another one's."""
    host.put("/a", says(BUILD, "12"))
    host.owners.end("/a", LATER)
    if forgotten:
        host.owners.forget("/a")
    host.put("/b", says(TASK, "12"), at=LATER + after)
    assert host.of("/b") == (job, "own")
    if not forgotten:
        assert (host.of("/a") == host.of("/b")) == (job == BUILD)


def test_a_number_before(host: Host) -> None:
    """A container that ended long before the others of its number began, and tells late, is none of them."""
    host.put("/early")
    host.owners.end("/early", BEGAN + 20.0)
    host.put("/a", says(BUILD, "12"), at=LATER)
    host.owners.tell("/early", says(TASK, "12"))
    assert host.of("/early", LATER + 1.0) == (TASK, "own")


def test_executions(host: Host) -> None:
    """All of one number or one run have one name in common; those that merely name the same job have one each."""
    nightly = Job(repository="org/tool", job="nightly")
    host.put("/a", says(BUILD, "12"))
    host.put("/b", says(TASK, "12"))
    host.put("/b/in", parent="/b")
    host.put("/run", says(TEST))
    host.put("/run2", says(TEST))
    host.put("/n", says(nightly))
    host.put("/n2", says(nightly))
    host.owners.end("/a", LATER)
    host.owners.end("/b", LATER)
    host.put("/again", says(BUILD, "12"), at=LATER + 2 * NEAR_SECONDS)
    paths = ("/a", "/b", "/b/in", "/run", "/run2", "/n", "/n2", "/again")
    names = [host.owners.owner(path, LATER).execution for path in paths]
    assert None not in names
    assert [names.index(name) for name in names] == [0, 0, 0, 3, 3, 5, 6, 7]


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
    assert host.owners.owner("/a/b", LATER) == Owner(TASK, "12", "nesting", f"/a@{BEGAN + 10.0}")
    host.owners.tell("/a", says(BUILD, "12"))
    assert host.of("/a/b") == (BUILD, "nesting")


def test_ancestry(host: Host) -> None:
    """The nearest ancestor in a known job's container tells; an engine's word of a repository comes first."""
    host.put("/engine")
    host.put("/a", says(BUILD))
    host.put("/b", says(TEST))
    host.put("/1", above=("/engine", "/a", "/b"))
    host.put("/2", says(TEST), above=("/a",))
    host.put("/3", says(TASK), above=("/a",))
    host.put("/4", above=("/4", "/4/inner", "/nowhere"))
    host.put("/5", says(TEST, vouched=False), above=("/a",))
    host.put("/6", says(TEST, vouched=False), above=("/engine",))
    assert [host.of(f"/{number}") for number in range(1, 7)] == [
        (BUILD, "ancestry"), (TEST, "own"), (BUILD, "ancestry"), (None, None), (BUILD, "ancestry"), (TEST, "own"),
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


def test_made_before_the_watching(host: Host) -> None:
    """Of what was there before nobody knows who else was: also where the job is older still."""
    host.put("/job", says(BUILD), at=BEGAN - 10.0, reaches=ENGINE)
    host.put("/made", at=BEGAN - 5.0, made_by=ENGINE)
    host.put("/since", at=BEGAN + 5.0, made_by=ENGINE)
    assert (host.of("/made"), host.of("/since")) == ((None, None), (BUILD, "only_job"))


def test_made_between(host: Host) -> None:
    """The same job was there before and is there again: what was made in the meantime is not its."""
    host.put("/job", says(BUILD), reaches=ENGINE)
    host.owners.end("/job", BEGAN + 20.0)
    host.put("/made", at=BEGAN + 40.0, made_by=ENGINE)
    host.put("/again", says(BUILD), at=BEGAN + 42.0, reaches=ENGINE)
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
