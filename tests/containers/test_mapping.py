"""CGROUP_PROCESS_MAP and CGROUP_LIMITS: the documented forms, and one sentence for every other."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobmeter.containers.mapping import DeclaredLimits, parse_limits, parse_process_map
from jobmeter.identity.variables import printable


def test_process_map() -> None:
    """The documented form, in the order of the text."""
    text = '{"node": "runner", "cpu-stress": "cpu stress"}'
    assert parse_process_map(text) == ({"node": "runner", "cpu-stress": "cpu stress"}, [])
    assert list(parse_process_map('{"z": "1", "a": "2"}')[0]) == ["z", "a"]


def test_limits() -> None:
    """The documented form: cores or milli-cores, binary and decimal units."""
    text = '{"runner": {"cpu": "2", "memory": "1Gi"}, "sidecar": {"cpu": "500m", "memory": "256Mi"}}'
    assert parse_limits(text) == (
        {
            "runner": DeclaredLimits(cpu_limit_cores=2.0, memory_limit_bytes=2**30),
            "sidecar": DeclaredLimits(cpu_limit_cores=0.5, memory_limit_bytes=256 * 2**20),
        },
        [],
    )


def test_limits_with_requests_and_numbers() -> None:
    """Requests stand beside limits; a JSON number is a quantity without a unit; null says nothing."""
    text = '{"a": {"cpu_request": 0.25, "memory_request": 1000, "cpu": null, "memory": "1K"}, "b": {}}'
    assert parse_limits(text) == (
        {"a": DeclaredLimits(memory_limit_bytes=1000, cpu_request_cores=0.25, memory_request_bytes=1000)},
        [],
    )


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_nothing_said(text: str) -> None:
    """Empty variables are no problem."""
    assert parse_process_map(text) == ({}, [])
    assert parse_limits(text) == ({}, [])


@pytest.mark.parametrize("text", ['{"node"', "[]", "null", "node=runner", '"x"', "\udc80", "[" * 5000])
def test_not_an_object(text: str) -> None:
    """One sentence names the variable, the value and the form that is accepted."""
    for parse, variable in ((parse_process_map, "CGROUP_PROCESS_MAP"), (parse_limits, "CGROUP_LIMITS")):
        good, problems = parse(text)
        assert good == {}
        (sentence,) = problems
        assert sentence.startswith(f"{variable} is ignored: '")
        assert "is not a JSON object" in sentence
        assert len(sentence) < 220


def test_map_entry_not_accepted() -> None:
    """A bad entry is named and left out; the good ones stay."""
    assert parse_process_map('{"node": "runner", "java": 1, "": "x", "sh": " "}') == (
        {"node": "runner"},
        [
            f"CGROUP_PROCESS_MAP: the entry {entry} is ignored; "
            'accepted is a JSON object of process name and container name such as {"node": "runner"}'
            for entry in ("'java': 1", "'': \"x\"", "'sh': \" \"")
        ],
    )


@pytest.mark.parametrize(
    "entry, problem",
    [
        (
            '{"cpu": "2x"}',
            "cpu of 'a' is ignored: '2x' is not a CPU quantity; accepted are forms such as 2, 0.5 or 500m",
        ),
        (
            '{"memory": "1Qi"}',
            "memory of 'a' is ignored: '1Qi' is not a memory quantity; "
            "accepted are forms such as 1073741824, 256Mi, 1.5Gi or 1G",
        ),
        (
            '{"memory": true}',
            "memory of 'a' is ignored: true is not a quantity; accepted are forms such as 500m, 2, 256Mi",
        ),
        (
            '{"cpu_request": [1]}',
            "cpu_request of 'a' is ignored: [1] is not a quantity; accepted are forms such as 500m, 2, 256Mi",
        ),
        ('{"cpu": "0"}', "cpu of 'a' is ignored: '0' is not more than 0; leave it out where there is none"),
        (
            '{"memory": "0.2"}',
            "memory of 'a' is ignored: '0.2' is not more than 0; leave it out where there is none",
        ),
        (
            '{"gpu": "1"}',
            "'gpu' of 'a' is not known and ignored; accepted are cpu, memory, cpu_request, memory_request",
        ),
        (
            '"2"',
            "the entry 'a': \"2\" is ignored; "
            'accepted is a JSON object such as {"runner": {"cpu": "2", "memory": "1Gi"}}',
        ),
    ],
)
def test_limits_entry_not_accepted(entry: str, problem: str) -> None:
    """A bad quantity is named with its place and what is accepted; the other containers stay."""
    good, problems = parse_limits(f'{{"a": {entry}, "b": {{"cpu": "1"}}}}')
    assert good == {"b": DeclaredLimits(cpu_limit_cores=1.0)}
    assert problems == [f"CGROUP_LIMITS: {problem}"]


def test_bad_quantity_keeps_the_good_one() -> None:
    """Within one container, too."""
    good, problems = parse_limits('{"a": {"cpu": "two", "memory": "1Gi"}}')
    assert good == {"a": DeclaredLimits(memory_limit_bytes=2**30)}
    assert len(problems) == 1


def test_too_long() -> None:
    """A text beyond 64 Ki characters is refused by its length, without showing it."""
    text = '{"a": "' + "x" * 65536 + '"}'
    assert parse_process_map(text) == (
        {},
        [f"CGROUP_PROCESS_MAP is ignored: it has {len(text)} characters; at most 65536 are accepted"],
    )


def test_too_many_entries() -> None:
    """Only the first 256 entries are used, and that is said."""
    text = msgspec.json.encode({f"p{number}": "c" for number in range(300)}).decode()
    good, problems = parse_process_map(text)
    assert list(good) == [f"p{number}" for number in range(256)]
    assert problems == ["CGROUP_PROCESS_MAP: only the first 256 of 300 entries are used"]


def test_many_problems() -> None:
    """A thoroughly wrong text does not flood the log."""
    text = msgspec.json.encode({f"p{number}": number for number in range(100)}).decode()
    good, problems = parse_process_map(text)
    assert good == {}
    assert len(problems) == 10
    assert problems[-1] == "CGROUP_PROCESS_MAP: 91 more parts of it are ignored"


def test_huge_number() -> None:
    """A number of any length is refused, not converted."""
    assert parse_limits('{"a": {"cpu": ' + "9" * 6000 + "}}")[0] == {}


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1", "500m", "1Gi", "9" * 400, "1e5", "-1", "٣", "0x1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cpu", "memory", "cpu_request", "x", ""]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES.map(lambda value: msgspec.json.encode(value).decode()) | st.text(st.characters(), max_size=60))
def test_any_text(text: str) -> None:
    """Any text gives what is good in it and printable sentences, never an exception."""
    process_map, map_problems = parse_process_map(text)
    limits, limit_problems = parse_limits(text)
    assert all(sentence.isprintable() for sentence in map_problems + limit_problems)
    assert all(process and container == printable(container) for process, container in process_map.items())
    for declared in limits.values():
        quantities = msgspec.structs.astuple(declared)
        assert any(quantity is not None for quantity in quantities)
        assert all(quantity is None or quantity > 0 for quantity in quantities)
