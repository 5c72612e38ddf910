"""How evidence is called where it is attached."""

from __future__ import annotations

from typing import get_args

import pytest

from jobmeter.config.referee import Form
from jobmeter.referee.uploads.port import artifact_name, file_name


@pytest.mark.parametrize(
    "job, task, name",
    [
        ("build", "4711", "jobmeter-build-4711"),
        (None, "4711", "jobmeter-job-4711"),
        ('test (a/b, "c":\\<d>|*?\r\n)', "1", "jobmeter-test (a_b, _c____d______)-1"),
        ("prüfen", "1", "jobmeter-prüfen-1"),
        ("ü" * 100, "1", f"jobmeter-{'ü' * 60}-1"),
    ],
)
def test_a_name_has_no_sign_that_forges_refuse(job: str | None, task: str, name: str) -> None:
    """And fits into a file's name."""
    assert artifact_name(job, task) == name


@pytest.mark.parametrize("tasks", [("1", "2"), ("a/b", "a_b"), ("a/b", "a:b"), ("7" * 80, "7" * 81)])
def test_two_legs_of_a_matrix_have_two_names(tasks: tuple[str, str]) -> None:
    """Whatever their tasks are called."""
    first, second = (artifact_name("build", task) for task in tasks)
    assert first != second
    assert len(second.encode()) < 200


def test_each_form_has_its_file() -> None:
    """GitLab's as GitLab calls it."""
    names = {form: file_name(form) for form in get_args(Form)}
    assert names["compat"] == "metrics_referee.json"
    assert len(set(names.values())) == len(names)
