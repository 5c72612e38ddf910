from __future__ import annotations

from jobmeter.model.timeline import Timeline
from jobmeter.report.charts import Chart, charts, cpu_chart, memory_chart
from jobmeter.report.palette import DARK, LIGHT, Palette
from tests.report.examples import make_build, oom_kill, sidecar


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(palette: Palette, name: str) -> float:
    high, low = sorted((luminance(getattr(palette, name)), luminance(palette.paper)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def labels_of(chart: Chart) -> list[str]:
    return [label["name"] for label in chart.spec["vconcat"][0]["layer"][-1]["data"]["values"]]


def test_colours_have_the_contrast_that_wcag_asks_for() -> None:
    """All that is written or drawn as a line stands out by 4.5 to 1, on light and on dark."""
    for palette in (LIGHT, DARK):
        for name in ("text", "faint", "cpu", "memory", "io", "throttled", "limit", "mark"):
            assert contrast(palette, name) >= 4.5, name


def test_each_container_has_a_panel_in_the_order_of_the_report() -> None:
    """The busiest container is at the top, the nested one below its parent."""
    chart = cpu_chart(*sidecar())

    assert chart
    assert [panel["title"]["text"] for panel in chart.spec["vconcat"]] == [
        "job · cores, limit 2",
        "buildkit-cache-warmer · cores, no limit",
        "postgres · cores",
    ]


def test_marks_are_labelled_where_there_is_room() -> None:
    """Labels do not overlap: one is cut before the next begins, and left out when nothing would remain."""
    wide, narrow = cpu_chart(*sidecar(), width=846), cpu_chart(*sidecar(), width=350)

    assert wide
    assert narrow
    assert labels_of(wide) == ["che…", "compile the release", "test"]
    assert labels_of(narrow) == ["compile the release", "test"]


def test_a_limit_far_above_the_use_is_named_but_does_not_flatten_the_curve() -> None:
    """4 GiB above a use of 740 MiB is said in the title; 512 MiB that is reached is drawn."""
    far, near = memory_chart(*make_build()), memory_chart(*oom_kill())

    assert far
    assert near
    assert far.spec["title"]["text"] == "make · MiB, limit 4 GiB"
    assert "limit" not in [sign.label for sign in far.legend]
    assert "limit" in [sign.label for sign in near.legend]
    assert not any("limit" in str(layer.get("data")) for layer in far.spec["layer"])
    assert any("limit" in str(layer.get("data")) for layer in near.spec["layer"])


def test_a_gap_in_the_readings_is_a_gap_in_the_curve() -> None:
    """What was not read is null in the data, never zero."""
    chart = memory_chart(*oom_kill())

    assert chart
    values = chart.spec["data"]["values"]
    assert values[21] == {"t": 5.25, "low": None}


def test_a_long_run_is_drawn_in_as_many_points_as_can_be_seen() -> None:
    """The size of a chart does not grow with the length of the run."""
    summary, timeline = sidecar()
    chart = cpu_chart(summary, timeline, width=400)

    assert chart
    assert len(chart.spec["vconcat"][0]["data"]["values"]) == 101


def test_without_a_course_there_is_no_chart() -> None:
    """Nothing is drawn of a run without points, or of one that was never held back."""
    summary, _ = make_build()

    assert charts(summary, None) == []
    assert charts(summary, Timeline()) == []
    assert [chart.key for chart in charts(*make_build())] == ["cpu", "memory", "stalls"]
