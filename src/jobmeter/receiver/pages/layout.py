"""The frame of all pages: the document, the navigation, where one is, and what a browser may do with it."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

from starlette.responses import Response

from jobmeter.receiver.pages.assets import ICON, SCRIPT, STYLE, asset
from jobmeter.report.html_parts import text
from jobmeter.report.text import clean, fit

Place = Literal["now", "runs", "repositories", "fleet", "none"]
_PLACES: Mapping[Place, tuple[str, str]] = {
    "now": ("/", "Now"),
    "runs": ("/runs", "Runs"),
    "repositories": ("/repositories", "Repositories"),
    "fleet": ("/fleet", "Fleet"),
}
_CRUMB_CELLS = 60
# Our own style sheet, scripts and pictures alone; nothing inline is run. Widths of bars are attributes.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src-elem 'self'; style-src-attr 'unsafe-inline'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Crumb(NamedTuple):
    """A step of the way to a page; the last one is the page itself and has no address."""

    name: str
    address: str = ""


def address(*segments: str) -> str:
    """The address of a page; each segment is encoded, so that a slash stays inside it."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def page(
    title: str,
    body: str,
    *,
    here: Place = "none",
    trail: Sequence[Crumb] = (),
    drawing_script: str | None = None,
    aside: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page. ``body`` is HTML in which every text from outside is escaped; it has the one ``h1``.

    ``drawing_script`` is where browsers get what draws charts, for a page that has some; ``aside`` is HTML at the
    end of the navigation.
    """
    preload = f'<link rel="modulepreload" href="{text(drawing_script)}">\n' if drawing_script else ""
    document = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(fit(clean(title), 160))} · jobmeter</title>\n"
        f'<link rel="icon" type="image/svg+xml" href="{asset(ICON).address}">\n'
        f'<link rel="stylesheet" href="{asset(STYLE).address}">\n{preload}'
        f'<script type="module" src="{asset(SCRIPT).address}"></script>\n</head>\n<body>\n'
        f'<a class="skip" href="#content">Skip to the content</a>\n{_navigation(here, aside)}\n'
        f'<main id="content">\n{_trail(trail)}{body}\n</main>\n</body>\n</html>\n'
    )
    return Response(document, status, _HEADERS | dict(headers or {}), "text/html")


def _navigation(here: Place, aside: str) -> str:
    links = "".join(
        f'<a href="{link}"{_CURRENT if place == here else ""}>{name}</a>'
        for place, (link, name) in _PLACES.items()
    )
    end = f'<div class="aside">{aside}<a href="/login">Account</a></div>'
    return f'<header class="top"><nav aria-label="Pages"><b>jobmeter</b>{links}</nav>{end}</header>'


_CURRENT = ' aria-current="page"'


def _trail(trail: Sequence[Crumb]) -> str:
    steps = "".join(
        f'<li><a href="{text(step.address)}">{_name(step)}</a></li>'
        if step.address
        else f"<li{_CURRENT}>{_name(step)}</li>"
        for step in trail
    )
    return f'<nav class="trail" aria-label="Breadcrumb"><ol>{steps}</ol></nav>\n' if steps else ""


def _name(step: Crumb) -> str:
    return text(fit(clean(step.name), _CRUMB_CELLS))
