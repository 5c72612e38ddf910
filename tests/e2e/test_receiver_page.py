"""The receiver's pages in a real browser, asked for with the read token by HTTP Basic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.receiver.api.running import READ, RunningReceiver, running_receiver
from tests.receiver.api.test_runs import records_of, uid
from tests.report.examples import hostile, make_build, oom_kill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """A receiver with a build, an OOM kill, a run whose every name is hostile, and one that streams."""
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        for example in (make_build, oom_kill, hostile):
            summary, _ = example()
            if example is hostile:
                summary.run_uid = uid(3)
                summary.containers.pop()  # Its name is not Unicode, which no JSON can say.
            running.push(summary)
        running.stream(records_of(4))
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of someone who has the token."""
    context = browser.new_context(http_credentials={"username": "anyone", "password": READ})
    yield context.new_page()
    context.close()


def troubles_of(page: Page, receiver: RunningReceiver) -> list[str]:
    """What the page asks for elsewhere, logs, or throws, as it happens."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    page.on(
        "request",
        lambda request: found.append(request.url) if not request.url.startswith(receiver.url) else None,
    )
    return found


@pytest.mark.parametrize("width", [1000, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_screen_and_ask_for_nothing_elsewhere(
    page: Page, receiver: RunningReceiver, width: int, scheme: str
) -> None:
    """The list and each run: no error, no refused style, nothing wider than the screen."""
    trouble = troubles_of(page, receiver)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(receiver.url)
    links = page.locator("table.runs a").evaluate_all("links => links.map(link => link.href)")
    assert len(links) == 4

    for address in (receiver.url, *links):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").count() == 1
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 247, 248)", "dark": "rgb(13, 15, 18)"}[scheme]
    assert trouble == []


def test_from_the_list_to_a_run_and_back(page: Page, receiver: RunningReceiver) -> None:
    """Filter, open, look, return: without a script, with keyboard-reachable links."""
    page.goto(receiver.url)
    page.get_by_label("job", exact=True).fill("link")
    page.get_by_role("button", name="Show").click()
    assert page.locator("table.runs tbody tr").count() == 1
    assert page.locator("table.runs .bad").inner_text() == "out of memory"

    page.get_by_role("link", name="acme/engine").click()
    assert page.locator("h1").inner_text() == "Killed for lack of memory after 12 s"
    page.get_by_role("link", name="All runs").click()
    assert page.locator("table.runs tbody tr").count() == 4


def test_a_streamed_run_has_pictures(page: Page, receiver: RunningReceiver) -> None:
    """CPU and memory of both containers, drawn in the colours of the sheet and filling their width."""
    page.goto(f"{receiver.url}/runs/{uid(4)}")
    pictures = page.locator("figure svg")
    assert pictures.count() == 4
    box = pictures.first.bounding_box()
    assert box is not None
    assert box["width"] > 500
    line = "getComputedStyle(document.querySelector('.in-cpu .line')).stroke"
    assert page.evaluate(line) == "rgb(31, 99, 181)"


def test_without_the_token_there_is_no_page(browser: Browser, receiver: RunningReceiver) -> None:
    """The browser knows that it is asked for a password, and has none."""
    from playwright.sync_api import Error

    context = browser.new_context()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        context.new_page().goto(receiver.url)
    context.close()
