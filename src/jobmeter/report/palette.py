"""The colours of charts and page: names for what is drawn, values for a light and a dark background.

Each colour of text or line has a contrast of at least 4.5 : 1 with its background.
"""

from msgspec import Struct, structs


class Palette(Struct, frozen=True, kw_only=True):
    """A colour for each thing that is drawn."""

    paper: str
    text: str
    faint: str
    grid: str
    cpu: str
    memory: str
    io: str
    throttled: str
    limit: str
    mark: str


LIGHT = Palette(
    paper="#ffffff",
    text="#1b1f24",
    faint="#59636e",
    grid="#e4e7eb",
    cpu="#1f63b5",
    memory="#7b3fb0",
    io="#0f7268",
    throttled="#a8510a",
    limit="#c1272d",
    mark="#59636e",
)
DARK = Palette(
    paper="#14171b",
    text="#e8eaed",
    faint="#9aa4b0",
    grid="#2b3138",
    cpu="#6db1ff",
    memory="#c9a0f5",
    io="#4fc9ba",
    throttled="#f0a452",
    limit="#ff7b7b",
    mark="#9aa4b0",
)
# Names of CSS custom properties in place of values, for pictures inside a page that sets them.
CSS = Palette(**{name: f"var(--{name})" for name in structs.asdict(LIGHT)})


def css_variables(palette: Palette) -> str:
    """The palette as declarations of CSS custom properties."""
    return "".join(f"--{name}:{value};" for name, value in structs.asdict(palette).items())
