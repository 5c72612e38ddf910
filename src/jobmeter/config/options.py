"""Options as data: flag, environment variable, kind, default and one line of help; and argv into settings.

The tables in jobmeter.config.settings are the one place where options are written down; the parser,
``--help`` and the reference page are made from them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jobmeter.model import quantities
from jobmeter.model.errors import UsageError


class Option(NamedTuple):
    """One option. ``parse`` is None for a switch, which takes no value; one with ``many`` may be given again and
    again, and holds several in its variable with commas between them: its value is a tuple.
    """

    name: str
    env: str
    help: str
    parse: Callable[[str], Any] | None = str
    metavar: str = ""
    choices: Sequence[str] = ()
    default: str | None = None
    many: bool = False

    @property
    def flag(self) -> str:
        """The flag, as ``--log-level``."""
        return f"--{self.name}"

    @property
    def field(self) -> str:
        """The field of the settings object."""
        return self.name.replace("-", "_")


class Invocation(NamedTuple):
    """What argv and the environment say: values by field, and what is not an option.

    ``flags`` are the fields that argv gave, the others are the environment's.
    """

    values: dict[str, Any]
    rest: list[str]
    problems: list[str]
    flags: frozenset[str] = frozenset()

    def merge_file(self, field: str) -> None:
        """Take a secret out of ``FIELD_file`` where ``FIELD`` itself was not given, or only by a variable.

        Raises UsageError where both were given as flags.
        """
        if {field, f"{field}_file"} <= self.flags:
            flag = f"--{field.replace('_', '-')}"
            raise UsageError(f"{flag} and {flag}-file both say the token; one of them is enough")
        found = self.values.pop(f"{field}_file", None)
        overruled = f"{field}_file" in self.flags and field not in self.flags
        if found is not None and (overruled or field not in self.values):
            self.values[field] = found


def duration(text: str) -> float:
    """A duration above zero, in seconds."""
    seconds = quantities.parse_duration(text)
    if seconds <= 0:
        raise UsageError(f"{text!r} is not a duration above zero")
    return seconds


def age(text: str) -> float:
    """A duration above zero that may be in days, as ``90d``; in seconds."""
    days = text.removesuffix("d")
    if days != text and days.isdecimal() and len(days) <= 5 and int(days):
        return int(days) * 86_400.0
    try:
        return duration(text)
    except UsageError:
        raise UsageError(f"{text!r} is no age; accepted are forms such as 90d, 12h, 1h30m") from None


def interval(text: str) -> float:
    """An interval between ticks: at least 50 ms, since times in /proc come in steps of 10 ms."""
    seconds = quantities.parse_duration(text)
    if not 0.05 <= seconds <= 3600:
        raise UsageError(f"{text!r} is not accepted; an interval is from 50ms to 1h")
    return seconds


def list_length(text: str) -> int:
    """The length of a list: 0 to 1,000."""
    number = whole_number(text)
    if number > 1000:
        raise UsageError(f"{text!r} is too many; accepted are 0 to 1000")
    return number


def whole_number(text: str) -> int:
    """A whole number from 0 to 1,000,000,000."""
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"{text!r} is not a whole number; accepted are 0 to 999999999")
    return int(text)


def web_address(text: str, example: str = "https://receiver.example:8080") -> str:
    """An http or https URL with a host; a user name and password in it are never repeated in a sentence."""
    from urllib.parse import urlsplit

    accepted = f"accepted is http:// or https:// with a host, as {example}"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the address is no URL ({error}); {accepted}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{text.rpartition('@')[2][:80]!r} is no address; {accepted}")
    if parts.query or parts.fragment or not (text.isascii() and text.isprintable()) or " " in text:
        raise UsageError(f"the address of {host!r} has a query, a fragment or a blank; {accepted}")
    return text


def columns(text: str) -> int:
    """Columns of a terminal: from 40."""
    number = whole_number(text)
    if number < 40:
        raise UsageError(f"{text!r} is too narrow; accepted are 40 and more")
    return number


def socket_path(text: str) -> str:
    """The path of a Unix socket: up to 107 bytes (unix(7), "Address format")."""
    if not 0 < len(text.encode("utf-8", "surrogateescape")) <= 107 or "\0" in text:
        raise UsageError(f"{text[:60]!r} is no path of a socket; accepted are 1 to 107 bytes")
    return text


def secret(text: str) -> str:
    """A token: up to 4,096 visible ASCII characters; what was given is never repeated in a sentence."""
    token = text.strip()
    if not token or len(token) > 4096 or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("this is no token; accepted are 1 to 4096 visible ASCII characters without blanks")
    return token


def secret_file(path: str) -> str:
    """The token in a file; blanks and newlines around it are left out."""
    try:
        with open(path, "rb") as file:
            return secret(file.read(8192).decode("ascii", "replace"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path!r} is no name of a file") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def parse(
    options: Sequence[Option],
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    stop_at_first: bool,
    empty_is_unset: bool = False,
) -> Invocation:
    """Read options from ``argv``, then from the environment what argv does not say.

    ``--name=value`` and ``--name value`` are accepted, with one dash too. ``--`` ends the options, and so
    does the first other word where ``stop_at_first``. Raises UsageError for a flag. A variable is often set for a
    whole fleet, so one that is not accepted is a problem, one sentence, and the default holds. An empty variable is
    one that is not set; where ``empty_is_unset`` so is an empty value of a flag, which may have come from one.
    """
    by_flag = {option.flag: option for option in options}
    values: dict[str, Any] = {}
    rest: list[str] = []
    problems: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += words
            break
        option, given = _match(word, by_flag)
        if option is None:
            rest.append(word)
            if stop_at_first:
                rest += words
                break
            continue
        if option.parse is not None and given is None:
            given = _next_word(option, words)
        if given == "" and empty_is_unset:
            values.pop(option.field, None)
        else:
            value = True if given is None else value_of(option, given, option.flag)
            values[option.field] = values.get(option.field, ()) + value if option.many else value
    flags = frozenset(values)
    for option in options:
        text = environ.get(option.env, "") if option.env else ""
        if option.field not in values and text:
            try:
                values[option.field] = value_of(option, text, option.env)
            except UsageError as error:
                problems.append(f"{error}; it is left out")
    return Invocation(values, rest, problems, flags)


def _match(word: str, by_flag: Mapping[str, Option]) -> tuple[Option | None, str | None]:
    if not word.startswith("-") or word == "-":
        return None, None
    name, equals, value = ("--" + word.lstrip("-")).partition("=")
    option = by_flag.get(name)
    if option is None:
        raise UsageError(f"the flag {word.partition('=')[0]} is not known; accepted are {', '.join(by_flag)}")
    return option, value if equals else None


def _next_word(option: Option, words: list[str]) -> str:
    if not words:
        raise UsageError(f"the flag {option.flag} needs a value: {option.help}")
    return words.pop(0)


def value_of(option: Option, text: str, place: str) -> Any:
    """What the text means for the option. Raises UsageError, which names the place it was written at."""
    if option.parse is None:
        return _switch(place, text)
    if option.many:
        one = option._replace(many=False)
        return tuple(value_of(one, item.strip(), place) for item in text.split(",") if item.strip())
    if option.choices and text not in option.choices:
        raise UsageError(f"{place}: {text!r} is not accepted; accepted are {', '.join(option.choices)}")
    try:
        return option.parse(text)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _switch(place: str, text: str) -> bool:
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    value = known.get(text.lower())
    if value is None:
        raise UsageError(f"{place}: {text!r} is not accepted; accepted are true and false")
    return value
