"""Set single values in a YAML text and leave every other character as it is.

The text is parsed for the places of its nodes only; a value is replaced, or a line inserted, in the text itself, so
comments, quotes and order stay. Afterwards the new text is parsed again: if anything but the wanted value changed,
the text is refused rather than spoiled.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from jobmeter.model.errors import MissingExtra, UsageError

Path = Sequence[str | int]

_ALIAS = re.compile(r"\*[^\s,\]}]+")
_LINE_END = re.compile(r"\r?\n|\Z")
_NULL = ("", "~", "null", "Null", "NULL")
_DEFAULT_STEP = 2


class Mark(Protocol):
    """A place in the text, from 0."""

    index: int
    line: int
    column: int


class Node(Protocol):
    """A node as PyYAML composes it: ``id`` is scalar, sequence or mapping; the first has a style, the others a flow."""

    id: str
    value: Any
    style: str | None
    flow_style: bool | None
    start_mark: Mark
    end_mark: Mark


class Documents:
    """The documents of one YAML text, ``name`` is that of its file; raises UsageError for what is no YAML.

    A path begins with the place of the document: ``(0, "services", "web", "cpus")``.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.roots = _compose(text, name)

    def node(self, path: Path) -> Node | None:
        """The node at a path, None where there is none."""
        node: Node | None = None
        for place, step in enumerate(path):
            node = self._child(node, step) if place else self._root(step)
            if node is None:
                return None
        return node

    def _root(self, step: str | int) -> Node | None:
        return self.roots[step] if isinstance(step, int) and step < len(self.roots) else None

    def _child(self, node: Node | None, step: str | int) -> Node | None:
        if isinstance(step, int):
            items = node.value if node is not None and node.id == "sequence" else []
            return items[step] if step < len(items) else None
        return next((value for key, value in entries(node) if key == step), None)

    def assign(self, path: Path, value: str, *, quoted: bool = False) -> "Documents":
        """The documents with a scalar set; keys that are not there are added at the end of their mapping.

        A value that had quotes keeps them; a new one gets some if ``quoted``.
        """
        depth = next(place for place in range(len(path), 0, -1) if self.node(path[:place]) is not None)
        self._refuse_shared(path[:depth])
        if depth == len(path):
            text = self._replaced(path, value)
        else:
            text = self._inserted(path[:depth], [str(step) for step in path[depth:]], value, quoted)
        changed = Documents(text, self.name)
        if changed._plain() != _set(self._plain(), path, value):
            raise self._refusal(path, "cannot be set without changing something else")
        return changed

    def _replaced(self, path: Path, value: str) -> str:
        node = self._required(path)
        if node.id != "scalar" or node.style in ("|", ">"):
            raise self._refusal(path, "is not a plain value")
        start, end, quote = node.start_mark.index, node.end_mark.index, node.style or ""
        return self._spliced(start, end, f"{quote}{value}{quote}" if start < end else f" {value}")

    def _inserted(self, path: Path, keys: list[str], value: str, quoted: bool) -> str:
        node = self._required(path)
        written = f'"{value}"' if quoted else value
        if node.id == "mapping" and node.value:
            self._refuse_hiding(node, path, keys[0])
            end = self._end(node.value[-1][1], node.value[-1][0].end_mark.index)
            if node.flow_style:
                return self._spliced(end, end, f", {_flow(keys, written)}")
            return self._below(self.text, end, node.start_mark.column, keys, written)
        if node.id == "sequence" or (node.id == "scalar" and (node.value not in _NULL or node.style)):
            raise self._refusal(path, "is not a mapping")
        start, end, parent = node.start_mark.index, node.end_mark.index, self.node(path[:-1])
        if parent is None or parent.flow_style:
            return self._spliced(start, end, f"{' ' if start == end else ''}{{{_flow(keys, written)}}}")
        head = self.text[:start].rstrip(" ")
        column = parent.start_mark.column + self._step()
        return self._below(head + self.text[end:], len(head), column, keys, written)

    def _below(self, text: str, end: int, column: int, keys: Sequence[str], written: str) -> str:
        """The text with nested keys on lines of their own, below the line of ``end``."""
        newline = "\r\n" if "\r\n" in text else "\n"
        step, last = self._step(), len(keys) - 1
        added = "".join(
            f"{newline}{' ' * (column + depth * step)}{key}:{f' {written}' if depth == last else ''}"
            for depth, key in enumerate(keys)
        )
        found = _LINE_END.search(text, end)
        place = found.start() if found else len(text)
        return text[:place] + added + text[place:]

    def _spliced(self, start: int, end: int, middle: str) -> str:
        return self.text[:start] + middle + self.text[end:]

    def _end(self, node: Node, after: int) -> int:
        """Where the text of a node ends; one that stands before ``after`` is an alias here."""
        if node.start_mark.index < after:
            alias = _ALIAS.search(self.text, after)
            return alias.end() if alias else after
        if node.id == "scalar" or node.flow_style:
            return max(node.start_mark.index, len(self.text[: node.end_mark.index].rstrip()))
        last = node.value[-1]
        if node.id == "mapping":
            return self._end(last[1], last[0].end_mark.index)
        end = node.start_mark.index
        for item in node.value:
            end = self._end(item, end)
        return end

    def _step(self) -> int:
        """By how much this text indents: the least a mapping stands right of the one it is in."""
        steps = [
            value.start_mark.column - node.start_mark.column
            for node in self._nodes()
            if node.id == "mapping" and not node.flow_style
            for _, value in node.value
            if value.id == "mapping" and not value.flow_style
        ]
        return min((step for step in steps if step > 0), default=_DEFAULT_STEP)

    def _nodes(self) -> Iterator[Node]:
        """Each node as often as it is referred to, but what is below it once."""
        waiting, seen = list(self.roots), set()
        while waiting:
            node = waiting.pop()
            yield node
            if id(node) not in seen:
                seen.add(id(node))
                waiting += _children(node)

    def _refuse_shared(self, path: Path) -> None:
        """What an anchor shares would change in other places too."""
        uses = Counter(id(node) for node in self._nodes())
        for place in range(1, len(path) + 1):
            if uses[id(self.node(path[:place]))] > 1:
                raise self._refusal(
                    path[:place], "is shared by an anchor and its aliases, write it out first"
                )

    def _refuse_hiding(self, node: Node, path: Path, key: str) -> None:
        """A key of the mapping's own would take the place of all that a merge (``<<``) brings under it."""
        for name, value in entries(node):
            merged = value.value if value.id == "sequence" else [value]
            if name == "<<" and any(key == other for each in merged for other, _ in entries(each)):
                raise self._refusal(path, f"takes its {key} from an anchor by <<, write them out first")

    def _plain(self) -> Any:
        """Structure and scalars without places; a node that is referred to again is a number."""
        uses = Counter(id(node) for node in self._nodes())
        numbers: dict[int, int] = {}
        return [
            _plain(root, {each for each, count in uses.items() if count > 1}, numbers) for root in self.roots
        ]

    def _required(self, path: Path) -> Node:
        node = self.node(path)
        if node is None:
            raise self._refusal(path, "is not there")
        return node

    def _refusal(self, path: Path, what: str) -> UsageError:
        return UsageError(f"{self.name}: {'.'.join(str(step) for step in path[1:])} {what}")


def entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    """Key and value of a mapping's entries with plain keys; nothing of anything else."""
    if node is not None and node.id == "mapping":
        yield from ((key.value, value) for key, value in node.value if key.id == "scalar")


def _compose(text: str, name: str) -> list[Node]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("PyYAML", "size") from error
    try:
        roots: list[Any] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(f"{name} cannot be read as YAML{where}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(
            f"{name} cannot be read as YAML: it has a character that YAML does not allow"
        ) from error
    except RecursionError as error:
        raise UsageError(f"{name} cannot be read as YAML: it is nested too deeply") from error
    return [root for root in roots if root is not None]


def _children(node: Node) -> list[Node]:
    if node.id == "mapping":
        return [each for pair in node.value for each in pair]
    return list(node.value) if node.id == "sequence" else []


def _flow(keys: Sequence[str], written: str) -> str:
    """``requests: {cpu: 2}``."""
    return f"{keys[0]}: {written}" if len(keys) == 1 else f"{keys[0]}: {{{_flow(keys[1:], written)}}}"


def _plain(node: Node, shared: set[int], numbers: dict[int, int]) -> Any:
    if id(node) in numbers:
        return ("again", numbers[id(node)])
    if id(node) in shared:
        numbers[id(node)] = len(numbers)
    if node.id == "scalar":
        return node.value
    if node.id == "sequence":
        return [_plain(item, shared, numbers) for item in node.value]
    pairs = node.value
    return {"entries": [[_plain(key, shared, numbers), _plain(each, shared, numbers)] for key, each in pairs]}


def _set(plain: Any, path: Path, value: str) -> Any:
    """The same with a scalar set, as `Documents.assign` is to do it."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [*plain[:step], _set(plain[step], rest, value), *plain[step + 1 :]]
    pairs = plain["entries"] if isinstance(plain, dict) else []
    if any(key == step for key, _ in pairs):
        return {"entries": [[key, _set(each, rest, value) if key == step else each] for key, each in pairs]}
    return {"entries": [*pairs, [step, _set({"entries": []}, rest, value)]]}
