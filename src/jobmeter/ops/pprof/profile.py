"""A profile as a value, and its encoding."""

import gzip
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """A place in the code. ``function`` is qualified; lines are counted from 1, and 0 is a line not known."""

    function: str
    file: str
    line: int = 0
    start_line: int = 0


class Quantity(NamedTuple):
    """What is measured, and its unit: `cpu` in `nanoseconds`."""

    type: str
    unit: str


class Label(NamedTuple):
    """Tells samples of one stack apart: by a text, or by a number if it has a unit."""

    key: str
    text: str = ""
    number: int = 0
    unit: str = ""


class Sample(NamedTuple):
    """One stack, the innermost frame first, with a value for each of the profile's quantities."""

    stack: tuple[Frame, ...]
    values: tuple[int, ...]
    labels: tuple[Label, ...] = ()


class Profile(NamedTuple):
    """Samples and what they mean.

    ``default`` is the type that a reader shows first, ``comments`` are sentences for whoever reads it, ``period``
    is how many of ``period_of`` are between two samples; times in nanoseconds, ``time_ns`` since 1970.
    """

    quantities: tuple[Quantity, ...]
    samples: Sequence[Sample]
    time_ns: int
    duration_ns: int
    default: str
    comments: tuple[str, ...] = ()
    period_of: Quantity | None = None
    period: int = 0


def encode(profile: Profile) -> bytes:
    """The profile as a gzipped profile.proto.

    What is no UTF-8 in a name becomes a question mark. protobuf is imported here, so that a daemon that is
    never asked for a profile does without it.
    """
    return gzip.compress(_Encoding(profile).message.SerializeToString(), compresslevel=6, mtime=0)


class _Encoding:
    """One message under way: every text, function and place is written once, and referred to by its number."""

    def __init__(self, profile: Profile) -> None:
        from jobmeter.ops.pprof.schema import ProfileMessage

        self.message: Any = ProfileMessage()
        self._texts: dict[str, int] = {}
        self._functions: dict[tuple[str, str, int], int] = {}
        self._places: dict[Frame, int] = {}
        self._text("")
        self._head(profile)
        for sample in profile.samples:
            self._sample(sample)
        self.message.string_table.extend(self._texts)

    def _head(self, profile: Profile) -> None:
        message = self.message
        for quantity in profile.quantities:
            message.sample_type.add(type=self._text(quantity.type), unit=self._text(quantity.unit))
        message.time_nanos, message.duration_nanos = profile.time_ns, profile.duration_ns
        message.default_sample_type = self._text(profile.default)
        message.comment.extend(self._text(comment) for comment in profile.comments)
        if profile.period_of is not None:
            message.period_type.type = self._text(profile.period_of.type)
            message.period_type.unit = self._text(profile.period_of.unit)
            message.period = profile.period
        # A reader that believes that names are missing would look for a program with symbols.
        message.mapping.add(
            id=1, filename=self._text(sys.executable),
            has_functions=True, has_filenames=True, has_line_numbers=True,
        )  # fmt: skip

    def _sample(self, sample: Sample) -> None:
        added = self.message.sample.add(
            location_id=[self._place(frame) for frame in sample.stack], value=sample.values
        )
        for label in sample.labels:
            if label.unit:
                added.label.add(key=self._text(label.key), num=label.number, num_unit=self._text(label.unit))
            else:
                added.label.add(key=self._text(label.key), str=self._text(label.text))

    def _place(self, frame: Frame) -> int:
        number = self._places.get(frame)
        if number is None:
            number = self._places[frame] = len(self._places) + 1
            place = self.message.location.add(id=number, mapping_id=1)
            place.line.add(function_id=self._function(frame), line=frame.line)
        return number

    def _function(self, frame: Frame) -> int:
        key = (frame.function, frame.file, frame.start_line)
        number = self._functions.get(key)
        if number is None:
            number = self._functions[key] = len(self._functions) + 1
            # Where there is a system's name too, pprof takes `<module>` and `<locals>` for arguments of a template.
            self.message.function.add(
                id=number, name=self._text(frame.function), filename=self._text(frame.file),
                start_line=frame.start_line,
            )  # fmt: skip
        return number

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text.encode(errors="replace").decode(), len(self._texts))
