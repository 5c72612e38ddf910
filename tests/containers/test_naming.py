"""The rule that names containers."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobmeter.containers.cgroup_path import locate
from jobmeter.containers.naming import ContainerNamer, Naming

A = "/docker/4f0c2a9d81b3" + "a" * 52
B = "/docker/9bca8d63d5fa" + "b" * 52


def name(namer: ContainerNamer, path: str, *process_names: str) -> Naming:
    return namer.name(path, locate(path), path, process_names)


def test_named_process_identifies_its_cgroup() -> None:
    """One process of the map among others names the whole group."""
    namer = ContainerNamer({"node": "runner"})
    assert name(namer, A, "sh", "node", "cc1") == Naming("runner", mapped=True, changed=False)


def test_no_map_names_it() -> None:
    """A container without a named process keeps its short name; a cgroup outside keeps its directory's."""
    namer = ContainerNamer({"node": "runner"})
    assert name(namer, B, "sleep") == Naming("docker-9bca8d63d5fa", mapped=False, changed=False)
    assert name(namer, "/system.slice/ssh.service", "sshd").name == "ssh"


def test_named_process_starts_later() -> None:
    """The fallback gives way to the map's name once, and that is reported once."""
    namer = ContainerNamer({"node": "runner"})
    assert name(namer, A, "sh").name == "docker-4f0c2a9d81b3"
    assert name(namer, A, "sh", "node") == Naming("runner", mapped=True, changed=True)
    assert name(namer, A, "sh") == Naming("runner", mapped=True, changed=False)


def test_mapped_name_stays() -> None:
    """A second entry that matches later does not rename the container."""
    namer = ContainerNamer({"first": "one", "second": "two"})
    assert name(namer, A, "second").name == "two"
    assert name(namer, A, "first", "second").name == "two"


def test_two_groups_of_one_name() -> None:
    """The second container that matches gets a number, in the order of first match."""
    namer = ContainerNamer({"node": "runner"})
    assert name(namer, A, "node").name == "runner"
    assert name(namer, B, "node").name == "runner-2"
    assert name(namer, A, "node").name == "runner"


def test_number_does_not_collide() -> None:
    """A number that is taken by another name is passed over."""
    namer = ContainerNamer({"a": "x-2", "b": "x"})
    assert [name(namer, "/1", "a").name, name(namer, "/2", "b").name, name(namer, "/3", "b").name] == [
        "x-2",
        "x",
        "x-3",
    ]


def test_first_entry_of_the_map_wins() -> None:
    """When a group matches two entries, the order of the map decides, not that of the processes."""
    assert name(ContainerNamer({"node": "runner", "java": "app"}), A, "java", "node").name == "runner"
    assert name(ContainerNamer({"java": "app", "node": "runner"}), A, "node", "java").name == "app"


@pytest.mark.parametrize(
    "entry, seen, matches",
    [
        ("node", "node", True),
        ("node", "Node", False),
        ("node", "nodejs", False),
        ("node", "nod", False),
        ("containerd-shim-runc-v2", "containerd-shim", True),
        ("containerd-shim-runc-v2", "containerd-shim-runc-v2", True),
        ("containerd-shim-runc-v2", "containerd-shi", False),
        ("containerd-shim", "containerd-shim-runc-v2", False),
        ("fünfzehn-bytes-x", "fünfzehn-bytes", True),
        ("exactly-15-byte", "exactly-15-byte", True),
        ("1234567890123ééé", "1234567890123é", True),
        ("12345678901234é", "12345678901234", True),
        ("12345678901234é", "12345678901234\ufffd", True),
        ("abcdefghijklmné", "abcdefghijklmn\udcc3", True),
    ],
)
def test_match_of_one_name(entry: str, seen: str, matches: bool) -> None:
    """Names match whole and by case; a longer entry matches a comm, which the kernel cuts to 15 bytes."""
    assert name(ContainerNamer({entry: "c"}), A, seen).mapped is matches


def test_same_first_bytes() -> None:
    """argv[0] tells two entries with the same 15 bytes apart; without it the first one is meant."""
    namer = ContainerNamer({"gitlab-runner-helper": "helper", "gitlab-runner-build": "build"})
    assert name(namer, A, "gitlab-runner-b", "gitlab-runner-build").name == "build"
    assert name(namer, B, "gitlab-runner-h").name == "helper"


def test_empty_map() -> None:
    """Without a map every container has its short name, made unique."""
    namer = ContainerNamer({})
    assert [name(namer, path).name for path in ("/a/job", "/b/job", "/a/job")] == ["job", "job-2", "job"]


def test_run_that_goes_on() -> None:
    """A restarted collector keeps the names it had given: mapped ones for good, others until named."""
    namer = ContainerNamer({"node": "runner"}, {A: "runner-2", B: "docker-9bca8d63d5fa"})
    assert name(namer, A) == Naming("runner-2", mapped=True, changed=False)
    assert name(namer, B, "sh") == Naming("docker-9bca8d63d5fa", mapped=False, changed=False)
    assert name(namer, B, "node") == Naming("runner", mapped=True, changed=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.text(max_size=20), st.sampled_from(["a", "a-2", "b"]), max_size=4),
    st.lists(st.tuples(st.sampled_from("123"), st.lists(st.text(max_size=20), max_size=3)), max_size=12),
)
def test_names_are_unique_and_stay(
    process_map: dict[str, str], sightings: list[tuple[str, list[str]]]
) -> None:
    """No two containers share a name, a mapped name never changes, and a change is always told."""
    namer = ContainerNamer(process_map)
    current: dict[str, Naming] = {}
    for key, seen in sightings:
        naming = namer.name(key, None, f"/x/{key}", seen)
        before = current.get(key)
        assert naming.changed == (before is not None and before.name != naming.name)
        assert before is None or not before.mapped or before.name == naming.name
        current[key] = naming
        assert len({each.name for each in current.values()}) == len(current)
