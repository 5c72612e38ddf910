"""The command line of this process, without what is secret in it."""

import re
from collections.abc import Iterable

MASKED = "***"
_MAX_WORD = 1000
_SECRET = r"[\w.-]*(?:token|passw|secret|key|credential|auth)[\w.-]*"
_FLAG = re.compile(rf"--?{_SECRET}", re.IGNORECASE)
_ASSIGNED = re.compile(rf"((?:^|[?&;,\s]|--?){_SECRET}=)[^&;,\s]*", re.IGNORECASE)
_WHOLE = re.compile(rf"((?:--?)?{_SECRET}=).*", re.IGNORECASE | re.DOTALL)
_IN_HEADER = re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://)[^/?#\s]*@")


def masked(words: Iterable[str]) -> list[str]:
    """The words, each cut at 1,000 characters; *** is for what is secret.

    That is the value of a flag or a variable with a name like *token* or *key*, who asks in a URL, and what follows
    `Bearer` or `Basic`.
    """
    found: list[str] = []
    value_follows = False
    for word in words:
        found.append(MASKED if value_follows and not word.startswith("--") else _masked(word[:_MAX_WORD]))
        value_follows = _FLAG.fullmatch(word[:_MAX_WORD]) is not None
    return found


def _masked(word: str) -> str:
    if _WHOLE.fullmatch(word):
        return _WHOLE.sub(rf"\1{MASKED}", word)
    for pattern, instead in (
        (_ASSIGNED, rf"\1{MASKED}"),
        (_IN_ADDRESS, rf"\1{MASKED}@"),
        (_IN_HEADER, rf"\1 {MASKED}"),
    ):
        word = pattern.sub(instead, word)
    return word
