"""A job over its runs, and a fleet over its days, as Vega-Lite specifications."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from jobmeter.model.history.digest import Digest, PastRun
from jobmeter.model.history.fleet import Account
from jobmeter.model.prices import CORE_HOUR, GIB_HOUR
from jobmeter.report.charts import SCHEMA, Chart, Sign
from jobmeter.report.figures import moment
from jobmeter.report.history_words import MEASURE_WORDS, short_ref, short_sha
from jobmeter.report.palette import Palette
from jobmeter.report.panels import Spec, config
from jobmeter.report.text import clean, fit
from jobmeter.report.time_axis import time_axis

_SHOWN = ("memory", "cpu_seconds", "duration")
_LEAST_RUNS, _LEAST_DAYS = 2, 2
_MAX_LEVELS = 60
_REF_CELLS = 40
_MARGIN = 56
_PANEL_HEIGHT = 96
_POINT = 6
_DAY = 86_400_000
_SCALES = {
    "memory": (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)),
    "time": (("h", 3600.0), ("min", 60.0), ("s", 1.0)),
}
_PLAIN = "format(datum.value, datum.value >= 10 ? ',.0f' : '.3~g')"


def job_chart(runs: Sequence[PastRun], digest: Digest, *, width: int, palette: Palette) -> Chart | None:
    """Memory, CPU time and duration of each run, and the levels they are on; None of fewer than two runs."""
    panels: list[Spec] = []
    x = _over_runs(runs, _plot(width))
    for key in _SHOWN:
        values = [(run, value) for run in runs if (value := run.measure(key)) is not None]
        if len(values) >= _LEAST_RUNS:
            panels.append(_runs_panel(key, values, digest, _plot(width), x, palette))
    if not panels:
        return None
    _hide_times(panels[:-1])
    return Chart(
        "runs",
        "Run by run",
        "Each run by the time it began; the line is the median of the runs on one level.",
        tuple(_signs(runs, digest)),
        _spec("Each run by the time it began.", panels, palette, {"resolve": {"scale": {"x": "shared"}}}),
    )


def _signs(runs: Sequence[PastRun], digest: Digest) -> Iterator[Sign]:
    """What the line means, and the forms of the points where there is more than one."""
    if digest.levels:
        yield Sign("level", "text")
    apart = any(_stands_apart(run, digest) for run in runs)
    if apart:
        yield Sign(f"run of {fit(short_ref(digest.ref or ''), _REF_CELLS)}", "text", "point")
        yield Sign("of another branch", "text", "ring")
    if any(run.is_failed for run in runs):
        yield Sign("failed, killed, cancelled or lost", "limit", "plus")
    elif not all(run.is_whole for run in runs):
        yield Sign("how it ended is not known", "limit", "plus")


def _stands_apart(run: PastRun, digest: Digest) -> bool:
    return digest.ref is not None and run.ref != digest.ref


def _runs_panel(
    key: str,
    values: Sequence[tuple[PastRun, float]],
    digest: Digest,
    width: int,
    x: Spec,
    palette: Palette,
) -> Spec:
    words = MEASURE_WORDS[key]
    levels = [level for level in digest.levels if level.measure == key][-_MAX_LEVELS:]
    unit, factor = _unit(key, max(value for _, value in values))
    top = max(value for _, value in values) / factor
    y = _amount("v", top)
    points = [
        {
            "t": _milliseconds(run.began_at),
            "v": _short(value / factor),
            "whole": run.is_whole,
            "apart": _stands_apart(run, digest),
            "hint": _hint(run, words.form(value), digest),
        }
        for run, value in values
    ]
    colour = _either(getattr(palette, words.colour), palette.limit)
    hint = {"field": "hint", "type": "nominal"}
    lines = [
        {
            "t": _milliseconds(level.began_at),
            "t2": _milliseconds(level.last_began_at),
            "v": _short(level.median / factor),
        }
        for level in levels
    ]
    return {
        "title": {"text": f"{words.title} · {unit}"},
        "width": width,
        "height": _PANEL_HEIGHT,
        "layer": [
            {
                "data": {"values": lines},
                "mark": {"type": "rule", "color": palette.text, "strokeWidth": 1.2, "opacity": 0.75},
                "encoding": {"x": x, "x2": {"field": "t2"}, "y": y},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point"},
                "encoding": {
                    "x": x, "y": y, "fill": colour, "stroke": colour, "tooltip": hint, "description": hint,
                    # Hollow, and not in another colour: that says which measure it is.
                    "fillOpacity": {"condition": {"test": "datum.apart", "value": 0}, "value": 0.8},
                    "strokeWidth": {"condition": {"test": "datum.apart", "value": 1.2}, "value": 0},
                    "shape": _either("circle", "cross"), "size": _either(22, 44),
                },
            },
        ],
    }  # fmt: skip


def _either(whole: str | int, cut_short: str | int) -> Spec:
    """By whether a run went to its end; not by its colour alone."""
    return {"condition": {"test": "datum.whole", "value": whole}, "value": cut_short}


def fleet_chart(days: Sequence[tuple[str, Account]], *, width: int, palette: Palette) -> Chart | None:
    """CPU and memory of each day: what was reserved, and what of it was used; None of fewer than two days."""
    panels: list[Spec] = []
    begun = [_milliseconds(f"{day}T00:00:00Z") for day, _ in days]
    x = time_axis(min(begun, default=0), max(begun, default=0) + _DAY, _plot(width))
    parts = (
        ("CPU · core-hours", palette.cpu, CORE_HOUR, [(day, account.cpu) for day, account in days]),
        ("memory · GiB-hours", palette.memory, GIB_HOUR, [(day, account.memory) for day, account in days]),
    )
    for title, colour, factor, wastes in parts:
        rows: list[Spec] = [
            {
                "t": _milliseconds(f"{day}T00:00:00Z"),
                "t2": _milliseconds(f"{day}T00:00:00Z") + _DAY,
                "reserved": _short(waste.reserved / factor),
                "used": _short((waste.reserved - (waste.unused or 0.0)) / factor),
            }
            for day, waste in wastes
            if waste.reserved is not None
        ]
        if len(rows) >= _LEAST_DAYS:
            for row, (day, _) in zip(
                rows, [pair for pair in wastes if pair[1].reserved is not None], strict=True
            ):
                row["hint"] = f"{day}: {row['used']:,.3g} used of {row['reserved']:,.3g} reserved"
            panels.append(_days_panel(title, rows, colour, _plot(width), x))
    if not panels:
        return None
    _hide_times(panels[:-1])
    return Chart(
        "days",
        "Day by day",
        "What jobs reserved, and what of it they used. Only runs that tell what they reserved are in it.",
        (Sign("used", "text", "bar"), Sign("reserved", "text", "band")),
        _spec("Reserved and used, day by day.", panels, palette, {"resolve": {"scale": {"x": "shared"}}}),
    )


def _days_panel(title: str, rows: list[Spec], colour: str, width: int, x: Spec) -> Spec:
    top = max(max(row["reserved"], row["used"]) for row in rows)
    hint = {"field": "hint", "type": "nominal"}

    def bars(field: str, opacity: float) -> Spec:
        mark = {"type": "rect", "color": colour, "opacity": opacity}
        encoding = {
            "x": x, "x2": {"field": "t2"}, "y": _amount(field, top), "y2": {"datum": 0},
            "tooltip": hint, "description": hint,
        }  # fmt: skip
        return {"mark": mark, "encoding": encoding}

    return {
        "title": {"text": title},
        "width": width,
        "height": _PANEL_HEIGHT,
        "data": {"values": rows},
        "layer": [bars("reserved", 0.28), bars("used", 0.85)],
    }


def _spec(about: str, panels: list[Spec], palette: Palette, more: Spec) -> Spec:
    body: Spec = panels[0] if len(panels) == 1 else {"vconcat": panels, "spacing": 12} | more
    return {"$schema": SCHEMA, "description": about} | body | {"config": config(palette), "padding": 2}


def _plot(width: int) -> int:
    """The width of a panel without its axis."""
    return max(80, width - _MARGIN)


def _over_runs(runs: Sequence[PastRun], width: int) -> Spec:
    """From the first to the last, with room for half a point at both ends."""
    begun = [_milliseconds(run.began_at) for run in runs]
    begin, end = min(begun, default=0), max(begun, default=0)
    room = max(1000, (end - begin) * _POINT // width)
    return time_axis(begin - room, end + room, width)


def _hide_times(panels: Iterable[Spec]) -> None:
    """But for the ticks: the last panel has the labels."""
    for panel in panels:
        encoding = panel["layer"][-1]["encoding"]
        encoding["x"] = encoding["x"] | {"axis": encoding["x"]["axis"] | {"labels": False}}


def _amount(field: str, top: float) -> Spec:
    scale = {"domain": [0, max(top, 1e-6) * 1.08]}
    axis = {"title": None, "tickCount": 4, "labelExpr": _PLAIN}
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def _unit(key: str, top: float) -> tuple[str, float]:
    units = _SCALES["memory" if key == "memory" else "time"]
    return next(((unit, factor) for unit, factor in units if top >= factor), units[-1])


def _hint(run: PastRun, value: str, digest: Digest) -> str:
    parts = [moment(run.began_at), value]
    parts += [fit(short_ref(run.ref), _REF_CELLS)] if run.ref and _stands_apart(run, digest) else []
    parts += [short_sha(run.sha)] if run.sha else []
    parts += [] if run.is_whole else [f"ended: {fit(clean(run.exit_reason or 'not known'), 40)}"]
    return " · ".join(parts)


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _short(value: float) -> float:
    return float(f"{value:.5g}")
