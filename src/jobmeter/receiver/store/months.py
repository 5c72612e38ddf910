"""Months as ranges of keys: a UUIDv7 (RFC 9562) begins with its time, 48 bits of milliseconds since 1970."""

from datetime import UTC, datetime
from typing import NamedTuple

LATE = "02"
"""Sorts after every UUIDv7 until September 2039."""


class Month(NamedTuple):
    """A month of the calendar, in UTC."""

    year: int
    month: int

    @property
    def name(self) -> str:
        """As in ``runs_2026_11``."""
        return f"{self.year}_{self.month:02d}"

    @property
    def begin(self) -> int:
        """Milliseconds since 1970."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp() * 1000)

    @property
    def first_uid(self) -> str:
        """What sorts before every UUIDv7 of this month, as it is written with small letters, and after those before."""
        digits = f"{self.begin:012x}"
        return f"{digits[:8]}-{digits[8:]}"

    def before(self) -> "Month":
        """The month before."""
        return Month(self.year, self.month - 1) if self.month > 1 else Month(self.year - 1, 12)

    def after(self) -> "Month":
        """The next month."""
        return Month(self.year, self.month + 1) if self.month < 12 else Month(self.year + 1, 1)


def month_of(milliseconds: int) -> Month:
    """The month of a time since 1970."""
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return Month(found.year, found.month)
