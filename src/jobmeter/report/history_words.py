"""How history is put into words: each measure by its name and its unit."""

from collections.abc import Callable
from typing import NamedTuple

from jobmeter.model.history.digest import Change, StandsOut
from jobmeter.model.history.usual import Usual
from jobmeter.model.quantities import format_bytes, format_change, format_duration
from jobmeter.report.text import clean, plural

_SHA_CELLS = 12


class MeasureWords(NamedTuple):
    """A measure for people: what it is called, how its values are written, and its colour of the palette."""

    title: str
    form: Callable[[float], str]
    colour: str

    def form_known(self, value: float | None) -> str:
        """The value; nothing for None."""
        return "" if value is None else self.form(value)


MEASURE_WORDS = {
    "memory": MeasureWords("memory", format_bytes, "memory"),
    "cpu_seconds": MeasureWords("CPU time", format_duration, "cpu"),
    "duration": MeasureWords("duration", format_duration, "io"),
    "network": MeasureWords("network", format_bytes, "mark"),
}
"""In the order in which they are shown."""


def runs_of_usual(usual: Usual, form: Callable[[float], str]) -> str:
    """``20 runs``, or ``10 runs since the change from 40.0 s``."""
    since = "" if usual.changed_from is None else f" since the change from {form(usual.changed_from)}"
    return plural(usual.runs, "run") + since


def change_words(change: Change) -> str:
    """``memory rose from 300 MiB to 600 MiB (+100 %)``."""
    words = MEASURE_WORDS[change.measure]
    verb = "rose" if change.after > change.before else "fell"
    share = format_change(change.before, change.after)
    of = f" of {clean(change.leg)}" if change.leg else ""
    said = f"{words.title}{of} {verb} from {words.form(change.before)} to {words.form(change.after)}"
    return f"{said} ({share})" if share else said


def outlier_words(outlier: StandsOut) -> str:
    """``memory 900 MiB, usually 300 MiB``."""
    words = MEASURE_WORDS[outlier.measure]
    return f"{words.title} {words.form(outlier.value)}, usually {words.form(outlier.median)}"


def short_sha(sha: str) -> str:
    """The commit as people name it."""
    return clean(sha)[:_SHA_CELLS]


def short_ref(ref: str) -> str:
    """``main`` of ``refs/heads/main``."""
    for prefix in ("refs/heads/", "refs/tags/", "refs/"):
        if ref.startswith(prefix) and len(ref) > len(prefix):
            return clean(ref.removeprefix(prefix))
    return clean(ref)
