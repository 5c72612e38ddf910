"""A daemon's configuration file: TOML whose keys are the long flags, weaker than variables and flags."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jobmeter.config.options import Invocation, Option, value_of
from jobmeter.model.errors import UsageError

_MAX_BYTES = 1024 * 1024
_VERY_CLOSE = 0.8
"""Of 1: a key of another place is meant only if it is written nearly like that."""
_KINDS: Mapping[str, tuple[type, ...]] = {
    "N": (int, float),
    "SIZE": (str, int, float),
    "PERCENT": (str, int, float),
    "CORES": (str, int, float),
}
"""The kinds of TOML that an option takes, by its metavar; one that is not here takes texts."""
_ACCEPTED = {
    "N": "a whole number without quotes, as 4",
    "SIZE": 'a size, as "2Gi" or 1073741824',
    "PERCENT": "a number of percent, as 20",
    "CORES": 'a number of cores, as "2", 0.5 or "500m"',
    "DURATION": 'a duration in quotes, as "30s" or "5m"',
}
_OPEN = "a text is not closed: its last quote is missing"
_BACKSLASH = "a backslash stands twice in a text, or once in one with single quotes"
_SYNTAX = {
    "Illegal character '\\n'": _OPEN,
    "Unterminated string": _OPEN,
    'Expected "\'"': _OPEN,
    "Unescaped '\\'": _BACKSLASH,
    "Invalid hex value": _BACKSLASH,
    "Invalid value": "there is no value here; a text stands in quotes, true and false do not",
    "Expected newline": "there is something behind the value; a text stands in quotes, a key on a line of its own",
    "Expected '='": "a key needs = and a value behind it",
    "Expected ']": "the name of a table stands in brackets, as [name] or [[name]]",
    "Unclosed array": "a list is not closed: a comma or its ] is missing",
    "Unclosed inline table": "a table is not closed: a comma or its } is missing",
    "Cannot overwrite": "this key is written twice",
    "Duplicate inline table key": "this key is written twice",
    "Cannot declare": "this table is written twice; each of several begins with [[name]]",
    "Invalid statement": "a line is a key with its value, or the name of a table in brackets",
}
"""Parts of what tomllib says, and what is said for it."""


def merge_config(
    invocation: Invocation, options: Sequence[Option], path: str, aliases: Mapping[str, str] | None = None
) -> None:
    """Take from the file what neither argv nor the environment says.

    Keys are flags without their dashes, with ``-`` or ``_``; ``aliases`` are other names for them. Raises UsageError
    with the place in the file.
    """
    mistakes: list[str] = []
    known = [option for option in options if option.name != "config"]
    told = table_values(read_toml(path), known, path, mistakes, aliases)
    if mistakes:
        raise UsageError(mistakes[0])
    invocation.values.update({**told, **invocation.values})


def table_values(
    table: Mapping[str, Any],
    options: Iterable[Option],
    place: str,
    mistakes: list[str],
    aliases: Mapping[str, str] | None = None,
    *,
    tables: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a table says, by fields of the options; what is not accepted is a sentence more among the ``mistakes``.

    ``tables`` are those within it, which are left alone, as they are written by name; ``elsewhere`` says where keys
    belong that it does not have, as ``in [health_check]``.
    """
    by_key = {option.field: option for option in options}
    aliases, tables = aliases or {}, tables or {}
    known = {name: repr(name) for name in (*by_key, *aliases)} | dict(tables)
    given: dict[str, str] = {}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in tables:
            continue
        name = aliases.get(name, name)
        option = by_key.get(name)
        if option is None:
            mistakes.append(f"{place}: {_no_such_key(key, value, known, elsewhere or {})}")
            continue
        if name in given:
            mistakes.append(f"{place}: {key}: it is the same as {given[name]}; one of them is enough")
            continue
        given[name] = key
        try:
            values[name] = value_of(option, _text(option, value, f"{place}: {key}"), f"{place}: {key}")
        except UsageError as error:
            mistakes.append(str(error))
    return values


def read_toml(path: str) -> dict[str, Any]:
    """The tables of a file of at most 1 MiB. Raises UsageError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path!r} is no name of a file") from None
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path} is too large; at most {_MAX_BYTES} bytes are accepted")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {_not_toml(str(error))}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None


def _no_such_key(key: str, value: object, known: Mapping[str, str], elsewhere: Mapping[str, str]) -> str:
    """What is said of a key that its place does not have, and what may be meant; ``known`` are as they are shown."""
    shown = key if re.fullmatch(r"[\w-]{1,60}", key, re.ASCII) else repr(key[:60])
    said = f"{_as_table(shown, value)}: there is no such key"
    name = key.lower().replace("-", "_")
    near_by = get_close_matches(name, {**elsewhere, **known}, 1, _VERY_CLOSE)
    for near in near_by or get_close_matches(name, known, 1):
        if near in known:
            return f"{said}; {known[near]} is meant?"
        if near == name:
            return f"{said} here; it belongs {elsewhere[near]}"
        return f"{said}; {near!r} is meant? It belongs {elsewhere[near]}"
    accepted = ", ".join(shown.strip("'") for _, shown in sorted(known.items()))
    return f"{said}; accepted are {accepted}"


def _not_toml(error: str) -> str:
    """The library's sentence in our words; they repeat nothing of the file, which may hold secrets."""
    found = re.search(r"\(at (line \d+, column \d+)\)$", error)
    where = found[1] if found else "at its end"
    for part, sentence in _SYNTAX.items():
        if part in error:
            return f"{where}: this is not TOML: {sentence}"
    return f"{where}: this is not TOML"


def _text(option: Option, value: object, place: str) -> str:
    """The value as it would be written for the flag."""
    if isinstance(value, list) and option.many:
        return ",".join(_text(option._replace(many=False), one, place) for one in value)
    switch = option.parse is None
    kinds = (bool,) if switch else _KINDS.get(option.metavar, (str,))
    if type(value) in kinds:
        return str(value).lower() if switch else str(value)
    accepted = (
        "true and false, without quotes" if switch else _ACCEPTED.get(option.metavar, "a text in quotes")
    )
    many = ", or a list of such" if option.many else ""
    raise UsageError(
        f"{place}: {_shown(value, hidden=option.metavar == 'TOKEN')} is not accepted; "
        f"accepted {'are' if switch else 'is'} {accepted}{many}"
    )


def _as_table(key: str, value: object) -> str:
    """The key as it is written in a file."""
    if isinstance(value, dict):
        return f"[{key}]"
    tables = isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    return f"[[{key}]]" if tables else key


def _shown(value: object, *, hidden: bool) -> str:
    """A value of another kind than the one that is accepted."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return "a text" if hidden else f"the text {value[:60]!r}"
        case int() | float():
            return "a number" if hidden else f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"
