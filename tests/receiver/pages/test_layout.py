"""The frame of the pages, and what a browser may do with them."""

from __future__ import annotations

import gzip
import re

import pytest

from jobmeter.receiver.pages.assets import ICON, SCRIPT, STYLE, asset
from jobmeter.receiver.pages.layout import POLICY, Crumb, address, page
from jobmeter.receiver.pages.style import PAGE_STYLE
from tests.report.test_charts import luminance
from tests.report.test_html import outline

EVIL = "</title><script>alert(1)</script>\"'\x1b"


def text_of(**options: object) -> str:
    """A page with these options."""
    return bytes(page("T", "<h1>T</h1>", **options).body).decode()  # type: ignore[arg-type]


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline_run() -> None:
    """Each kind of thing that a page uses is named; evaluation of text is not."""
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    for kind in ("script-src", "style-src-elem", "img-src", "connect-src", "form-action"):
        assert rules[kind] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe-eval" not in POLICY
    assert "unsafe-inline" not in rules["script-src"]


def test_all_scripts_and_styles_are_files() -> None:
    """Nothing of the frame is inline."""
    text = text_of(drawing_script="/assets/v.js")
    outline(text)
    assert re.findall(r"<script[^>]*>", text) == [f'<script type="module" src="{asset(SCRIPT).address}">']
    assert "<style" not in text
    assert asset(STYLE).address in text
    assert asset(ICON).address in text
    assert '<link rel="modulepreload" href="/assets/v.js">' in text


def test_it_says_where_one_is() -> None:
    """One place of the navigation is the current one; the way to the page has links but for the page itself."""
    text = text_of(here="runs", trail=[Crumb("Runs", "/runs"), Crumb("run 7")])
    assert re.findall(r'<a href="([^"]*)" aria-current="page">', text) == ["/runs"]
    assert '<li><a href="/runs">Runs</a></li><li aria-current="page">run 7</li>' in text
    assert "Breadcrumb" not in text_of()


def test_nothing_from_outside_is_markup() -> None:
    """Title, steps of the way, addresses."""
    response = page(EVIL, "", trail=[Crumb(EVIL, address("runs", EVIL)), Crumb(EVIL)])
    text = bytes(response.body).decode()
    assert text.count("<script") == 1
    assert "\x1b" not in text


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_what_is_read_stands_out_as_wcag_asks_for(scheme: int) -> None:
    """Each colour of text has 4.5 to 1 with the page and with its cards."""
    roots = re.findall(r":root\{([^}]*)\}", PAGE_STYLE)
    colours = dict(re.findall(r"--([a-z]+):(#[0-9a-f]{6})", roots[scheme]))
    for name in ("text", "faint", "cpu", "good", "bad", "warn", "bold", "throttled"):
        for ground in ("page", "paper"):
            high, low = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


@pytest.mark.parametrize(
    "segments, expected",
    [(("runs", "a/b?c"), "/runs/a%2Fb%3Fc"), (("jobs", "ö", "é &"), "/jobs/%C3%B6/%C3%A9%20%26"), ((), "/")],
)
def test_segments_are_encoded(segments: tuple[str, ...], expected: str) -> None:
    """A slash stays inside its segment."""
    assert address(*segments) == expected


def test_the_name_of_a_file_says_what_is_in_it() -> None:
    """Made once, and the same for every process."""
    for name in (STYLE, SCRIPT, ICON):
        found = asset(name)
        assert found is asset(name)
        stem, _, kind = name.rpartition(".")
        assert re.fullmatch(rf"/assets/{stem}\.[0-9a-f]{{16}}\.{kind}", found.address)
        assert gzip.decompress(found.packed)
