"""What an operator pays for reserved resources, and what it makes of use over time."""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

GIB_HOUR = 2**30 * 3600.0
"""Byte-seconds."""
CORE_HOUR = 3600.0
"""Core-seconds."""


class Price(Struct, frozen=True, kw_only=True):
    """Of one kind of runner, in the table's currency."""

    core_hour: float
    gib_hour: float

    def cost(self, core_seconds: float, byte_seconds: float) -> float:
        """What they cost."""
        return core_seconds / CORE_HOUR * self.core_hour + byte_seconds / GIB_HOUR * self.gib_hour


class Prices(Struct, frozen=True, kw_only=True):
    """A price table: that of all runners, and of those with a label, the first of a runner's labels that has one."""

    currency: str
    default: Price
    by_label: Mapping[str, Price] = field(default_factory=dict)

    def of(self, labels: Iterable[str]) -> Price:
        """The price of a runner."""
        return next((self.by_label[label] for label in labels if label in self.by_label), self.default)


SHAPE = Price(core_hour=1.0, gib_hour=0.25)
"""Weighs memory against CPU where nobody names prices: machines of clouds mostly have 4 GiB a core."""
