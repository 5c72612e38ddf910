"""The pages as answers of a running receiver: headers, problems, and what the form sends."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests
from msgspec import structs

from jobmeter.model import wire
from jobmeter.model.exits import Exit
from jobmeter.receiver.pages.layout import POLICY
from tests.receiver.api.running import RunningReceiver
from tests.receiver.api.test_runs import records_of, summary_of, uid


@pytest.mark.parametrize("path", ["/", "/runs", f"/runs/{uid(70)}", "/runs/none", "/runs?state=dead"])
def test_every_page_is_guarded(receiver: RunningReceiver, path: str) -> None:
    """Nothing may run or be fetched, no one may frame it, guess its type or keep it."""
    answer = receiver.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path, status, said",
    [
        ("/runs/%3Cscript%3E", 404, "There is no run &#x27;&lt;script&gt;&#x27;."),
        ("/runs?state=dead", 400, "state is &#x27;dead&#x27;; accepted are running, finished, lost."),
        ("/runs?cursor=", 400, "The list cannot go on from there"),
        (
            "/runs?since=2026-01-01",
            400,
            "The parameter &#x27;since&#x27; is not known; accepted are organization,",
        ),
        (f"/runs/{uid(70)}?x=1", 400, "The parameter &#x27;x&#x27; is not known; accepted are none."),
    ],
)
def test_a_problem_is_a_page_too(receiver: RunningReceiver, path: str, status: int, said: str) -> None:
    """People read what is wrong in words, and find a way on."""
    answer = receiver.get(path)
    assert answer.status_code == status
    assert said in answer.text
    assert '<a href="/runs">All runs</a>' in answer.text
    itself = f'<a href="{path.partition("?")[0]}">This page without parameters</a>'
    assert (itself in answer.text) == (status == 400)


def test_of_what_is_not_there_the_repository_is_a_link_away(receiver: RunningReceiver) -> None:
    """A page of a job; no word is of the API."""
    answer = receiver.get("/jobs/no%2Fwhere/x/w/j?runs=7")
    assert answer.status_code == 400
    assert '<a href="/jobs/no%2Fwhere/x/w/j">This page without parameters</a>' in answer.text
    absent = receiver.get("/repositories/nobody/nothing")
    assert absent.status_code == 404
    assert "/api/" not in absent.text


@pytest.mark.parametrize("key", ["evidence-0", "gpu"])
def test_a_chart_that_a_run_has_not_is_told_from_a_run_that_is_not_there(
    receiver: RunningReceiver, key: str
) -> None:
    """Most runs have no evidence."""
    receiver.push(summary_of(74))
    answers = [receiver.get(f"/runs/{uid(number)}/charts/{key}") for number in (74, 7774)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert [re.findall("no chart|no run", answer.text) for answer in answers] == [["no chart"], ["no run"]]


def test_the_run_before_is_a_link_away(receiver: RunningReceiver) -> None:
    """From a run to what changed, and from there to both."""
    for number, day in ((77, "20"), (78, "21")):
        summary = summary_of(number, organization="before", repository="before/it")
        summary.exit = Exit(reason="success", code=0)
        summary.start_time = f"2026-11-{day}T12:00:00.000Z"
        receiver.push(summary)
    (link,) = re.findall(
        r'<a href="([^"]+)">Compare with the run before</a>', receiver.get(f"/runs/{uid(78)}").text
    )
    compared = receiver.get(link)
    assert compared.status_code == 200
    assert all(f'href="/runs/{uid(number)}"' in compared.text for number in (77, 78))
    nothing = receiver.get(f"/compare?after={uid(77)}")
    assert "No whole run of the same job and leg began before" in nothing.text
    assert f'href="/runs/{uid(77)}"' in nothing.text
    absent = receiver.get(f"/compare?after={uid(7777)}")
    assert absent.status_code == 404
    assert "/api/" not in absent.text


def test_a_run_that_has_only_begun_has_no_zeros(receiver: RunningReceiver) -> None:
    """Where one sample came right after the start: on its page, in the list and in the API."""
    records = records_of(79, whole=False)
    first = next(place for place, record in enumerate(records) if isinstance(record, wire.Tick))
    tick = records[first]
    assert isinstance(tick, wire.Tick)
    begun = structs.replace(tick, sample=structs.replace(tick.sample, elapsed_seconds=0.003))
    receiver.stream([*records[:first], begun])
    page = receiver.get(f"/runs/{uid(79)}").text
    assert "Has begun" in page
    assert "Charts begin with the second sample" in page
    assert "3 ms" not in page
    assert "Duration" not in page
    summary = receiver.get(f"/api/v1/runs/{uid(79)}").json()["summary"]
    assert summary["cpu_seconds"] is None
    assert {box["cpu_seconds"] for box in summary["containers"]} == {None}


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    "method, path, status, said",
    [
        ("GET", "/", 401, '<a href="/login">Sign in</a>'),
        ("GET", f"/runs/{uid(70)}", 401, "it is the password, with any user name."),
        ("GET", "/%3Cscript%3E", 404, "There is no page at this address."),
        ("GET", "/nothing", 404, "There is no page at this address."),
        ("POST", "/", 405, "The method POST is not accepted here; accepted are GET."),
    ],
)
def test_a_browser_is_refused_by_a_page(
    receiver: RunningReceiver, method: str, path: str, status: int, said: str
) -> None:
    """It says what to do, leads on, and carries what a browser has to know."""
    wrong = ("anyone", "wrong")
    answer = requests.request(method, receiver.url + path, headers=BROWSER, auth=wrong, timeout=30)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert said in answer.text
    assert answer.text.count("<script") == 1
    assert ('<a href="/runs">All runs</a>' in answer.text) == (status != 401)
    assert ("Basic" in answer.headers.get("www-authenticate", "")) == (status == 401)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    "path, headers, status",
    [
        ("/api/v1/runs", BROWSER, 401),
        ("/api/v1/nothing", BROWSER, 404),
        ("/", {}, 401),
        ("/nothing", {"Accept": "application/json"}, 404),
    ],
)
def test_a_program_is_refused_by_problem_json(
    receiver: RunningReceiver, path: str, headers: dict[str, str], status: int
) -> None:
    """Below the API whoever asks, and elsewhere who does not ask for HTML."""
    answer = requests.get(receiver.url + path, headers=headers, timeout=30)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_empty_field_of_the_form_asks_for_nothing(receiver: RunningReceiver) -> None:
    """A browser sends all fields of a form, filled in or not."""
    receiver.push(summary_of(70, organization="form"))
    answer = receiver.get("/runs?organization=form&repository=&workflow=&job=&ref=&state=")
    assert answer.text.count("<tr>") == 2
    assert f'href="/runs/{uid(70)}"' in answer.text


def test_older_runs_are_a_link_away(receiver: RunningReceiver) -> None:
    """The page shows 50 and leads to the next, with the filter."""
    for number in range(200, 251):
        receiver.push(summary_of(number, organization="many"))
    first = receiver.get("/runs?organization=many").text
    older = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = receiver.get(older).text

    assert (first.count('href="/runs/'), second.count('href="/runs/')) == (50, 1)
    assert f'href="/runs/{uid(200)}"' in second
    assert '<a href="/runs?organization=many">Newest</a>' in second


def test_what_a_page_needs_is_kept_for_ever_and_found_by_no_other_name(receiver: RunningReceiver) -> None:
    """Style, script and icon: their addresses have a hash, they need no token, and are compressed where asked."""
    page = receiver.get("/").text
    for kind, media_type in (("css", "text/css"), ("js", "text/javascript"), ("svg", "image/svg+xml")):
        (place,) = set(re.findall(rf'"(/assets/[a-z]+\.[0-9a-f]{{16}}\.{kind})"', page))
        answer = receiver.get(place, token=None)
        plain = requests.get(receiver.url + place, headers={"Accept-Encoding": "identity"}, timeout=30)
        assert answer.headers["content-type"].startswith(media_type)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert plain.text == answer.text
        assert receiver.get(place.replace(".", ".0", 1), token=None).status_code == 404


def test_the_script_that_draws_is_made_once_and_is_no_part_of_the_receiver(receiver: RunningReceiver) -> None:
    """It comes from the library by a process of its own; its address names the version."""
    receiver.stream(records_of(75))
    page = receiver.get(f"/runs/{uid(75)}").text
    (place,) = re.findall(r'rel="modulepreload" href="([^"]+)"', page)
    assert place == f"/assets/vega-embed.{version('vl-convert-python')}.js"
    answer = receiver.get(place, token=None)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "window.vegaEmbed=" in answer.text
    assert "vl_convert" not in Path(f"/proc/{receiver.process.pid}/maps").read_text()


@pytest.mark.parametrize(
    "path, status",
    [
        ("cpu", 200),
        ("cpu?width=narrow", 200),
        ("memory?width=wide", 200),
        ("cpu?width=9", 400),
        ("nothing", 404),
        ("evidence-1", 404),
    ],
)
def test_a_chart_is_a_picture_too(receiver: RunningReceiver, path: str, status: int) -> None:
    """For who runs no scripts: light or dark by its own style, and nothing else in it may run."""
    receiver.stream(records_of(76))
    answer = receiver.get(f"/runs/{uid(76)}/charts/{path}")
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
        ElementTree.fromstring(answer.text)
        assert "prefers-color-scheme:dark" in answer.text
    elif status == 404:
        assert f"The run has no chart '{path}'." in answer.text


def test_head_says_the_same_without_a_body(receiver: RunningReceiver) -> None:
    """Who only looks whether it is there is answered."""
    answer = requests.head(f"{receiver.url}/openapi.json", timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 10_000
