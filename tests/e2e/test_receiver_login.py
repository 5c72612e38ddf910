"""Signing in with a real browser: by keyboard, without scripts, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.receiver.api.running import READ, RunningReceiver, running_receiver


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """One with a run."""
    with running_receiver(tmp_path_factory.mktemp("login")) as running:
        running.push({}, organization="acme", repository="acme/engine", workflow="ci.yml", job="build")
        yield running


@pytest.mark.parametrize("scripts", [True, False])
def test_signing_in_leads_to_the_page_that_was_wanted(
    browser: Browser, receiver: RunningReceiver, scripts: bool
) -> None:
    """By keyboard alone; a mistake is said, and signing out leads back."""
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(f"{receiver.url}/runs?organization=acme")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Read token")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no read token")
    expect(page.get_by_label("Read token")).to_have_value("")
    page.get_by_label("Read token").fill(READ)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{receiver.url}/runs?organization=acme")
    expect(page.get_by_text("build").first).to_be_visible()
    (cookie,) = [one for one in context.cookies() if one["name"] == "jobmeter"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.goto(f"{receiver.url}/login")
    page.get_by_role("button", name="Sign out").press("Enter")
    page.wait_for_url(f"{receiver.url}/login")
    page.goto(receiver.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert trouble == []
    context.close()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_fits(browser: Browser, receiver: RunningReceiver, width: int, scheme: str) -> None:
    """Nothing has to be scrolled aside, and each field can be hit."""
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{receiver.url}/login")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("input:visible").count() == 1
    for part in (page.get_by_label("Read token"), page.get_by_role("button", name="Sign in")):
        box = part.bounding_box()
        assert box is not None
        assert box["height"] >= 28
    context.close()
