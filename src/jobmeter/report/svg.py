"""A chart as a picture inside a page: drawn by vl-convert, then made small, accessible and self-contained."""

import re
from html import escape
from itertools import pairwise

from jobmeter.model.errors import JobmeterError, MissingExtra
from jobmeter.report.charts import Chart

_NUMBER = r"-?\d*\.?\d+(?:e-?\d+)?"
_COORDINATE = re.compile(_NUMBER)
_PATH = re.compile(r' d="([^"]+)"')
_SHIFT = re.compile(rf"translate\(({_NUMBER}),({_NUMBER})\)")
_STEP = re.compile(rf"([ML])({_NUMBER}),({_NUMBER})")
_HINT = re.compile(r'<path aria-label="([^"]*)"[^>]*? d="([^"]*)"[^>]* fill-opacity="0"\s*(?:/>|></path>)')
# Vega gives every part a role and an outline for assistive tools; here the picture is one image with a text.
_NOISE = re.compile(
    r' (?:aria-[a-z]+|role|pointer-events|stroke-miterlimit|font-family|class(?!="hint"))="[^"]*"'
    r'| opacity="1"| display="none"|<path[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*(?:/>|></path>)'
)


def require_html() -> None:
    """Raise MissingExtra where the library that draws the charts of the HTML page is not installed."""
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        raise MissingExtra("vl-convert", "html") from None


def draw(chart: Chart) -> str:
    """The chart as an ``<svg>`` element that carries no script, no font and no address."""
    require_html()
    import vl_convert

    try:
        text = vl_convert.vegalite_to_svg(chart.spec, allowed_base_urls=[])
    except ValueError as error:
        raise JobmeterError(f"the chart {chart.title!r} cannot be drawn: {error}") from None
    return _embedded(text, chart.about)


def _embedded(text: str, description: str) -> str:
    """The picture without what a page does not need, named for assistive tools, with native hints."""
    text = _HINT.sub(r'<path class="hint" d="\2"><title>\1</title></path>', text)
    head, body = text.split(">", 1)
    view = re.search(r' viewBox="[^"]*"', head)
    body = _SHIFT.sub(lambda shift: f"translate({_decimal(shift[1])},{_decimal(shift[2])})", body)
    body = _PATH.sub(lambda path: f' d="{_shorter(path[1])}"', _NOISE.sub("", body))
    about = f' role="img" aria-label="{escape(description)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg"{view[0] if view else ""}{about}>{body}'


def _shorter(path: str) -> str:
    """The path with one decimal per coordinate; its level and upright lines as H and V."""
    if "C" in path or "L" not in path:
        return _COORDINATE.sub(lambda number: _decimal(number[0]), path)
    points = [(kind, _decimal(x), _decimal(y)) for kind, x, y in _STEP.findall(path)]
    pieces = [f"M{points[0][1]},{points[0][2]}"] if points else []
    for (_, old_x, old_y), (kind, x, y) in pairwise(points):
        if kind == "M":
            pieces.append(f"M{x},{y}")
        elif y == old_y:
            pieces.append(f"H{x}" if x != old_x else "")
        else:
            pieces.append(f"V{y}" if x == old_x else f"L{x},{y}")
    return "".join(pieces) + ("Z" if path.endswith("Z") else "")


def _decimal(number: str) -> str:
    text = f"{float(number):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
