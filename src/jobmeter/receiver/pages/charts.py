"""A chart in a page: drawn by the browser where scripts run, else the same specification as a picture."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
from starlette.responses import Response

from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.report.charts import Chart
from jobmeter.report.html_charts import caption
from jobmeter.report.html_parts import text
from jobmeter.report.palette import DARK, LIGHT, css_variables

# How wide a chart is described, in pixels; the page scales it to the room there is.
WIDE, NARROW = 1040, 350
Width = Literal["wide", "narrow"]
NARROW_SCREEN = "(max-width:640px)"

# A picture has no page around it that sets its colours.
_PICTURE_STYLE = (
    f":root{{{css_variables(LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{css_variables(DARK)}}}}}"
    "svg{font-family:system-ui,sans-serif}.hint{fill-opacity:0}"
)
_PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=60",
}
_MISSING = (
    "Charts are drawn where the receiver has the extra html: pip install '.[receiver,html]' in the checkout."
)


class Pair(NamedTuple):
    """One chart for wide screens and for narrow ones, both described with ``palette.CSS``."""

    wide: Chart
    narrow: Chart


def figures(pairs: Sequence[Pair], picture: Callable[[str, Width], str], drawing: Drawing) -> str:
    """The charts one below the other; one sentence in their place where the library is not installed.

    ``picture`` gives the address of the picture of a chart by its ``key`` for who runs no scripts.
    """
    if not pairs:
        return ""
    if drawing.script_address is None:
        return f'<p class="card">{text(_MISSING)}</p>'
    return "".join(figure(pair, picture) for pair in pairs)


def figure(pair: Pair, picture: Callable[[str, Width], str]) -> str:
    """One chart with its caption."""
    wide, narrow = pair
    specs = "".join(
        f'<script type="application/json" data-width="{width}">{_inert(chart)}</script>'
        for width, chart in (("wide", wide), ("narrow", narrow))
    )
    about = text(wide.about)
    image = (
        f'<picture><source media="{NARROW_SCREEN}" srcset="{text(picture(narrow.key, "narrow"))}">'
        f'<img src="{text(picture(wide.key, "wide"))}" alt="{about}"></picture>'
    )
    return (
        f'<figure class="card chart" data-chart="{text(wide.key)}"><figcaption>{caption(wide)}</figcaption>'
        f'<div class="drawn" role="img" aria-label="{about}"></div>{specs}<noscript>{image}</noscript></figure>'
    )


async def picture_response(chart: Chart, drawing: Drawing) -> Response:
    """The chart as a picture of its own, light or dark as the reader's system is."""
    return svg_response(await drawing.svg(chart))


def svg_response(drawn: str) -> Response:
    """The same of an ``<svg>`` element."""
    head, body = drawn.split(">", 1)
    svg = f"{head}><style>{_PICTURE_STYLE}</style>{body}"
    return Response(svg, headers=_PICTURE_HEADERS, media_type="image/svg+xml")


def _inert(chart: Chart) -> str:
    """The specification as JSON that no text in it can end early."""
    spec = msgspec.json.encode(chart.spec).decode()
    return spec.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
