"""Pieces of the HTML page: every text goes through ``text``, every number comes formatted."""

from collections.abc import Iterable, Sequence
from html import escape

from jobmeter.report.layout import Column
from jobmeter.report.text import clean, fit

_NAME_CELLS = 120
SCROLLING = '<div class="card scroll" role="group" aria-label="Table" tabindex="0">'
"""Begins a box that scrolls sideways where it is wider than the page, by keys too."""


def text(value: object) -> str:
    """Anything from outside, harmless in HTML."""
    return escape(clean(str(value)))


def table(
    caption: str,
    names: Sequence[str],
    columns: Sequence[Column],
    *,
    first: str = "name",
    nested: Sequence[int] = (),
    bars: Sequence[float] = (),
    sparse: bool = False,
) -> str:
    """A table with one row per name; columns without any value are left out, rows too when ``sparse``.

    ``nested`` gives the depth of each row, ``bars`` a share of 0 to 1 drawn at its end.
    """
    shown = [column for column in columns if any(column.cells)]
    if not shown or not names:
        return ""
    heads = "".join(f'<th scope="col"{_class(column)}>{text(column.title)}</th>' for column in shown)
    rows = []
    for i, name in enumerate(names):
        if sparse and not any(column.cells[i] for column in shown):
            continue
        depth = nested[i] if i < len(nested) else 0
        style = f' class="nested" style="padding-left:{1.2 * min(depth, 5):.1f}em!important"' if depth else ""
        cells = [f"<td{_class(column)}>{text(column.cell(i))}" for column in shown]
        if i < len(bars):
            cells[-1] += bar(bars[i], "cpu")
        head = f'<th scope="row"{style}>{text(fit(clean(name), _NAME_CELLS))}</th>'
        rows.append(f"<tr>{head}{'</td>'.join(cells)}</td></tr>")
    top = f'<thead><tr><th scope="col">{text(first)}</th>{heads}</tr></thead>'
    return f"<table><caption>{text(caption)}</caption>{top}<tbody>{''.join(rows)}</tbody></table>"


def _class(column: Column) -> str:
    return ' class="left"' if column.left else ""


def bar(share: float, style: str) -> str:
    """A bar that is filled by a share of 0 to 1."""
    percent = max(0.0, min(1.0, share)) * 100
    return f'<span class="bar in-{style}" aria-hidden="true"><i style="width:{percent:.1f}%"></i></span>'


def card(*parts: str) -> str:
    """A box around parts that may be wider than the page; nothing when all are empty."""
    body = "".join(parts)
    return f"{SCROLLING}{body}</div>" if body else ""


def section(title: str, *parts: str) -> str:
    """A part of the page under a heading; nothing when there is nothing under it."""
    body = "".join(parts)
    return f"<section><h2>{text(title)}</h2>{body}</section>" if body else ""


def notes(told: Iterable[tuple[str, bool]], attributes: str = "") -> str:
    """A list of sentences, which are HTML, each with whether it stands out as something to act on."""
    marks = ("", ' class="warn"')
    items = "".join(f"<li{marks[is_warning]}>{said}</li>" for said, is_warning in told)
    return f'<ul class="notes"{attributes}>{items}</ul>' if items or attributes else ""


def definitions(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values; those without a value are left out."""
    rows = "".join(
        f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs if value not in (None, "")
    )
    return f'<div class="card"><h3>{text(title)}</h3><dl>{rows}</dl></div>' if rows else ""
