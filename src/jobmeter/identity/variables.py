"""Values of environment variables: cleaned text, or None for what is not known.

Only ``parse_matrix`` raises, and only UsageError.
"""

from collections.abc import Mapping

import msgspec

from jobmeter.model.errors import UsageError

MAX_MATRIX_CHARACTERS = 64 * 1024
MAX_MATRIX_KEYS = 100
_MAX_MATRIX_DEPTH = 4
_MAX_NUMBER = 10**9

MatrixValue = str | int | float | bool | None
Matrix = dict[str, MatrixValue]


def printable(text: str) -> str:
    """The text on one line, fit for every output.

    Control characters become blanks, bytes that were no UTF-8 (surrogates of os.environ) become U+FFFD,
    and blanks around it go.
    """
    if not text.isprintable():
        text = "".join(map(_printable_character, text))
    return text.strip()


def _printable_character(character: str) -> str:
    if character < " " or "\x7f" <= character <= "\x9f":
        return " "
    return "\ufffd" if "\ud800" <= character <= "\udfff" else character


def read_text(environ: Mapping[str, str], *names: str) -> str | None:
    """The first of the variables that is set to more than blanks."""
    for name in names:
        value = environ.get(name)
        if value and (cleaned := printable(value)):
            return cleaned
    return None


def is_true(environ: Mapping[str, str], name: str) -> bool:
    """Whether a marker variable is set, in any of the forms that forges use."""
    return environ.get(name, "").strip().lower() in ("true", "1", "yes")


def read_positive(environ: Mapping[str, str], name: str) -> int | None:
    """A whole number from 1 on."""
    return parse_positive(read_text(environ, name) or "")


def parse_positive(text: str) -> int | None:
    """A whole number from 1 to 10**9."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_MAX_NUMBER)):
        return None
    number = int(text)
    return number if 1 <= number <= _MAX_NUMBER else None


def strip_url(url: str | None) -> str | None:
    """An address without user name, password and closing slash."""
    if url is None:
        return None
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    authority, slash, path = rest.partition("/")
    return (scheme + separator + authority.rpartition("@")[2] + slash + path).rstrip("/") or None


def parse_labels(text: str | None) -> tuple[str, ...]:
    """Labels of a runner from a JSON array or a list with commas."""
    if text is None:
        return ()
    labels: list[object] = []
    if text.startswith("["):
        try:
            labels = msgspec.json.decode(text, type=list[object])
        except (msgspec.DecodeError, RecursionError):
            labels = []
    if not labels:
        labels = list(text.strip("[]").split(","))
    cleaned = (printable(label).strip("\"'") for label in labels if isinstance(label, str))
    return tuple(label for label in cleaned if label)


def parse_matrix(text: str) -> Matrix | None:
    """One leg of a matrix from JSON such as ``${{ toJSON(matrix) }}``; None for ``null`` and ``{}``.

    A nested object is flattened to ``outer.inner``; a list, and what lies deeper than 4 levels, stays
    as JSON text. Raises UsageError for all else.
    """
    if len(text) > MAX_MATRIX_CHARACTERS:
        raise UsageError(f"is {len(text)} characters long; at most {MAX_MATRIX_CHARACTERS} are accepted")
    try:
        decoded = msgspec.json.decode(text)
        if decoded is None:
            return None
        if not isinstance(decoded, dict):
            raise UsageError(f'is {shorten(text)}, not a JSON object such as {{"os": "linux"}}')
        flat: Matrix = {}
        _flatten("", decoded, flat, _MAX_MATRIX_DEPTH)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise UsageError(f'is {shorten(text)}, not a JSON object such as {{"os": "linux"}}') from None
    return flat or None


def _flatten(prefix: str, value: dict[str, object], flat: Matrix, depth: int) -> None:
    for key, item in value.items():
        name = prefix + printable(key)
        if isinstance(item, dict) and depth > 1:
            _flatten(name + ".", item, flat, depth - 1)
        elif isinstance(item, str):
            flat[name] = printable(item)
        elif item is None or isinstance(item, bool | int | float):
            flat[name] = item
        else:
            flat[name] = printable(msgspec.json.encode(item).decode())
        if len(flat) > MAX_MATRIX_KEYS:
            raise UsageError(f"has more than {MAX_MATRIX_KEYS} keys")


def shorten(text: str, limit: int = 60) -> str:
    """The text quoted for a message, cut when long."""
    cleaned = printable(text)
    return repr(cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…")


def owner_of(repository: str | None) -> str | None:
    """The organization, or the groups, that a repository's full name begins with."""
    return (repository or "").rpartition("/")[0] or None
