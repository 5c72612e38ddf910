"""What the devices of a cgroup have counted so far, though the kernel forgets each of them that goes away."""

from collections.abc import Iterable

from jobmeter.model.account import DeviceCount

MAX_GONE = 64


class DeviceTotals:
    """Adds up what each device's counters have grown by; one that comes again from 0 counts on.

    Of those that are gone, the ``MAX_GONE`` latest are told one by one; what others counted is in the sums alone.
    """

    __slots__ = ("_before", "_read", "_totals", "_written")

    def __init__(self) -> None:
        self._before: dict[str, DeviceCount] = {}
        self._totals: dict[
            str, DeviceCount
        ] = {}  # Those that are gone first, as each that is there moves to the end.
        self._read = 0
        self._written = 0

    def add(self, counts: Iterable[DeviceCount]) -> None:
        """Take what all devices count now."""
        now = {one.device: one for one in counts}
        for device, one in now.items():
            grown = _grown(self._before.get(device), one)
            total = self._totals.pop(device, None)
            self._totals[device] = _sum(total, grown) if total is not None else grown
            self._read += grown.read
            self._written += grown.written
        self._before = now
        while len(self._totals) - len(now) > MAX_GONE:
            del self._totals[next(iter(self._totals))]

    @property
    def sums(self) -> tuple[int, int] | None:
        """What was read and written over all that ever were there; None where there was none."""
        return (self._read, self._written) if self._totals else None

    @property
    def each(self) -> tuple[DeviceCount, ...]:
        """Those that are gone first."""
        return tuple(self._totals.values())


def _grown(before: DeviceCount | None, now: DeviceCount) -> DeviceCount:
    """All of it where a counter fell: the kernel began anew."""
    if before is None or now.read < before.read or now.written < before.written:
        return now
    return DeviceCount(now.device, now.read - before.read, now.written - before.written)


def _sum(one: DeviceCount, other: DeviceCount) -> DeviceCount:
    return DeviceCount(one.device, one.read + other.read, one.written + other.written)
