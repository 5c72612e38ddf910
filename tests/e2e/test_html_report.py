"""The HTML page of a run in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobmeter.report.html import render_html
from tests.report.examples import EXAMPLES

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", [1000, 360])
def test_page_opens_offline_without_a_request_or_an_error(
    page: Page, tmp_path: Path, name: str, width: int
) -> None:
    """Nothing is asked for, nothing goes wrong, and nothing is wider than the screen."""
    path = tmp_path / "report.html"
    path.write_text(render_html(*EXAMPLES[name]()), encoding="utf-8")
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url) if request.url != path.as_uri() else None)
    page.set_viewport_size({"width": width, "height": 900})

    page.goto(path.as_uri())

    assert trouble == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("width, shown", [(1000, ".wide"), (360, ".narrow")])
def test_charts_are_drawn_for_the_width_of_the_screen(
    page: Page, tmp_path: Path, width: int, shown: str
) -> None:
    """CPU, memory and what held the job back, each visible once and in its colours."""
    path = tmp_path / "report.html"
    path.write_text(render_html(*EXAMPLES["sidecar"]()), encoding="utf-8")
    page.set_viewport_size({"width": width, "height": 900})

    page.goto(path.as_uri())

    pictures = page.locator("figure svg:visible")
    assert pictures.count() == 3
    assert page.locator(f"figure {shown} svg:visible").count() == 3
    assert [pictures.nth(i).bounding_box()["height"] > 100 for i in range(3)] == [True] * 3  # type: ignore[index]


def test_colours_follow_the_scheme_of_the_system(page: Page, tmp_path: Path) -> None:
    """Page and pictures change together between light and dark."""
    path = tmp_path / "report.html"
    path.write_text(render_html(*EXAMPLES["build"]()), encoding="utf-8")
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        line = "getComputedStyle(document.querySelector('figure .wide [stroke=\"var(--cpu)\"]')).stroke"
        seen.append((page.evaluate("getComputedStyle(document.body).backgroundColor"), page.evaluate(line)))

    assert seen == [("rgb(246, 247, 248)", "rgb(31, 99, 181)"), ("rgb(13, 15, 18)", "rgb(109, 177, 255)")]
