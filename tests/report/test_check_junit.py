"""The result of a check as JUnit."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest

from jobmeter.report.check_junit import check_junit
from tests.report.check_examples import EXAMPLES, evil


@pytest.mark.parametrize(
    "name, tags",
    [
        ("every_state", ["failure", "system-out", "system-out", "failure", "skipped"]),
        ("reported", ["skipped", "system-out", "system-out", "skipped", "skipped"]),
        ("kept", ["system-out", "system-out"]),
        ("lower_bounds", ["failure", "error", "error"]),
        ("nothing", []),
    ],
)
def test_a_case_for_each_budget(name: str, tags: list[str]) -> None:
    """Counts are those of the cases, of the suite and of the whole."""
    root = Xml.fromstring(check_junit(EXAMPLES[name]))
    assert [child.tag for case in root.iter("testcase") for child in case] == tags
    for element in (root, root[0]):
        assert element.get("tests") == str(len(tags))
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert element.get(key) == str(tags.count(tag))


def test_a_case_is_named_by_job_and_budget() -> None:
    """So that a server knows it again in the next run, whatever was used."""
    root = Xml.fromstring(check_junit(EXAMPLES["every_state"]))
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert names[:2] == [
        ("jobmeter.ci.yaml.build", "peak memory need: 256 MiB"),
        ("jobmeter.ci.yaml.build", "peak memory need: +10 %"),
    ]
    failure = root.find(".//failure")
    assert failure is not None
    assert (
        failure.get("message")
        == failure.text
        == "peak memory need of 300 MiB (build) is over 256 MiB by 44 MiB"
    )


def test_names_are_harmless() -> None:
    """XML takes no control characters, not even escaped."""
    text = check_junit(evil())
    Xml.fromstring(text)
    assert all(line.isprintable() for line in text.splitlines())
    assert "<script" not in text
