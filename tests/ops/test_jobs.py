"""The list of jobs that run now."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.ops.jobs import MAX_VALUE, jobs_route
from tests.ops.asgi import Answered, ask

URL = "https://forge.example/acme/engine/-/jobs/7?a=b&c=%20"


class Known:
    """Some jobs."""

    def __init__(self, *jobs: Mapping[str, str]) -> None:
        self._jobs = jobs

    async def jobs(self) -> tuple[Mapping[str, str], ...]:
        return self._jobs


def listed(*jobs: Mapping[str, str]) -> Answered:
    return ask(jobs_route(Known(*jobs)).handler)


def test_a_job_is_a_line() -> None:
    """Its keys in their order, a URL as it is; without jobs there is nothing."""
    answer = listed({"url": URL, "state": "running", "stage": ""}, {"state": "pending"})
    assert answer.text == f"url={URL} state=running stage=\nstate=pending\n"
    assert (answer.status, answer.headers["x-list-version"]) == (200, "2")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert listed().text == ""


@pytest.mark.parametrize(
    "value, shown",
    [
        ("x\nurl=y state=running", "x%0Aurl=y%20state=running"),
        ("a\r\u2028\u0085b", "a%0D%E2%80%A8%C2%85b"),
        ("a\u00a0b\tc", "a%C2%A0b%09c"),
        ("\x1b[2J\u202e", "%1B[2J%E2%80%AE"),
        ("\udcff", "%3F"),
        ("größe", "größe"),
        ("x" * 5000, "x" * MAX_VALUE),
    ],
)
def test_a_value_cannot_forge_a_key_or_a_line(value: str, shown: str) -> None:
    """Nor do something to a terminal."""
    assert listed({"job": value}).text == f"job={shown}\n"


@given(
    st.lists(st.dictionaries(st.sampled_from(["url", "state", "stage"]), st.text(max_size=50), min_size=1))
)
def test_what_is_listed_is_what_there_is(jobs: list[dict[str, str]]) -> None:
    """As many lines as jobs, as many fields as keys."""
    lines = listed(*jobs).text.splitlines()
    assert [[field.partition("=")[0] for field in line.split()] for line in lines] == [
        list(job) for job in jobs
    ]


def test_only_who_may_see_the_inside_is_told() -> None:
    """The names of jobs are nobody else's business."""
    assert jobs_route(Known()).access == "debug"
