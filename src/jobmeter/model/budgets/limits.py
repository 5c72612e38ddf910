"""What a limit says: a fixed amount, or how much more than the base branch's median."""

import math
import re

from msgspec import Struct

from jobmeter.model.budgets.measures import Measure
from jobmeter.model.errors import UsageError

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?%")
_MAX_PERCENT = 1e6


class Budget(Struct, frozen=True):
    """One limit on one measure; ``text`` is the limit as it is written in the file.

    A relative one allows the base's median times 1 + ``ratio``, plus ``amount``; another one ``amount``. A ``strict``
    one is exceeded also within the spread of the base's own runs.
    """

    measure: Measure
    text: str
    amount: float = 0.0
    ratio: float = 0.0
    is_relative: bool = False
    strict: bool = False

    def allowed(self, median: float | None) -> float | None:
        """The most that may be used, in the measure's unit; None where it hangs on a median that is not known."""
        if not self.is_relative:
            return self.amount
        # In this order 15 % of 100 are 15.
        return None if median is None else median + median * self.ratio + self.amount


def parse_budget(measure: Measure, text: str, *, strict: bool = False) -> Budget:
    """The budget of ``2 GiB``, ``+10 %`` or ``+256 MiB``. Raises UsageError that says what is accepted."""
    written = text.strip()
    if "%" in written or written.startswith("+"):
        return _relative(measure, written, strict)
    if written.startswith(("-", "−")):
        raise UsageError(
            f"{text!r} is below nothing; accepted are a limit, or + and how much more than the base"
        )
    if strict:
        raise UsageError(
            f"{text!r} is absolute, and strict is for limits that are relative to the base, as '+10 %'"
        )
    return Budget(measure, written, amount=measure.parse(written))


def _relative(measure: Measure, text: str, strict: bool) -> Budget:
    if not text.startswith("+"):
        raise UsageError(f"{text!r} has no +; '+10 %' allows that much more than the base branch's median")
    more = text[1:].strip()
    percent = _PERCENT.fullmatch(more)
    if percent is None and "%" in more:
        raise UsageError(f"{text!r} is no share; accepted are forms such as '+10 %' and '+2.5 %'")
    if percent is None:
        return Budget(measure, text, amount=measure.parse(more), is_relative=True, strict=strict)
    value = float(percent[1])
    if not (math.isfinite(value) and value <= _MAX_PERCENT):
        raise UsageError(f"{text!r} is too much; at most '+1000000 %' is accepted")
    return Budget(measure, text, ratio=value / 100, is_relative=True, strict=strict)
