"""Lines of styled text and aligned tables for a terminal of a given width."""

from collections.abc import Sequence

from msgspec import Struct

from jobmeter.report.text import cells, clean, fit, pad

Span = tuple[str, str]
Line = list[Span]

# What a style means in ANSI: only the sixteen colours that every terminal maps to its own theme.
_ANSI = {
    "": "",
    "bold": "1",
    "faint": "2",
    "good": "1;32",
    "bad": "1;31",
    "warn": "33",
    "cpu": "36",
    "memory": "35",
}
_GAP = "  "
UNKNOWN = "–"


class Column(Struct, frozen=True):
    """One column of a table; of the columns with a ``rank``, the highest go first where room is short.

    An empty cell is shown as ``blank``: what it would say is not known.
    """

    title: str
    cells: list[str]
    rank: int = 0
    left: bool = False
    style: str = ""
    blank: str = UNKNOWN

    def cell(self, row: int) -> str:
        """What is shown in a row."""
        return self.cells[row] or self.blank


def paint(lines: Sequence[Line], width: int, *, colour: bool) -> str:
    """The lines as text, each at most ``width`` cells and free of control characters but its own colours."""
    return "".join(_paint_line(line, width, colour) + "\n" for line in lines)


def _paint_line(line: Line, width: int, colour: bool) -> str:
    painted, room = [], width
    spans = [(clean(text), style) for text, style in line]
    while spans and not spans[-1][0].rstrip():
        spans.pop()
    if spans:
        spans[-1] = (spans[-1][0].rstrip(), spans[-1][1])
    for whole, style in spans:
        text = fit(whole, room)
        room -= cells(text)
        code = _ANSI[style] if colour and text.strip() else ""
        painted.append(f"\x1b[{code}m{text}\x1b[0m" if code else text)
    return "".join(painted)


def table(
    title: str,
    names: Sequence[Span],
    columns: Sequence[Column],
    width: int,
    *,
    name_width: int = 0,
    sparse: bool = False,
) -> list[Line]:
    """A heading line and one line per name; columns without any value are left out, rows too when ``sparse``.

    A table without columns is no table. Where ``width`` is short, ranked columns go, then names are cut.
    """
    shown = [column for column in columns if any(column.cells)]
    if not shown or not names:
        return []
    wanted = max(name_width, cells(title), *(cells(clean(name)) + 2 for name, _ in names))
    while len(shown) > 1 and min(wanted, 16) + _span(shown) > width:
        worst = max(shown, key=lambda column: column.rank)
        if not worst.rank:
            break
        shown.remove(worst)
    first = max(8, min(wanted, width - _span(shown)))
    heading: Line = [(pad(title, first, left=True), "bold")]
    heading += [(_GAP + pad(column.title, _width(column), left=column.left), "faint") for column in shown]
    rows = [i for i in range(len(names)) if not sparse or any(column.cells[i] for column in shown)]
    return [heading, *(_row(names[i], i, shown, first) for i in rows)]


def _row(name: Span, index: int, columns: Sequence[Column], first: int) -> Line:
    line: Line = [(pad("  " + clean(name[0]), first, left=True), name[1])]
    for column in columns:
        line.append((_GAP + pad(column.cell(index), _width(column), left=column.left), column.style))
    return line


def _width(column: Column) -> int:
    return max(cells(column.title), *(cells(cell) for cell in column.cells))


def _span(columns: Sequence[Column]) -> int:
    return sum(_width(column) + len(_GAP) for column in columns)


def line_width(line: Line) -> int:
    """Cells of a line."""
    return sum(cells(text) for text, _ in line)


def beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """Two tables next to each other where both fit into ``width``, else one below the other."""
    if not left or not right:
        return left or right
    gutter = 4
    half = max(line_width(line) for line in left)
    if half + gutter + max(line_width(line) for line in right) > width:
        return [*left, [], *right]
    lines = []
    for i in range(max(len(left), len(right))):
        start = left[i] if i < len(left) else []
        end = right[i] if i < len(right) else []
        lines.append([*start, (" " * (half - line_width(start) + gutter), ""), *end])
    return lines
