"""Pictures of the receiver's pages with runs that were metered here.

JOBMETER_PICTURES=write (`make picture`) meters more of them, and puts the pictures into docs/images.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.support.components import JOBMETER, ROOT, jobmeter_environment
from tests.e2e.support.metered_month import metered_month
from tests.e2e.support.workloads import HELLO
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, ViewportSize

WRITE = os.environ.get("JOBMETER_PICTURES") == "write"
PAST_RUNS = 36 if WRITE else 6
WIDE, PHONE = 1168, 400
"""Widths in pixels of a screen and of a phone."""
PRICES = 'currency = "ct"\ncore_hour = 3.0\ngib_hour = 0.4\n'
BUILD = (
    "{mark} configure && ./configure -q && {mark} make && make -s && {mark} 'make again' && make -s clean all"
)
LIVE = {
    "build": ("gnu/hello", "ci.yaml", BUILD),
    "links": (
        "acme/site",
        "nightly.yaml",
        "for i in 1 2 3 4 5 6; do sleep 4; seq 300000 | sort -R > all; done",
    ),
    "wait": ("acme/shop", "deploy.yaml", "dd if=/dev/zero of=held bs=1M count=64; sleep 30"),
}
JOB = "/jobs/acme/engine/ci.yaml/build"
BRANCHES = "before=refs/heads/main&after=refs/heads/less-memory"


class Picture(NamedTuple):
    """A page: where it is, what its heading has in it, how many pixels are shown, in which kinds."""

    name: str
    path: str
    heading: str
    height: int
    kinds: tuple[str, ...] = ("light",)


PICTURES = (
    Picture("runs", "/runs", "Runs", 460),
    Picture("repositories", "/repositories", "Repositories", 300),
    Picture("repository", "/repositories/acme/engine", "engine", 400),
    Picture("job", JOB, "build", 900, ("light", "dark", "phone")),
    Picture("compare", f"{JOB}/compare?{BRANCHES}", "", 640),
    Picture("sizing", f"{JOB}/sizing", "Request", 760, ("light", "phone")),
    Picture("login", "/login", "Sign in", 420),
    Picture("fleet", "/fleet", "", 860, ("light", "dark")),
)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """With a month of metered runs."""
    directory = tmp_path_factory.mktemp("receiver")
    (directory / "prices.toml").write_text(PRICES)
    with running_receiver(directory, "--prices=prices.toml") as running:
        for summary in metered_month(tmp_path_factory.mktemp("jobs"), PAST_RUNS):
            running.push(summary)
        yield running


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go."""
    return ROOT / "docs/images" if WRITE else tmp_path_factory.mktemp("images")


def test_jobs_at_work_and_one_that_is_over(
    browser: Browser, receiver: RunningReceiver, images: Path, tmp_path: Path
) -> None:
    """Now while three stream, then the run of a real build."""
    HELLO.prepare(tmp_path)
    jobs = [start(name, tmp_path, receiver) for name in LIVE]
    try:
        wait_for_samples(receiver)
        take(browser, receiver, images, Picture("now", "/", "Now", 372, ("light", "phone")))
    finally:
        ends = [job.wait(300) for job in jobs]
    assert ends == [0, 0, 0]
    (run,) = receiver.get("/api/v1/runs?repository=gnu/hello").json()["runs"]
    path = f"/runs/{run['run_uid']}"
    take(browser, receiver, images, Picture("run", path, "Succeeded", 900, ("light", "dark", "phone")))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_pages_of_what_is_over(
    browser: Browser, receiver: RunningReceiver, images: Path, picture: Picture
) -> None:
    """Each with its charts drawn."""
    take(browser, receiver, images, picture)


def start(name: str, directory: Path, receiver: RunningReceiver) -> subprocess.Popen[bytes]:
    """One job under `jobmeter run`, streamed."""
    repository, workflow, script = LIVE[name]
    environ = jobmeter_environment(
        GITHUB_REPOSITORY=repository,
        GITHUB_REPOSITORY_OWNER=repository.partition("/")[0],
        GITHUB_WORKFLOW=workflow,
        GITHUB_JOB=name,
        GITHUB_RUN_ID=str(4700 + len(name)),
        JOBMETER_PUSH_TOKEN=PUSH,
        XDG_STATE_HOME=str(directory / name),
    )
    command = [*JOBMETER, "run", "--interval=500ms", f"--receiver={receiver.url}", "sh", "-c"]
    script = script.replace("{mark}", f"{' '.join(JOBMETER)} mark")
    return subprocess.Popen(
        [*command, script], cwd=directory / "hello", env=environ, stderr=subprocess.DEVNULL
    )


def wait_for_samples(receiver: RunningReceiver) -> None:
    """Until the receiver has ten seconds of all three jobs."""
    for _ in range(120):
        if len(receiver.get("/api/v1/now").json()["jobs"]) == len(LIVE):
            time.sleep(10)
            return
        time.sleep(0.25)
    raise AssertionError(receiver.log.read_text())


def complain(complaints: list[str], message: ConsoleMessage) -> None:
    """A line of the browser's console."""
    complaints.append(message.text)


def take(browser: Browser, receiver: RunningReceiver, images: Path, picture: Picture) -> None:
    """One screen of it: light, dark, on a phone; with its heading and its charts, and nothing complained of."""
    for kind in picture.kinds:
        size: ViewportSize = {"width": PHONE if kind == "phone" else WIDE, "height": picture.height}
        context = browser.new_context(
            viewport=size,
            color_scheme="dark" if kind == "dark" else "light",
            extra_http_headers={"Authorization": f"Bearer {READ}"} if picture.name != "login" else {},
        )
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", partial(complain, complaints))
        page.goto(receiver.url + picture.path)
        assert picture.heading in page.locator("h1").inner_text()
        for chart in page.locator("figure.chart").all():
            chart.locator(".drawn svg").wait_for()
        page.screenshot(path=images / f"page-{picture.name}-{kind}.png")
        assert complaints == []
        context.close()
