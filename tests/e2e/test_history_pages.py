"""The pages of history in a real browser: charts, narrow and dark, by keyboard, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

from tests.receiver.api.running import READ, RunningReceiver, running_receiver
from tests.support.histories import HOSTILE, hostile, story

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

JOB = "/jobs/acme/engine/ci.yaml/build"
EVIL = "/".join(quote(name, safe="") for name in (f"evil{HOSTILE}", HOSTILE, HOSTILE, HOSTILE))
PAGES = (
    "/repositories", "/repositories/acme/engine", JOB, "/jobs/acme/engine/ci.yaml/test", f"{JOB}/sizing", "/compare",
    f"{JOB}/compare?{urlencode({'before': 'refs/heads/main', 'after': 'refs/heads/faster-link'})}", "/fleet",
    f"/jobs/{EVIL}", f"/jobs/{EVIL}/sizing",
)  # fmt: skip


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """With a month of an organization's runs, and runs whose every name is hostile."""
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        for summary in (*story(), *hostile()):
            running.push(summary)
        yield running


def visitor(browser: Browser, **about: object) -> Page:
    """A page of someone who has the token."""
    headers = {"Authorization": f"Bearer {READ}"}
    page = browser.new_context(extra_http_headers=headers, **about).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(10_000)
    return page


def troubles_of(page: Page, receiver: RunningReceiver) -> list[str]:
    """What the page asks for elsewhere, logs, or throws, as it happens."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    page.on("request", lambda one: None if one.url.startswith(receiver.url) else found.append(one.url))
    return found


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")])
def test_pages_fit_the_screen_and_draw_their_charts(
    browser: Browser, receiver: RunningReceiver, width: int, scheme: str
) -> None:
    """No error, no refused style, nothing wider than the screen, one heading."""
    page = visitor(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    trouble = troubles_of(page, receiver)
    for path in PAGES:
        page.goto(receiver.url + path)
        assert page.locator("h1").count() == 1, path
        for chart in page.locator("figure.chart").all():
            chart.locator(".drawn svg").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert trouble == []
    page.context.close()


def test_a_way_through_all_of_it(browser: Browser, receiver: RunningReceiver) -> None:
    """From the list to a repository, a job, two runs compared, and back to what the job should request."""
    page = visitor(browser)
    trouble = troubles_of(page, receiver)
    page.goto(receiver.url)
    page.get_by_role("link", name="Repositories", exact=True).click()
    page.get_by_label("repository", exact=True).fill("engi")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="acme/engine").click()
    page.get_by_role("link", name="memory unused").click()
    assert page.locator("th[aria-sort] a").inner_text() == "memory unused"
    page.get_by_role("link", name="build", exact=True).click()
    page.get_by_label("branch").select_option(label="main")
    page.get_by_role("button", name="Show").click()
    assert page.locator(".notes li").first.inner_text().startswith("Memory rose from")
    page.locator("input[name=before]").nth(3).check()
    page.locator("input[name=after]").nth(0).check()
    page.get_by_role("button", name="Compare the two that are chosen").click()
    assert page.locator("h1").inner_text().startswith("Nothing differs")
    page.go_back()
    page.get_by_role("link", name="What to request").click()
    assert page.locator("h1").inner_text().startswith("Request 1.")
    assert "resources:" in page.locator("pre").first.inner_text()
    assert trouble == []
    page.context.close()


def test_a_run_of_a_chart_is_told_when_it_is_pointed_at(browser: Browser, receiver: RunningReceiver) -> None:
    """Its time, its number, its commit."""
    page = visitor(browser, viewport={"width": 1280, "height": 900})
    page.goto(receiver.url + JOB)
    page.locator(".drawn svg").wait_for()
    page.locator(".drawn svg .mark-symbol path").first.hover()
    told = page.locator("#vg-tooltip-element").inner_text()
    assert " UTC · " in told
    assert "MiB" in told or "GiB" in told
    page.context.close()


@pytest.mark.parametrize("path", [JOB, "/fleet"])
def test_charts_tell_the_times_of_their_runs(browser: Browser, receiver: RunningReceiver, path: str) -> None:
    """The axis at the bottom has its labels."""
    page = visitor(browser, viewport={"width": 1280, "height": 900})
    page.goto(receiver.url + path)
    axis = page.locator(
        ".drawn svg .role-axis-label text",
        has_text=re.compile(r"\d [A-Z][a-z]{2}$"),
    )
    axis.first.wait_for()
    assert axis.count() >= 2
    page.context.close()


def test_a_chart_that_cannot_be_drawn_is_shown_as_its_picture(
    browser: Browser, receiver: RunningReceiver
) -> None:
    """Where the library does not come."""
    page = visitor(browser, viewport={"width": 1280, "height": 900})
    page.goto(receiver.url + JOB)
    library = page.locator('link[rel="modulepreload"]').get_attribute("href")
    page.route(f"**{library}", lambda route: route.abort())
    page.reload()
    picture = page.locator("figure.chart .drawn img").first
    picture.wait_for()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    page.context.close()


def test_links_and_fields_are_reached_by_keyboard(browser: Browser, receiver: RunningReceiver) -> None:
    """In the order in which they stand, each with an outline."""
    page = visitor(browser)
    page.goto(f"{receiver.url}/repositories/acme/engine")
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent || document.activeElement.name"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"Skip to the content", "Fleet", "words", "Show", "memory", "build"} <= set(seen)
    page.context.close()


def test_without_scripts_everything_is_there(browser: Browser, receiver: RunningReceiver) -> None:
    """Charts are pictures."""
    page = visitor(browser, java_script_enabled=False)
    for path in (JOB, "/fleet"):
        page.goto(receiver.url + path)
        picture = page.locator("figure.chart img")
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        assert box is not None
        assert box["height"] > 100
    page.context.close()
