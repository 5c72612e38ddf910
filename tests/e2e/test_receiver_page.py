"""The receiver's pages in a real browser, asked for with the read token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from jobmeter.model import wire
from jobmeter.model.evidence.document import encode
from jobmeter.model.job import Job
from jobmeter.model.summarize import rfc3339
from tests.receiver.api.running import READ, RunningReceiver, running_receiver
from tests.receiver.api.test_runs import records_of, uid
from tests.report import evidence_examples
from tests.report.examples import hostile, make_build, oom_kill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG_AGO = "2020-01-01T00:00:00.000Z"
"""When the jobs of the evidence were."""
EVIL = "</script><img src=x onerror=alert(1)>\"'"


def running_now(number: int, count: int, **names: Any) -> list[wire.AnyRecord]:
    """The golden run with hostile names, begun a minute ago, with samples of our own after it; it goes on."""
    records = records_of(number, whole=False)
    began = datetime.now(UTC) - timedelta(seconds=60)
    start = structs.replace(records[0], start_time=rfc3339(began), job=Job(run_id=str(number), **names))
    tick = next(record for record in reversed(records) if isinstance(record, wire.Tick))
    mark = wire.Mark(v=1, run_uid=uid(number), sequence=0, elapsed_seconds=40.0, name=EVIL)
    later = [
        structs.replace(tick, sample=structs.replace(tick.sample, elapsed_seconds=40.0 + second))
        for second in range(1, count + 1)
    ]
    named = [
        structs.replace(record, container=structs.replace(record.container, name=EVIL))
        if isinstance(record, wire.Declare)
        else record
        for record in records[1:]
    ]
    return [
        structs.replace(record, sequence=place) for place, record in enumerate([start, *named, mark, *later])
    ]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """A receiver with a build, an OOM kill, a run whose every name is hostile, a streamed one and one that goes on.

    Two have evidence, one of them as hostile.
    """
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        for example in (make_build, oom_kill, hostile):
            summary, _ = example()
            if example is hostile:
                summary.run_uid = uid(3)
                summary.containers.pop()  # Its name is not Unicode, which no JSON can say.
                summary.start_time, summary.end_time = LONG_AGO, LONG_AGO
            running.push(summary)
        begin, *others = records_of(4)
        running.stream([structs.replace(begin, start_time=LONG_AGO), *others])
        for number, evidence in ((4, evidence_examples.build()), (3, evidence_examples.hostile())):
            assert running.attach(uid(number), encode(evidence)).json()["stored"] is True
        running.stream(running_now(5, 5, organization="acme", repository="acme/engine", job=EVIL))
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of someone who has the token."""
    context = browser.new_context(extra_http_headers={"Authorization": f"Bearer {READ}"})
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


def links_of(page: Page, receiver: RunningReceiver) -> list[str]:
    """The pages of all runs."""
    page.goto(f"{receiver.url}/runs")
    found: list[str] = page.locator("table.runs a").evaluate_all("links => links.map(link => link.href)")
    assert len(found) == 5
    return found


@pytest.mark.parametrize("width", [1000, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_screen_and_ask_for_nothing_elsewhere(
    page: Page, receiver: RunningReceiver, width: int, scheme: str
) -> None:
    """What runs now, the list and each run: no error, nothing refused, nothing wider than the screen."""
    trouble = troubles_of(page, receiver)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for address in (receiver.url, f"{receiver.url}/runs", *links_of(page, receiver)):
        page.goto(address)
        for figure in page.locator("figure.chart").all():
            figure.locator(".drawn svg").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").count() == 1
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 247, 248)", "dark": "rgb(13, 15, 18)"}[scheme]
    assert trouble == []


def test_from_the_list_to_a_run_and_back(page: Page, receiver: RunningReceiver) -> None:
    """Filter, open, look, return."""
    page.goto(f"{receiver.url}/runs")
    page.get_by_label("job", exact=True).fill("link")
    page.get_by_role("button", name="Show").click()
    assert page.locator("table.runs tbody tr").count() == 1
    assert page.locator("table.runs .bad").inner_text() == "out of memory"

    page.get_by_role("link", name="acme/engine").click()
    assert page.locator("h1").inner_text() == "Killed for lack of memory after 12 s"
    page.get_by_role("link", name="Runs").click()
    assert page.locator("table.runs tbody tr").count() == 5


def test_by_keyboard_alone(page: Page, receiver: RunningReceiver) -> None:
    """The first stop skips to the content, each stop is seen, and the navigation says where one is."""
    page.goto(receiver.url)
    assert page.locator("nav a[aria-current=page]").inner_text() == "Now"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    seen = []
    for _ in range(4):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert seen == ["Now", "Runs", "Repositories", "Fleet"]


def test_charts_are_drawn_and_answer_the_pointer(page: Page, receiver: RunningReceiver) -> None:
    """In the colours of the sheet, as wide as there is room, with the numbers of the moment that is pointed at."""
    page.goto(f"{receiver.url}/runs/{uid(4)}")
    picture = page.locator("figure.chart .drawn svg").first
    page.locator("html[data-drawn-ms]").wait_for(state="attached")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    assert box["width"] > 800
    line = "getComputedStyle(document.querySelector('.drawn [stroke=\"var(--cpu)\"]')).stroke"
    assert page.evaluate(line) == "rgb(31, 99, 181)"
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=5)
    hint = page.locator("#vg-tooltip-element.visible")
    hint.wait_for()
    assert "cores" in hint.inner_text()


def test_what_a_referee_saw_is_drawn_with_the_run(page: Page, receiver: RunningReceiver) -> None:
    """Every query on the axis of the job's time, what failed beside it, and the way to the data."""
    trouble = troubles_of(page, receiver)
    page.goto(f"{receiver.url}/runs/{uid(4)}")
    page.locator("html[data-drawn-ms]").wait_for(state="attached")
    disks = page.locator('figure[data-chart="evidence-2"]')
    assert disks.locator(".drawn svg").count() == 1
    assert disks.locator(".legend li").count() == 20
    assert "Prometheus answered 400: parse error." in page.locator("main").inner_text()
    picture = page.locator('figure[data-chart="evidence-1"] .drawn svg')
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 60, steps=5)
    hint = page.locator("#vg-tooltip-element.visible")
    hint.wait_for()
    assert "a: 2.79 GiB" in hint.inner_text()
    page.get_by_role("link", name="Evidence as JSON").click()
    assert '"schema":"jobmeter.evidence/1"' in page.content()
    assert trouble == []


def test_without_scripts_everything_can_be_read(browser: Browser, receiver: RunningReceiver) -> None:
    """The charts are pictures of the same specification, for the width of the screen; what runs now has its numbers."""
    context = browser.new_context(
        extra_http_headers={"Authorization": f"Bearer {READ}"}, java_script_enabled=False
    )
    page = context.new_page()
    for width in (1000, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{receiver.url}/runs/{uid(4)}", wait_until="networkidle")
        pictures = page.locator("figure.chart img:visible")
        assert pictures.count() == page.locator("figure.chart").count() > 1
        for picture in pictures.all():
            shown = picture.bounding_box()
            assert shown is not None
            assert shown["height"] > 80
            assert picture.get_attribute("alt")
            told = picture.evaluate("image => image.currentSrc")
            assert told.endswith("width=wide" if width == 1000 else "width=narrow")
    page.goto(receiver.url)
    assert "MiB" in page.locator("table.now tbody").inner_text()
    context.close()


def test_what_runs_now_changes_while_one_looks(page: Page, receiver: RunningReceiver) -> None:
    """A job that begins appears, its numbers follow its samples, one that ends goes; hostile names stay names."""
    trouble = troubles_of(page, receiver)
    page.goto(receiver.url)
    rows = page.locator("table.now tbody tr")
    assert rows.count() == 1
    assert EVIL in rows.first.inner_text()

    records = running_now(6, 30, organization="acme", repository="acme/new", job="appears")
    receiver.stream(records[:-20])
    row = rows.filter(has_text="appears")
    row.wait_for()
    assert row.locator("td").first.inner_text().startswith("50 s")
    receiver.stream(records[-20:])
    row.filter(has_text="1 m 10 s").wait_for()
    assert row.locator("svg.spark").count() == 1

    end = wire.End(v=1, run_uid=uid(6), sequence=len(records), elapsed_seconds=71.0)
    receiver.stream([end])
    row.wait_for(state="detached")
    assert rows.count() == 1
    assert trouble == []


def test_the_page_of_a_run_that_goes_on_follows_it_to_its_end(page: Page, receiver: RunningReceiver) -> None:
    """Charts and numbers grow, what was opened stays open, and at last it says how it ended."""
    trouble = troubles_of(page, receiver)
    records = running_now(7, 30, organization="acme", repository="acme/long", job="grows")
    receiver.stream(records[:-25])
    page.goto(f"{receiver.url}/runs/{uid(7)}")
    page.locator("figure.chart .drawn svg").first.wait_for()
    assert page.locator("h1").inner_text() == "Still running after 45 s"
    page.locator("main details summary").click()

    receiver.stream(records[-25:])
    page.get_by_role("heading", name="Still running after 1 m 10 s").wait_for()
    assert page.locator("main details").get_attribute("open") is not None
    receiver.stream([wire.End(v=1, run_uid=uid(7), sequence=len(records), elapsed_seconds=71.0)])
    page.get_by_role("heading", name="Ran 1 m 11 s").wait_for()
    assert page.locator("figure.chart .drawn svg").count() == page.locator("figure.chart").count()
    assert page.locator("[data-events]").count() == 0
    assert trouble == []


def test_the_receiver_stops_at_once_while_pages_listen(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Who listens is let go; the page finds out and stays as it is."""
    with running_receiver(tmp_path_factory.mktemp("stopped")) as running:
        context = browser.new_context(extra_http_headers={"Authorization": f"Bearer {READ}"})
        page = context.new_page()
        page.goto(running.url)
        page.wait_for_timeout(500)
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    assert page.locator("h1").inner_text() == "Now"
    context.close()
