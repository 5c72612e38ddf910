"""What a monitoring system saw during a job as Vega-Lite specifications: a chart a query, on the job's time axis."""

from bisect import bisect_right

from jobmeter.model.evidence.document import Evidence, Series, seconds_of
from jobmeter.report.charts import SCHEMA, Chart, Sign
from jobmeter.report.evidence_figures import Answer
from jobmeter.report.palette import Palette
from jobmeter.report.panels import POINT, STRIP, Curve, Frame, Spec, curves_panel, frame, join
from jobmeter.report.text import clean, fit

MAX_CHARTS = 40
"""Of one document; the other queries are told of."""
EVIDENCE_KEYS = "evidence-"
"""What the keys of these charts begin with."""
_MAX_POINTS = 2400
"""Of one chart; more cannot be told apart."""
_LEAST_POINTS = 40
_THINNED = "Each moment shows its highest value."
_NAMED_IN_A_HINT = 6
_EXPRESSION_CELLS = 300
_COLOURS = ("cpu", "throttled", "io", "memory", "limit")
_FORMS = ("", "dash", "dots", "thick")
# A point that comes later than so many steps after the one before stands after a gap.
_GAP_STEPS = 1.5
_ROUNDING = 1e-3
_BYTE_UNITS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
# Not 5m for 0.005: of seconds that would be minutes.
_LABEL = "format(datum.value, abs(datum.value) >= 1000 ? '.3~s' : '.3~g')"
_Points = list[tuple[float, float | None]]


def drawn(document: Evidence) -> list[tuple[int, Answer]]:
    """The queries with a course to draw, with their places in the document; at most MAX_CHARTS."""
    answers = ((place, Answer(query)) for place, query in enumerate(document.queries))
    found = [(place, answer) for place, answer in answers if answer.has_numbers and not answer.is_zero]
    return found[:MAX_CHARTS]


def evidence_charts(document: Evidence, *, width: int, palette: Palette) -> list[Chart]:
    """A chart of each query that has other numbers than 0, ``width`` pixels wide; at most MAX_CHARTS."""
    begin = seconds_of(document.start_time)
    span = max(seconds_of(document.end_time) - begin, 1.0)
    view = _frame(span, width, palette)
    return [_chart(place, answer, view, begin) for place, answer in drawn(document)]


def _frame(span: float, width: int, palette: Palette) -> Frame:
    """With so many equal parts as there are points to be seen."""
    plot = frame(span, width, palette, [], []).width
    parts = max(8, int(plot / POINT))
    return frame(span, width, palette, [span * (i + 1) / parts for i in range(parts)], [])


def _chart(place: int, answer: Answer, view: Frame, begin: float) -> Chart:
    unit, factor = _unit(answer)
    step = answer.query.step_seconds
    most = max(_LEAST_POINTS, min(len(view.ends), _MAX_POINTS // len(answer.chosen)))
    signs, curves, courses, is_thinned = [], [], [], False
    for number, chosen in enumerate(answer.chosen):
        colour, form = _COLOURS[number % len(_COLOURS)], _FORMS[number // len(_COLOURS) % len(_FORMS)]
        course = _course(answer.query.series[chosen], answer.numbers[chosen], begin, step)
        inside = [point for point in course if -_ROUNDING <= point[0] <= view.span + _ROUNDING]
        is_thinned |= len(inside) > most
        points = _scaled(_thinned(inside, view, most, step), factor)
        signs.append(Sign(answer.series_names[chosen] or "no labels", colour, form))
        curves.append(Curve(points, getattr(view.palette, colour), form))
        courses.append(course)
    panel = curves_panel(view, unit, curves, _hints(answer, courses, view), _LABEL)
    question = fit(clean(answer.query.expression), _EXPRESSION_CELLS)
    spec: Spec = {"$schema": SCHEMA, "description": answer.name}
    legend = () if answer.series_names == [""] else tuple(signs)
    about = " ".join((*answer.remarks(), *([_THINNED] if is_thinned else [])))
    return Chart(f"{EVIDENCE_KEYS}{place}", answer.name, about, legend, spec | join([panel], view), question)


def _scaled(points: _Points, factor: int) -> _Points:
    return [(time, None if value is None else value / factor) for time, value in points]


def _unit(answer: Answer) -> tuple[str, int]:
    if not answer.is_bytes:
        return "per second" if answer.unit == "/s" else answer.unit, 1
    top = max(abs(value) for of in answer.numbers for value in of if value is not None)
    unit, factor = next((each for each in _BYTE_UNITS if top >= each[1]), _BYTE_UNITS[-1])
    return f"{unit}{answer.per_second}", factor


def _course(series: Series, values: list[float | None], begin: float, step: float) -> _Points:
    """The points by seconds since the begin, with a gap where points are missing."""
    found: _Points = []
    for (time, _), value in zip(series.points, values, strict=True):
        elapsed = time - begin
        if found and step > 0 and elapsed - found[-1][0] > _GAP_STEPS * step:
            found.append((found[-1][0] + step, None))
        found.append((elapsed, value))
    return found


def _thinned(course: _Points, view: Frame, most: int, step: float) -> _Points:
    """Of many points the highest of each of ``most`` equal parts of the job's time."""
    if len(course) <= most:
        return course
    parts: dict[int, list[tuple[float, float]]] = {}
    for time, value in course:
        if value is not None:
            parts.setdefault(min(most - 1, max(0, int(time / view.span * most))), []).append((time, value))
    found: _Points = []
    before, last = -1, 0.0
    for part, points in parts.items():
        # A gap that is shorter than a part is not to be seen.
        if found and part > before + 1 and points[0][0] - last > _GAP_STEPS * step:
            found.append((last, None))
        found.append(max(points, key=lambda point: point[1]))
        before, last = part, points[-1][0]
    return found


def _hints(answer: Answer, courses: list[_Points], view: Frame) -> list[str]:
    """What is said of each strip: the newest values of the series by then."""
    names = [answer.series_names[chosen] for chosen in answer.chosen]
    alone = len(names) == 1
    times = [[time for time, _ in course] for course in courses]
    reach = max(_GAP_STEPS * answer.query.step_seconds, view.span * STRIP / view.width)
    hints = []
    for end in view.points(STRIP):
        told = []
        for name, course, of in zip(names, courses, times, strict=True):
            place = bisect_right(of, end + _ROUNDING) - 1
            time, value = course[place] if place >= 0 else (0.0, None)
            if value is not None and end - time <= reach:
                told.append((value, answer.amount(value) if alone else f"{name}: {answer.amount(value)}"))
        told.sort(key=lambda each: -each[0])
        more = f", and {len(told) - _NAMED_IN_A_HINT} more" if len(told) > _NAMED_IN_A_HINT else ""
        hints.append((", ".join(each for _, each in told[:_NAMED_IN_A_HINT]) + more) or "no data")
    return hints
