"""A series as a small picture between words: inline SVG without text, stretched to the room there is."""

from collections.abc import Sequence
from itertools import groupby

from jobmeter.report.html_parts import text

_HEIGHT = 24


def spark(values: Sequence[float | None], colour: str, *, top: float = 0.0, about: str = "") -> str:
    """The values from left to right, a gap for None; nothing where there are fewer than two.

    ``colour`` is a name of the palette, ``top`` the least value that fills the height, ``about`` what a reader who
    does not see it is told.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    highest = max(*known, top, 1e-9)
    shapes = []
    place = 0
    for there, run in groupby(values, key=lambda value: value is not None):
        part = [value or 0.0 for value in run]
        if there:
            line = "L".join(
                f"{place + i},{_HEIGHT * (1 - max(0.0, value) / highest):.3g}" for i, value in enumerate(part)
            )
            end = place + len(part) - 1
            shapes.append(f'<path class="fill" d="M{place},{_HEIGHT}L{line}L{end},{_HEIGHT}Z"/>')
            shapes.append(f'<path d="M{line}"/>')
        place += len(part)
    said = f'role="img" aria-label="{text(about)}"' if about else 'aria-hidden="true"'
    return (
        f'<svg class="spark in-{text(colour)}" viewBox="0 -1 {max(1, len(values) - 1)} {_HEIGHT + 2}" '
        f'preserveAspectRatio="none" {said}>{"".join(shapes)}</svg>'
    )
