"""A daemon's configuration file: TOML whose keys are the long flags, weaker than variables and flags."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jobmeter.config.options import Invocation, Option, value_of
from jobmeter.model.errors import UsageError

_MAX_BYTES = 1024 * 1024


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
) -> dict[str, Any]:
    """What a table says, by fields of the options; what is not accepted is a sentence more among the ``mistakes``."""
    by_key = {option.field: option for option in options}
    given: dict[str, str] = {}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        name = (aliases or {}).get(name, name)
        option = by_key.get(name)
        if option is None:
            mistakes.append(f"{place}: the key {key[:60]!r} is not known{_instead(key, by_key)}")
            continue
        if name in given:
            mistakes.append(f"{place}: {given[name]!r} and {key!r} are the same; one of them is enough")
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
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None


def _instead(key: str, known: Mapping[str, Option]) -> str:
    close = get_close_matches(key.replace("-", "_"), known, 1)
    return f"; {close[0]!r} is meant?" if close else f"; accepted are {', '.join(sorted(known))}"


def _text(option: Option, value: object, place: str) -> str:
    """The value as it would be written for the flag."""
    if isinstance(value, list) and option.many:
        return ",".join(_text(option._replace(many=False), one, place) for one in value)
    if isinstance(value, bool) and option.parse is None:
        return "true" if value else "false"
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    accepted = "a text, or a list of them" if option.many else "a text or a number"
    raise UsageError(
        f"{place}: a value of this kind is not accepted; accepted is "
        f"{'true or false' if option.parse is None else accepted}"
    )
