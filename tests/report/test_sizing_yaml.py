from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import UsageError
from jobmeter.report.sizing_yaml import Documents

keys = st.sampled_from(["a", "b", "c"])
scalars = st.none() | st.integers() | st.booleans() | st.text("xyz :#'\"\n*&[{", max_size=6)
trees = st.recursive(
    scalars, lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2)
)


@given(
    st.dictionaries(keys, trees, min_size=1, max_size=3),
    st.lists(keys, min_size=1, max_size=4),
    st.sampled_from([True, False, None]),
    st.integers(2, 5),
    st.booleans(),
)
def test_one_value_is_set_in_any_yaml(
    tree: dict[str, Any], path: list[str], flow: bool | None, indent: int, quoted: bool
) -> None:
    """Block and flow, of any shape: the value is there afterwards, all else is as it was, or the place is refused."""
    text = yaml.safe_dump(tree, default_flow_style=flow, indent=indent, sort_keys=False)
    reachable = _can_be_set(tree, path)

    try:
        found = yaml.safe_load(Documents(text, "f").assign((0, *path), "1504Mi", quoted=quoted).text)
    except UsageError as refusal:
        assert not reachable or "anchor" in str(refusal) or "plain value" in str(refusal)  # noqa: PT017
    else:
        assert reachable
        assert found == _with(tree, path)


def _can_be_set(tree: Any, path: list[str]) -> bool:
    """Whether all on the way are mappings or nothing, and what is there is a scalar."""
    if not path:
        return not isinstance(tree, dict | list)
    if not isinstance(tree, dict):
        return tree is None
    return path[0] not in tree or _can_be_set(tree[path[0]], path[1:])


def _with(tree: Any, path: list[str]) -> Any:
    if not path:
        return "1504Mi"
    return {**(tree or {}), path[0]: _with((tree or {}).get(path[0]), path[1:])}


@pytest.mark.parametrize(
    "text, path, changed",
    [
        ("a: 'x' # why\n", ("a",), "a: '1' # why\n"),
        ("a:\n", ("a",), "a: 1\n"),
        ("a: # why\nb: 2\n", ("a", "c"), "a: # why\n  c: 1\nb: 2\n"),
        ("a:\n    b: 2\n\n# end\n", ("a", "c"), "a:\n    b: 2\n    c: 1\n\n# end\n"),
        ("a:\n- b: 2\n- c: 3\n", ("a", 0, "d"), "a:\n- b: 2\n  d: 1\n- c: 3\n"),
        ("a: [1, {b: 2}]\n", ("a", 1, "d", "e"), "a: [1, {b: 2, d: {e: 1}}]\n"),
        (
            "x: &x {y: 1}\na:\n  b: *x  # shared\n",
            ("a", "c"),
            "x: &x {y: 1}\na:\n  b: *x  # shared\n  c: 1\n",
        ),
        ("a:\n  b: |\n    text\n\n\nc: 2\n", ("a", "d"), "a:\n  b: |\n    text\n  d: 1\n\n\nc: 2\n"),
        ("{}\n", ("a",), "{a: 1}\n"),
    ],
)
def test_the_text_around_a_value_stays(text: str, path: tuple[str | int, ...], changed: str) -> None:
    """Character by character."""
    assert Documents(text, "f").assign((0, *path), "1").text == changed


def test_values_of_several_documents_are_told_apart() -> None:
    """The first part of a path is the document."""
    found = Documents("a: 1\n---\na: 2\n", "f").assign((1, "a"), "3")

    assert found.text == "a: 1\n---\na: 3\n"
    node = found.node((1, "a"))
    assert node is not None
    assert node.value == "3"
    assert found.node((2, "a")) is None
    assert found.node((0, "a", 0)) is None
