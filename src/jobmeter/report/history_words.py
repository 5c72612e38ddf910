"""How history is put into words: each measure by its name and its unit."""

from collections.abc import Callable
from typing import NamedTuple

from jobmeter.model.history.digest import Change, StandsOut
from jobmeter.model.quantities import format_bytes, format_duration, format_percent
from jobmeter.report.text import clean

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


def change_words(change: Change) -> str:
    """``memory rose from 300 MiB to 600 MiB (+100 %)``."""
    words = MEASURE_WORDS[change.measure]
    verb = "rose" if change.after > change.before else "fell"
    share = f" ({'+' if change.after > change.before else '−'}{_share(change)})" if change.before else ""
    of = f" of {clean(change.leg)}" if change.leg else ""
    return f"{words.title}{of} {verb} from {words.form(change.before)} to {words.form(change.after)}{share}"


def _share(change: Change) -> str:
    return format_percent(abs(change.after - change.before) / change.before)


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
