"""Stacks as they are found: numbers that cost little while the daemon works; their names are looked up afterwards."""

from types import CodeType, FrameType

from jobmeter.ops.pprof.profile import Frame

MAX_DEPTH = 128
"""So many frames of a stack are kept, the innermost ones."""

Stack = tuple[int, ...]
"""The code object and the offset of the instruction of each frame in turns, the innermost frame first."""


class Stacks:
    """Knows the code that stacks refer to; it keeps that alive, but no frame and so none of its variables."""

    def __init__(self) -> None:
        self._codes: dict[int, CodeType] = {}
        self._known: set[Stack] = set()
        self._frames: dict[tuple[int, int], Frame] = {}

    # Code objects are compared by all that is in them, which takes long; so their addresses stand for them.
    def of(self, innermost: FrameType | None) -> Stack:
        """The stack that ends in this frame."""
        found: list[int] = []
        frame = innermost
        for _ in range(MAX_DEPTH):
            if frame is None:
                break
            found.append(id(frame.f_code))
            found.append(frame.f_lasti)
            frame = frame.f_back
        stack = tuple(found)
        if stack not in self._known:
            self._keep(stack, innermost)
        return stack

    def of_frames(self, frames: list[FrameType]) -> Stack:
        """The stack of these frames, the innermost first."""
        found: list[int] = []
        for frame in frames[:MAX_DEPTH]:
            self._codes[id(frame.f_code)] = frame.f_code
            found += (id(frame.f_code), frame.f_lasti)
        return tuple(found)

    def _keep(self, stack: Stack, frame: FrameType | None) -> None:
        self._known.add(stack)
        for number in stack[::2]:
            if frame is not None:
                self._codes[number] = frame.f_code
                frame = frame.f_back

    def frames(self, stack: Stack) -> tuple[Frame, ...]:
        """Functions, files and lines of a stack."""
        return tuple(map(self._frame, stack[::2], stack[1::2]))

    def _frame(self, number: int, offset: int) -> Frame:
        found = self._frames.get((number, offset))
        if found is None:
            code = self._codes[number]
            found = Frame(code.co_qualname, code.co_filename, _line(code, offset), code.co_firstlineno)
            self._frames[number, offset] = found
        return found


def _line(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno
