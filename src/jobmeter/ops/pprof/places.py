"""Which function a line of a file belongs to, for who knows files and lines only."""

import sys
from collections.abc import Iterable, Iterator
from importlib.abc import InspectLoader
from importlib.machinery import FrozenImporter
from pathlib import Path
from types import CodeType, ModuleType

from jobmeter.ops.pprof.profile import Frame

UNKNOWN = "[unknown]"
_FROZEN = "<frozen "


class Places:
    """The functions of these files, from the compiled modules that they were imported from, else from their source.

    A function's first line belongs to who makes the function, unless it is all on that line.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._modules: dict[str, ModuleType] = {}
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if file:
                self._modules[file] = module
        self._lines = {file: self._lines_of(file) for file in set(files)}

    def frame(self, file: str, line: int) -> Frame:
        """The place with its function; `UNKNOWN` in code without a file."""
        code = self._lines.get(file, {}).get(line)
        return (
            Frame(UNKNOWN, file, line)
            if code is None
            else Frame(code.co_qualname, file, line, code.co_firstlineno)
        )

    def _lines_of(self, file: str) -> dict[int, CodeType]:
        whole = self._compiled(file)
        found: dict[int, CodeType] = {}
        for code in () if whole is None else _nested(whole):
            lines = {line for _, _, line in code.co_lines() if line is not None}
            if len(lines) > 1 and code is not whole:
                lines.discard(code.co_firstlineno)
            found |= dict.fromkeys(lines, code)
        return found

    def _compiled(self, file: str) -> CodeType | None:
        try:
            frozen = file.startswith(_FROZEN)
            name = file.removeprefix(_FROZEN).removesuffix(">")
            module = sys.modules.get(name) if frozen else self._modules.get(file)
            spec = None if module is None else module.__spec__
            if frozen:
                return FrozenImporter.get_code(name if spec is None else spec.name)
            if spec is not None and isinstance(spec.loader, InspectLoader):
                return spec.loader.get_code(spec.name)
            return compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        except (ImportError, OSError, SyntaxError, ValueError):
            return None


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
