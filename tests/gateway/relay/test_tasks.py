"""What is remembered of tasks and runners, in bounded numbers."""

from jobmeter.gateway.forges.port import Identity, Task
from jobmeter.gateway.relay.tasks import MAX_NAMES, Known, Memory


def test_changes_are_told_once():
    """A name that is said again is no news, nor the end of a task that nobody knows."""
    changes: list[int] = []
    memory = Memory(lambda: changes.append(1))
    for _ in range(2):
        memory.call(Identity(key="a", name="one"))
    memory.add(Known(id="7", proof="p", identity="a", at=0.0))
    assert memory.drop("7") is not None
    assert memory.drop("7") is None
    assert len(changes) == 3


def test_names_are_bounded():
    """The oldest goes, but not that of a runner at work."""
    memory = Memory()
    memory.add(Known(id="7", proof="p", identity="0", at=0.0))
    for number in range(MAX_NAMES + 1):
        memory.call(Identity(key=str(number)))
    assert len(memory.names) == MAX_NAMES
    assert "0" in memory.names
    assert "1" not in memory.names


def test_drained_runners_are_bounded():
    """The first goes; what is said twice is no change."""
    changes: list[int] = []
    memory = Memory(lambda: changes.append(1))
    for number in range(2001):
        memory.drain(str(number), "key", True)
    assert (len(memory.drained), "0" in memory.drained) == (2000, False)
    for on in (True, False, False):
        memory.drain("1", "key", on)
    assert "1" not in memory.drained
    assert len(changes) == 2002


def test_tasks_of_one_runner():
    """The oldest first."""
    memory = Memory()
    for number, proof in enumerate(["p", "q", "p"]):
        memory.add(Known(id=str(number), proof=proof, identity=None, at=0.0))
    assert [known.id for known in memory.of("p")] == ["0", "2"]


def test_no_secret_shows():
    """A task's body is not printed with what is known of it."""
    task = Task(id="7", body=b"secret", encoding="proto")
    assert "secret" not in repr(Known(id="7", proof="p", identity=None, at=0.0, task=task))
