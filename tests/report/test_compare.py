from __future__ import annotations

from msgspec import structs

from jobmeter.model.exits import Exit
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.report.compare import Change, compare_markdown, render_comparison
from jobmeter.report.figures import size
from tests.report.examples import MIB, hostile, make_build, sidecar


def faster_build() -> Summary:
    """The build after somebody mended it: it succeeds, is faster, and needs more memory."""
    summary, _ = make_build()
    summary.exit = Exit(reason="success", code=0)
    summary.duration_seconds, summary.cpu_seconds = 48.1, 64.2
    summary.programs[0].cpu_seconds = 12.2
    box = summary.containers[0]
    box.cpu_seconds = 64.2
    box.memory_bytes = structs.replace(box.memory_bytes, peak=1700.0 * MIB)
    return summary


def test_comparison_in_80_columns(golden) -> None:
    """Both verdicts, then before, after, difference and ratio of each number."""
    golden("report/comparison.txt", render_comparison(make_build()[0], faster_build()))


def test_comparison_as_markdown(golden) -> None:
    """The same as tables for a summary page or a comment."""
    golden("report/comparison.md", compare_markdown(make_build()[0], faster_build()))


def test_containers_are_matched_by_name() -> None:
    """One that only one run has is shown with what is known of it."""
    before, after = sidecar()[0], sidecar()[0]
    after.containers = [*after.containers[1:], ContainerSummary(name="redis", cpu_seconds=3.0)]

    text = render_comparison(before, after)

    assert "redis" in text
    assert "postgres" in text


def test_a_run_compared_with_itself_has_no_changes() -> None:
    """Equal numbers are called the same; programs that did not change are not listed."""
    text = render_comparison(make_build()[0], make_build()[0])

    assert "same" in text
    assert "programs" not in text
    assert "%" not in text.split("\n\n", 1)[1]


def test_what_came_to_nothing_is_compared_with_zero() -> None:
    """A run that was no longer throttled has a zero, not an unknown; what neither run has is left out."""
    before, after = make_build()[0], make_build()[0]
    before.containers[0].throttled_seconds = 2.0

    lines = render_comparison(before, after).splitlines()

    assert [line.split() for line in lines if "throttled" in line] == [
        ["throttled", "2.0", "s", "0", "ms", "-2.0", "s", "-100", "%"]
    ]
    assert not any("OOM kills" in line for line in lines)


def test_a_change_says_difference_and_ratio() -> None:
    """Always in percent; nothing where a number is missing or was zero."""
    assert (Change("m", 100, 150, size).difference, Change("m", 100, 150, size).ratio) == ("+50 B", "+50 %")
    assert (Change("m", 100, 50, size).difference, Change("m", 100, 50, size).ratio) == ("-50 B", "-50 %")
    assert Change("m", 100, 310, size).ratio == "+210 %"
    assert Change("m", None, 310, size).difference == ""
    assert Change("m", 0, 310, size).ratio == ""
    assert Change("m", 5e-324, 310, size).ratio == ""


def test_names_cannot_break_the_comparison() -> None:
    """Hostile names are escaped in both forms."""
    assert "\x1b" not in render_comparison(hostile()[0], hostile()[0])
    assert "<script" not in compare_markdown(hostile()[0], hostile()[0])
