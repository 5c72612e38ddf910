"""The course of a run as it is drawn, made while its records are read, and in the form in which it is kept."""

import zlib

import msgspec
from msgspec import Struct

from jobmeter.model import wire
from jobmeter.model.summarize import RunFold
from jobmeter.receiver.api.buckets import BucketFold, Course

POINTS = 480
"""So many buckets at most: what pages draw, and what is told to who asks for no other number."""
LONG = 2000
"""The course of a run with so many records is kept; others are soon read."""
FINEST, COARSEST = 0.05, 3600.0
"""A tick of the meter is the finest that is told where nothing else is asked for, as far as it is a sensible one."""
_MOST_BYTES = 64 * 1024 * 1024
_MOST_KEPT_BYTES = 1024 * 1024


class _Kept(Struct, array_like=True):
    next_sequence: int
    course: Course


_DECODER = msgspec.msgpack.Decoder(_Kept)


class CourseFold:
    """Folds the records of a run into its summary and its course; ``first`` is the first of them."""

    def __init__(
        self, first: wire.AnyRecord, points: int = POINTS, resolution_seconds: float | None = None
    ) -> None:
        self._buckets = BucketFold(resolution_seconds or _interval(first), points)
        self.fold = RunFold(timeline_points=2, course=self._buckets)

    def course(self) -> Course:
        """Of what was taken."""
        fold = self.fold
        return self._buckets.course(fold.container_names(), fold.timeline().marks, fold.last_elapsed_seconds)


def encode(course: Course, next_sequence: int) -> bytes | None:
    """The form in which it is kept, None where it would be large or has numbers that nobody can write.

    ``next_sequence`` is that of the run of whose records it was made.
    """
    try:
        kept = zlib.compress(msgspec.msgpack.encode(_Kept(next_sequence, course)))
    except (OverflowError, ValueError):
        return None
    return kept if len(kept) <= _MOST_KEPT_BYTES else None


def decode(kept: bytes, next_sequence: int) -> Course | None:
    """The course, None where it was made of other records, or in another form."""
    try:
        found = _DECODER.decode(zlib.decompressobj().decompress(kept, _MOST_BYTES))
    except (zlib.error, msgspec.DecodeError):
        return None
    return found.course if found.next_sequence == next_sequence else None


def _interval(first: wire.AnyRecord) -> float:
    interval = first.interval_seconds if isinstance(first, wire.Start) else 1.0
    return min(max(interval, FINEST), COARSEST)
