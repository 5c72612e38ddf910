"""Another machine as an operator writes it: `NAME=ADDRESS`, and `;key=value` where one needs more."""

import re
from typing import NamedTuple

from jobmeter.identity.variables import shorten
from jobmeter.model.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Form(NamedTuple):
    """What is ``accepted``, in a sentence's words; the ``keys`` of it, and a ``runtime`` as an example."""

    accepted: str
    keys: frozenset[str]
    runtime: str


class Written(NamedTuple):
    """What was written: ``values`` by their keys, with underscores, that fit together. The address is not looked at."""

    name: str
    address: str
    values: dict[str, str]


def parse_machine(text: str, form: Form) -> Written:
    """The parts of it. Raises UsageError, with the machine's name where it has one."""
    first, *more = (part.strip() for part in text.split(";"))
    name, equals, address = (part.strip() for part in first.partition("="))
    if not equals:
        raise UsageError(f"{shorten(text)} has no name and no address; {form.accepted}")
    if not is_name(name):
        raise UsageError(
            f"{shorten(name)} is no name of a machine: letters, digits, '.', '_' and '-', at most 63, "
            "a letter or digit first"
        )
    values = dict(_value(name, part, form) for part in more if part)
    _check(name, values, form)
    return Written(name, address, values)


def is_name(text: str) -> bool:
    """Whether it may name a machine or a runtime."""
    return _NAME.fullmatch(text) is not None


def _value(name: str, part: str, form: Form) -> tuple[str, str]:
    key, _, value = (word.strip() for word in part.partition("="))
    key = key.replace("-", "_")
    if key not in form.keys or not value:
        raise UsageError(f"{name}: {shorten(part)} is not accepted; {form.accepted}")
    return key, value


def _check(name: str, values: dict[str, str], form: Form) -> None:
    """What goes together."""
    if not is_name(values.get("runtime", form.runtime)):
        raise UsageError(
            f"{name}: {shorten(values['runtime'])} is no runtime; it is written as {form.runtime}"
        )
    if ("cert" in values) != ("key" in values):
        raise UsageError(f"{name}: cert and key go together: what we show of us, and its key")
    for needing in ("cert", "server_name"):
        if needing in values and "ca" not in values:
            raise UsageError(f"{name}: {needing} needs ca: without it there is no TLS")
