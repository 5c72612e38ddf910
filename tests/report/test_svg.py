from __future__ import annotations

import sys
import xml.etree.ElementTree as ET

import pytest

from jobmeter.model.errors import MissingExtra
from jobmeter.report import svg
from jobmeter.report.charts import cpu_chart
from jobmeter.report.palette import CSS
from tests.report.examples import hostile, make_build


def test_a_picture_is_well_formed_and_named() -> None:
    """It is one image with a description, parsed by any XML reader."""
    chart = cpu_chart(*hostile(), palette=CSS)
    assert chart

    root = ET.fromstring(svg.draw(chart))

    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == chart.description
    assert not {"script", "image", "foreignObject"} & {element.tag.split("}")[1] for element in root.iter()}


def test_every_moment_says_its_numbers() -> None:
    """Pointing at the chart shows mean and peak of that moment."""
    chart = cpu_chart(*make_build())
    assert chart

    root = ET.fromstring(svg.draw(chart))
    hints = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]

    assert len(hints) == 64
    assert hints[0] == "1.0 s: 0.90 cores, peak 1.08"


@pytest.mark.parametrize(
    "path, shorter",
    [
        ("M0,1.234L2.55,1.234L2.55,7L3,8", "M0,1.2H2.5V7L3,8"),
        ("M0,0L1,0L1,0Z", "M0,0H1Z"),
        ("M0,0L1,1M5,5L6,5", "M0,0L1,1M5,5H6"),
        ("M0.04,-0.01h10.123v96h-10.123Z", "M0,0h10.1v96h-10.1Z"),
        ("", ""),
    ],
)
def test_paths_are_written_short(path: str, shorter: str) -> None:
    """A tenth of a pixel is enough; steps become level and upright lines."""
    assert svg._shorter(path) == shorter


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the page without the library is told how to get it."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)

    with pytest.raises(MissingExtra, match=r"^vl-convert is not installed, .*: pip install '\.\[html\]' in"):
        svg.require_html()
