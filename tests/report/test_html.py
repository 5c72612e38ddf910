from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from jobmeter.model.summary import ContainerSummary
from jobmeter.report.html import render_html
from tests.report.examples import EXAMPLES, hostile, make_build, oom_kill, sidecar

VOID = {"meta", "br", "hr", "img", "link", "input", "wbr", "source"}


class Outline(HTMLParser):
    """Checks that elements are closed in order, and collects the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Elements of pictures that close themselves."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_whole_page(name: str) -> None:
    """All elements are closed in order, and the page is small enough to attach anywhere."""
    page = render_html(*EXAMPLES[name]())

    outline(page)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert len(page.encode()) < 300_000


def test_the_page_asks_for_nothing() -> None:
    """No script, no font, no picture, no link: there is no address in it but names of namespaces."""
    page = render_html(*sidecar())

    assert set(re.findall(r"https?://[^\"' <]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img|iframe|object|form|a)\b|url\(|@import", page)


def test_key_figures_come_first() -> None:
    """Verdict, cause of death, and tiles stand above everything else."""
    words = " ".join(" ".join(outline(render_html(*oom_kill())).words).split())

    assert words.index("Killed for lack of memory after 12 s") < words.index("Processes killed")
    assert words.index("Cause memory.events counted 1 OOM kill") < words.index("Over time")
    assert "by the kernel, at the limit of 512 MiB" in words


def test_every_field_is_explained() -> None:
    """Each field of a container stands in the table with its meaning from the model."""
    page = render_html(*sidecar()).replace("<wbr>", "")

    for field in ContainerSummary.__struct_fields__:
        assert field == "name" or f"<code>{field}</code>" in page
    assert "never a need" in page


def test_unknown_is_a_dash_and_no_limit_a_word() -> None:
    """Null, zero and unlimited look different."""
    page = render_html(*sidecar()).replace("<wbr>", "")
    row = re.search(r"<code>memory_limit_bytes</code>.*?</tr>", page)

    assert row
    assert [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row[0])] == [
        "4 GiB",
        "none",
        "–",
    ]


def test_a_cell_that_is_not_known_is_a_dash() -> None:
    """In the tables of all containers as well."""
    containers = render_html(*sidecar()).split("<caption>CPU, cores</caption>")[1].split("</table>")[0]

    assert "<td>–</td>" in containers
    assert "<td></td>" not in containers


def test_names_are_text() -> None:
    """A name that is HTML is shown as it is written."""
    page = render_html(*hostile())

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_only_what_is_to_be_acted_on_stands_out() -> None:
    """A warning does; that a number is a lower bound, or what goes on, is a plain fact."""
    summary, timeline = make_build()
    summary.cpu_complete, summary.warnings = False, ["the disk is full"]
    page = render_html(summary, timeline)
    assert '<li class="warn">Warning: the disk is full</li>' in page
    assert "<li>≥ CPU time is a lower bound" in page
    assert page.count('<li class="warn">') == 1


@pytest.mark.parametrize("seconds, stands_out", [(0.2, False), (60.0, True)])
def test_throttling_stands_out_where_it_explains_the_time(seconds: float, stands_out: bool) -> None:
    """A moment of it is told all the same."""
    summary, timeline = make_build()
    summary.duration_seconds = 120.0
    for container in summary.containers:
        container.throttled_seconds = seconds
    value = re.search(r'<dt>Throttled</dt><dd class="(.*?)">', render_html(summary, timeline))
    assert value is not None
    assert ("warn" in value[1]) is stands_out


def test_both_colour_schemes_are_there() -> None:
    """Pictures take their colours from the page, which knows light and dark."""
    page = render_html(*make_build())

    assert "prefers-color-scheme:dark" in page
    assert 'stroke="var(--cpu)"' in page
