from __future__ import annotations

import pytest

from jobmeter.model.summary import ProgramSummary
from jobmeter.report import markdown
from jobmeter.report.markdown import MAX_MARKDOWN_BYTES, escape_markdown, render_markdown
from tests.report.examples import EXAMPLES, make_build, sidecar


@pytest.mark.parametrize("name", EXAMPLES)
def test_markdown_of_each_example(golden, name: str) -> None:
    """The whole page of each example."""
    golden(f"report/{name}.md", render_markdown(*EXAMPLES[name]()))


def test_escape_leaves_nothing_that_markdown_reads() -> None:
    """Markup, table cells, mentions, issue numbers, mathematics and links are text."""
    assert escape_markdown("a|b") == "a&#124;b"
    assert escape_markdown("@all #12 $x$") == "&#64;all &#35;12 &#36;x&#36;"
    assert escape_markdown("http://x www.y.z") == "http&#58;//x www&#46;y.z"
    assert escape_markdown("1.93 cores × 2") == "1.93 cores × 2"


def test_long_lists_are_cut_and_say_so() -> None:
    """A page stays a page, whatever the job did."""
    summary, timeline = make_build()
    summary.programs = [ProgramSummary(name=f"p{i}" * 5000, count=1) for i in range(3000)]

    text = render_markdown(summary, timeline)

    assert "… and 2,950 programs more." in text
    assert len(text.encode()) < 64 * 1024


def test_no_page_is_longer_than_a_summary_may_be() -> None:
    """Should all else fail, the text ends at a whole line with a sentence, and no fold stays open."""
    text = render_markdown(*sidecar())

    for limit in range(300, len(text.encode()), 97):
        cut = markdown.bounded(text, limit)
        assert len(cut.encode()) <= limit
        assert cut.endswith("longer than a summary page may be._\n")
        assert cut.count("<details>") == cut.count("</details>")
        assert cut.count("```") % 2 == 0
    assert MAX_MARKDOWN_BYTES == 1024 * 1024


def test_no_picture_and_no_address_is_in_the_page() -> None:
    """Charts are text: nothing is asked of another host."""
    for make in EXAMPLES.values():
        text = render_markdown(*make())
        assert "![" not in text
        assert "://" not in text
