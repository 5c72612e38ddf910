"""The pages of history, asked of a running receiver: what they say, and that no name is markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import pytest

from jobmeter.model.history.digest import digest
from jobmeter.model.job import Job
from jobmeter.receiver.api.history_types import JobHistory
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.history import history_body
from tests.receiver.api.running import RunningReceiver, running_receiver
from tests.support.histories import HOSTILE, hostile, run, story

END = datetime(2026, 11, 20, 12, tzinfo=UTC)
JOB, TEST = "/jobs/acme/engine/ci.yaml/build", "/jobs/acme/engine/ci.yaml/test"
FLEET = "/fleet?since=2026-10-20&until=2026-11-21"
PRICES = 'currency = "EUR"\ncore_hour = 0.04\ngib_hour = 0.005\n[label.big]\ncore_hour = 1\ngib_hour = 1\n'


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """With a story, hostile runs, and a table of prices."""
    directory = tmp_path_factory.mktemp("receiver")
    (directory / "prices.toml").write_text(PRICES)
    with running_receiver(directory, "--prices=prices.toml") as running:
        for summary in (*story(END), *hostile(END)):
            running.push(summary)
        yield running


class Page(HTMLParser):
    """The text of a page, its links, and the tags that are in it."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def look(receiver: RunningReceiver, path: str, status: int = 200) -> Page:
    found = receiver.get(path)
    assert found.status_code == status, found.text
    assert found.headers["content-type"].startswith("text/html")
    return Page(found.text)


def test_repositories_lead_to_jobs_and_jobs_to_runs(receiver: RunningReceiver) -> None:
    """By links alone."""
    assert "/repositories/acme/engine" in look(receiver, "/repositories").links
    assert JOB in look(receiver, "/repositories/acme/engine").links
    links = look(receiver, JOB).links
    assert f"{JOB}/sizing" in links
    assert [link for link in links if link.startswith("/runs/")]


def test_repositories_can_be_looked_for(receiver: RunningReceiver) -> None:
    """And where there is none, a sentence says so."""
    assert "acme/tools" in look(receiver, "/repositories?words=TOOL&order=name").text
    assert "No repository is like that" in look(receiver, "/repositories?words=nothing").text


@pytest.mark.parametrize(
    "order, first", [("memory", "build"), ("memory_waste", "test"), ("name", "build"), ("runs", "build")]
)
def test_jobs_are_ordered_by_a_link(receiver: RunningReceiver, order: str, first: str) -> None:
    """All but the name from the highest on."""
    links = look(receiver, f"/repositories/acme/engine?order={order}").links
    jobs = [link for link in links if link.startswith("/jobs/")]
    assert jobs[0] == f"/jobs/acme/engine/ci.yaml/{first}"


@pytest.mark.parametrize("query", ["", "?ref=refs/heads/main"])
def test_a_job_says_what_changed_and_what_stands_out(receiver: RunningReceiver, query: str) -> None:
    """With the commit, and the run; runs of another branch hide nothing of the one with most runs."""
    text = look(receiver, JOB + query).text
    assert re.search(
        r"Memory rose from \d+ MiB to 1\.\d+ GiB \(\+6\d %\) from commit [0-9a-f]{12}, 2026-11-", text
    )
    assert re.search(r"Outlier 2026-\d\d-\d\d \d\d:\d\d:\d\d : memory 1\.\d+ GiB, usually \d+ MiB", text)
    assert f"GiB-hours in {120 if query else 128} runs" in text


def test_a_job_says_what_it_uses_since_its_last_change(receiver: RunningReceiver) -> None:
    """Not a median over runs before and after it; and of which branch."""
    text = look(receiver, JOB).text
    assert re.search(
        r"Memory 1\.\d+ GiB median of 3\d runs since 2026-11-1\d, \+6\d % from \d+ MiB CPU time", text
    )
    assert re.search(r"is told of main, the branch with most of the runs: 1\d\d that went", text)
    assert "Those of other branches stand apart" in text
    assert "Runs of main that went to their end, since the last change" in text
    assert "stand apart" not in look(receiver, f"{JOB}?ref=refs/heads/faster-link").text
    assert "Of 3 legs of the matrix the tiles are about python=3.1" in look(receiver, TEST).text
    assert "Memory, python=3.12" in look(receiver, f"{TEST}?leg=python%3D3.12").text


def test_runs_of_a_matrix_say_of_which_leg_they_are(receiver: RunningReceiver) -> None:
    """In a column of their own, which a job without legs does not have."""
    assert re.search(r"began, UTC leg end memory .* python=3\.\d+ success", look(receiver, TEST).text)
    assert re.search(r"test ci\.yaml · python=3\.\d+ ", look(receiver, "/repositories/acme/engine").text)
    assert "began, UTC end memory" in look(receiver, JOB).text


def test_runs_that_failed_are_shown_alone(receiver: RunningReceiver) -> None:
    """And it is said that they do not tell what the job uses."""
    page = look(receiver, f"{JOB}?ended=failed")
    found = receiver.get("/api/v1/history/repo/acme/engine/ci.yaml/build?ended=failed").json()["runs"]
    assert {link for link in page.links if link.startswith("/runs/")} == {
        f"/runs/{run['run_uid']}" for run in found
    }
    assert "None of these runs went to its end" in page.text
    assert (
        "None of its runs is like that" in look(receiver, "/jobs/acme/tools/lint.yaml/lint?ended=failed").text
    )


def test_where_no_further_was_looked_it_can_be_gone_on() -> None:
    """It is not said of all runs that none is like that."""
    found = JobHistory(
        organization="o",
        repository="r",
        workflow="w",
        job="j",
        runs=[],
        digest=digest([]),
        next_cursor="5:run",
    )

    body = history_body(found, [], [], {"ended": "whole", "cursor": "9:run"}, Drawing())

    assert "None of the 20,000 that were looked through is like that." in body
    assert "No run is like that" not in body
    assert "ended=whole&amp;cursor=5%3Arun" in body
    assert "Newest" in body


def test_why_there_is_no_chart_is_said(receiver: RunningReceiver) -> None:
    """In words, where a chart would be."""
    text = look(receiver, f"{JOB}?runs=50&leg=none").text
    assert "No run is like that" in text
    receiver.push(run(Job(organization="acme", repository="acme/one", workflow="w", job="j"), END))
    assert "it takes two runs whose numbers could be read" in look(receiver, "/jobs/acme/one/w/j").text


@pytest.mark.parametrize("below", ["", "/sizing", "/compare?before=a&after=b"])
def test_a_job_that_is_not_there_is_not_found(receiver: RunningReceiver, below: str) -> None:
    """With the way on."""
    page = look(receiver, f"/jobs/acme/engine/ci.yaml/none{below}", 404)
    assert "No run of this job is over: acme/engine · ci.yaml · none." in page.text
    assert "/repositories/acme/engine" in page.links


def test_older_runs_are_on_another_page(receiver: RunningReceiver) -> None:
    """The window is chosen, and what was chosen stays."""
    first = look(receiver, f"{JOB}?runs=50&ref=refs/heads/main")
    (older,) = [link for link in first.links if "cursor=" in link]
    second = look(receiver, older)
    assert "runs=50" in older
    assert not {link for link in first.links if "/runs/" in link} & {
        link for link in second.links if "/runs/" in link
    }


def test_the_page_of_sizing_has_forms_to_copy(receiver: RunningReceiver) -> None:
    """And says how sure it is, and whether it would have been enough."""
    text = look(receiver, f"{JOB}/sizing?runs=20").text
    assert "Confident." in text
    assert "would have been killed" in text
    for word in ("resources:", "--memory=", "KUBERNETES_MEMORY_REQUEST"):
        assert word in text
    of_days = look(receiver, f"{JOB}/sizing?runs=20&days=731")
    assert "All runs of" in of_days.text
    assert "would have been killed" not in of_days.text
    assert any(link.endswith("/build?runs=20&days=731") for link in of_days.links if "sizing/repo" in link)


def test_two_branches_are_compared(receiver: RunningReceiver) -> None:
    """The one sentence says what differs by more than noise."""
    query = urlencode({"before": "refs/heads/main", "after": "refs/heads/faster-link"})
    text = look(receiver, f"{JOB}/compare?{query}").text
    assert re.search(r"CPU time -2\d %, duration -3\d %|Duration -3\d %, CPU time -2\d %", text)
    assert "less than usual" in text
    assert "acme/engine · ci.yaml · build" in text


def test_two_runs_are_compared(receiver: RunningReceiver) -> None:
    """With every number of both."""
    runs = receiver.get("/api/v1/history/repo/acme/engine/ci.yaml/build?limit=2&ref=refs/heads/main").json()[
        "runs"
    ]
    page = look(receiver, f"/compare?before={runs[1]['run_uid']}&after={runs[0]['run_uid']}")
    assert "Every number of both runs" in page.text
    assert "acme/engine · ci.yaml · build" in page.text
    assert {JOB, *(f"/runs/{run['run_uid']}" for run in runs)} <= set(page.links)
    assert all(run["sha"][:12] in page.text for run in runs)
    assert look(receiver, f"/compare?before=&after={runs[0]['run_uid']}").text == page.text
    assert "Compare two runs" in look(receiver, "/compare").text
    assert "Compare two runs" in look(receiver, "/compare?before=x").text
    assert "is not there" in look(receiver, "/compare?before=x&after=y", 404).text
    assert "no whole run of its job and leg began before" in look(receiver, "/compare?after=y", 404).text


def test_the_first_run_of_a_job_has_none_before_it(receiver: RunningReceiver) -> None:
    """The page says so, with the way to the run and to its job."""
    history = receiver.get("/api/v1/history/repo/acme/engine/ci.yaml/build?limit=1000").json()
    first = history["runs"][-1]["run_uid"]
    page = look(receiver, f"/compare?after={first}")
    assert "No whole run of the same job and leg began before the run of 2026-" in page.text
    assert {JOB, f"/runs/{first}"} <= set(page.links)


def test_what_too_few_runs_tell_is_not_called_the_same(receiver: RunningReceiver) -> None:
    """Twice the memory beside an equal duration: nobody knows yet whether that is noise."""
    job = Job(organization="acme", repository="acme/few", workflow="w", job="j", ref="refs/heads/main")
    pair = [run(job, END - timedelta(hours=2 - n), memory=(n + 1) * 2**30) for n in range(2)]
    for summary in pair:
        receiver.push(summary)
    text = look(receiver, f"/compare?after={pair[1].run_uid}").text
    assert "Memory: too little is known to tell a difference from noise" in text
    assert "not known 1 run, it takes 5" in text
    assert "+100 %" in text


def test_the_range_beside_a_difference_is_the_one_that_judges(receiver: RunningReceiver) -> None:
    """It says that it was widened, and from what."""
    job = Job(organization="acme", repository="acme/wide", workflow="w", job="j")
    needs = (100, 101, 102, 103, 104, 400, 500)
    runs = [run(job, END - timedelta(hours=9 - n), memory=need * 2**20) for n, need in enumerate(needs)]
    for summary in runs:
        receiver.push(summary)
    text = look(receiver, f"/compare?after={runs[-1].run_uid}").text
    assert (
        "400 MiB 500 MiB +25 % 98.2 MiB to 1.24 GiB 6 runs: 98.2 MiB to 326 MiB; widened, as before" in text
    )
    assert "what the last runs without a branch used" in text


def test_the_fleet_is_told_with_its_cost(receiver: RunningReceiver) -> None:
    """By the prices of the runners' labels: a core and a GiB of the big ones cost 1."""
    text = look(receiver, FLEET).text
    found = receiver.get(f"/api/v1{FLEET}").json()
    job = next(
        one["account"] for one in found["jobs"] if one["job"] == "build" and one["organization"] == "acme"
    )
    hours = job["cpu"]["reserved"] / 3600 + job["memory"]["reserved"] / 3600 / 2**30
    assert job["cost"] == pytest.approx(hours)
    assert f"{found['total']['cost']:,.2f} EUR" in text
    assert "Most wasteful jobs" in text
    assert "No run began on these days" in look(receiver, "/fleet?since=2020-01-01&until=2020-01-02").text


@pytest.mark.parametrize(
    "path, status",
    [
        ("/repositories?order=best", 400),
        ("/repositories/acme/nothing", 404),
        ("/repositories/acme/engine?order=best", 400),
        (f"{JOB}?runs=7", 400),
        (f"{JOB}?cursor=x", 400),
        (f"{JOB}/sizing?runs=0", 400),
        (f"{JOB}/compare?before=x", 400),
        ("/fleet?since=x", 400),
        ("/fleet?nothing=x", 400),
    ],
)
def test_what_is_not_accepted_is_a_page_too(receiver: RunningReceiver, path: str, status: int) -> None:
    """With the sentence of the API."""
    assert str(status) in look(receiver, path, status).text


def test_no_name_is_markup(receiver: RunningReceiver) -> None:
    """In any place of any page: what is written in a name is shown as it is."""
    owner, repository = quote(f"evil{HOSTILE}", safe=""), quote(HOSTILE, safe="")
    job = f"/jobs/{owner}/{repository}/{repository}/{repository}"
    history = receiver.get(f"/api/v1/history/repo{job.removeprefix('/jobs')}").json()["runs"]
    refs = sorted({run["ref"] for run in history})
    sides = [
        urlencode({"before": history[1]["run_uid"], "after": history[0]["run_uid"]}),
        urlencode({"before": refs[0], "after": refs[1]}),
    ]
    pages = [
        "/repositories", f"/repositories/{owner}/{repository}", f"{job}?{urlencode({'leg': HOSTILE, 'ref': HOSTILE})}",
        job, f"{job}/sizing", f"/compare?{sides[0]}", f"{job}/compare?{sides[1]}", FLEET,
        f"/repositories?{urlencode({'words': HOSTILE})}",
        f"/repositories/{owner}/{repository}?{urlencode({'words': HOSTILE})}",
    ]  # fmt: skip
    for path in pages:
        page = look(receiver, path)
        assert page.tags.count("img") == page.tags.count("noscript"), path
        assert "<img src=x" in "".join(page.words), path
        assert "\u202e" not in "".join(page.words)


def test_pictures_are_there_for_who_runs_no_scripts(receiver: RunningReceiver) -> None:
    """Of a job and of the fleet; of nothing else."""
    for path in (f"{JOB}/charts/runs?width=narrow", FLEET.replace("/fleet", "/fleet/charts/days")):
        found = receiver.get(path)
        assert (found.status_code, found.headers["content-type"].partition(";")[0]) == (200, "image/svg+xml")
    assert receiver.get(f"{JOB}/charts/nothing").status_code == 404
