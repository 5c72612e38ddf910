"""The map of containers: bounded, with ended ones for a while, and a number that tells of changes."""

import msgspec

from jobmeter.containers.catalog.book import Book
from jobmeter.containers.catalog.facts import ContainerFacts, PodFacts

POD = PodFacts("u", "runner-1", "ci")
SANDBOX = ContainerFacts(
    "containerd", "s", None, None, {}, None, msgspec.structs.replace(POD, labels={"team": "a"}), True
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def container(container_id: str, pod: PodFacts | None = None, **labels: str) -> ContainerFacts:
    return ContainerFacts("docker", container_id, f"name-{container_id}", "bb:1", labels, None, pod)


def test_put_and_change() -> None:
    """The version grows with what is new or changed, and only with that."""
    book = Book()
    book.put(container("a"))
    assert (book.containers["a"], book.version) == (container("a"), 1)
    book.put(container("a"))
    assert book.version == 1
    book.put(container("a", team="x"))
    assert (book.containers["a"].labels, book.version) == ({"team": "x"}, 2)


def test_rename() -> None:
    """Another name for a container that is known; nothing for another."""
    book = Book()
    book.put(container("a"))
    book.rename("a", "new")
    book.rename("b", "new")
    assert {key: facts.name for key, facts in book.containers.items()} == {"a": "new"}


def test_ended() -> None:
    """An ended container is known a while longer, then forgotten when something else happens."""
    clock = Clock()
    book = Book(linger_seconds=10, clock=clock)
    book.put(container("a"))
    book.end("a")
    book.end("never-seen")
    assert (set(book.containers), book.present) == ({"a"}, 0)
    clock.now = 9.9
    book.put(container("b"))
    assert set(book.containers) == {"a", "b"}
    clock.now = 10
    book.put(container("c"))
    assert set(book.containers) == {"b", "c"}


def test_started_again() -> None:
    """A container that comes back is not forgotten."""
    clock = Clock()
    book = Book(linger_seconds=10, clock=clock)
    book.put(container("a"))
    book.end("a")
    book.put(container("a"))
    clock.now = 20
    book.put(container("b"))
    assert (set(book.containers), book.present) == ({"a", "b"}, 2)


def test_replace() -> None:
    """What is not in a new list has ended; what is in it stays as it was."""
    clock = Clock()
    book = Book(linger_seconds=10, clock=clock)
    book.replace([container("a"), container("b")])
    book.replace([container("b"), container("c")])
    assert (set(book.containers), book.present, book.version) == ({"a", "b", "c"}, 2, 3)
    clock.now = 10
    book.replace([container("b"), container("c")])
    assert set(book.containers) == {"b", "c"}


def test_full() -> None:
    """With no room the oldest ended one goes; where all are there, the new one is counted and left out."""
    book = Book(max_containers=2)
    book.replace([container("a"), container("b")])
    book.put(container("c"))
    assert (set(book.containers), book.dropped) == ({"a", "b"}, 1)
    book.put(container("a", team="x"))
    assert book.containers["a"].labels == {"team": "x"}
    book.end("b")
    book.put(container("c"))
    assert (set(book.containers), book.dropped) == ({"a", "c"}, 1)


def test_bounded_for_ever() -> None:
    """Ten thousand containers that came and went leave nothing."""
    clock = Clock()
    book = Book(max_containers=100, linger_seconds=1, clock=clock)
    for number in range(10_000):
        pod = msgspec.structs.replace(POD, uid=str(number))
        book.put(msgspec.structs.replace(SANDBOX, id=f"s{number}", pod=pod))
        book.put(container(str(number), pod))
        book.end(f"s{number}")
        book.end(str(number))
        clock.now += 0.1
    clock.now += 1
    book.end("")
    assert (book.containers, book.present, book.dropped) == ({}, 0, 0)
    assert (book._pods, book._ended) == ({}, {})


def test_labels_of_the_pod() -> None:
    """A container gets the labels that its pod's sandbox told, in whatever order a list has them."""
    for order in ([container("a", POD), SANDBOX], [SANDBOX, container("a", POD)]):
        book = Book()
        book.replace(order)
        assert book.containers["a"].pod is SANDBOX.pod


def test_pod_that_a_list_does_not_tell() -> None:
    """What an event told of the pod outlives a list without it."""
    book = Book()
    book.put(container("a", POD))
    book.replace([container("a")])
    assert book.containers["a"].pod == POD
