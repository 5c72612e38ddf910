"""Which route a request finds, by the path as it was sent."""

from __future__ import annotations

import pytest

from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Route, Router


async def nothing(scope, receive, send):
    """No test calls it."""


ROUTER = Router(
    Route(method, path, nothing, "open", "")
    for method, path in [
        ("GET", "/"),
        ("POST", "/metrics"),
        ("GET", "/metrics"),
        ("GET", "/repo/{org}/{repo}/jobs"),
        ("GET", "/repo/{org}/{repo}/{job}"),
    ]
)


@pytest.mark.parametrize(
    "path, template, variables",
    [
        (b"/", "/", {}),
        (b"/metrics", "/metrics", {}),
        (b"/repo/o/r/j", "/repo/{org}/{repo}/{job}", {"org": "o", "repo": "r", "job": "j"}),
        (b"/repo/o/o%2Fr/a%20b", "/repo/{org}/{repo}/{job}", {"org": "o", "repo": "o/r", "job": "a b"}),
        (b"/repo/o/r/jobs", "/repo/{org}/{repo}/jobs", {"org": "o", "repo": "r"}),
        (b"/repo/%C3%A9/+/%25", "/repo/{org}/{repo}/{job}", {"org": "é", "repo": "+", "job": "%"}),
    ],
)
def test_a_segment_is_decoded_after_the_path_was_cut(path, template, variables):
    """So an encoded slash stays inside its segment; the first route of the table wins."""
    route, found = ROUTER.match("GET", path)
    assert (route.path, found) == (template, variables)


@pytest.mark.parametrize(
    "method, path, status, sentence",
    [
        ("GET", b"/nonesuch", 404, "nothing at this path"),
        ("GET", b"/metrics/", 404, "nothing at this path"),
        ("GET", b"/repo//r/j", 404, "nothing at this path"),
        ("GET", b"", 404, "nothing at this path"),
        ("DELETE", b"/metrics", 405, "accepted are GET, POST"),
        ("GET", b"/repo/%ff/r/j", 400, "{org} is not UTF-8"),
    ],
)
def test_what_no_route_takes_is_a_problem(method, path, status, sentence):
    """It says what is accepted."""
    with pytest.raises(Problem) as raised:
        ROUTER.match(method, path)
    assert raised.value.status == status
    assert sentence in raised.value.detail


@pytest.mark.parametrize(
    "paths, sentence",
    [
        (["/", "/openapi.json"], "There is nothing at this path; /openapi.json lists what there is."),
        (["/", "/metrics"], "There is nothing at this path; / lists what there is."),
        (["/metrics"], "There is nothing at this path."),
    ],
)
def test_where_the_paths_are_listed(paths, sentence):
    """Only what is there is named."""
    router = Router(Route("GET", path, nothing, "open", "") for path in paths)
    with pytest.raises(Problem) as raised:
        router.match("GET", b"/nonesuch")
    assert raised.value.detail == sentence


def test_head_is_answered_where_get_is():
    """As HTTP wants it."""
    assert ROUTER.match("HEAD", b"/")[0].path == "/"
