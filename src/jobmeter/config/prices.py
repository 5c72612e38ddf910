"""The file of prices of `jobmeter receiver`."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from jobmeter.config.file import read_toml
from jobmeter.model.errors import UsageError
from jobmeter.model.prices import Price, Prices

_MAX_CURRENCY = 16
_AMOUNTS = ("core_hour", "gib_hour")


def price_table(path: str) -> Prices:
    """The prices of a TOML file: ``currency``, ``core_hour``, ``gib_hour``, and those of labels. Raises UsageError."""
    told = read_toml(path)
    _check_keys(told, ("currency", *_AMOUNTS, "label"), path)
    labels = told.get("label", {})
    if not isinstance(labels, dict) or not all(isinstance(each, dict) for each in labels.values()):
        raise UsageError(f"{path}: label is not accepted; prices of a label are a table, as [label.gpu]")
    for label, each in labels.items():
        _check_keys(each, _AMOUNTS, f"{path}: label.{label}")
    return Prices(
        currency=_currency(told.get("currency"), path),
        default=_price(told, path),
        by_label={label: _price(each, f"{path}: label.{label}") for label, each in labels.items()},
    )


def _currency(value: Any, path: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_CURRENCY:
        raise UsageError(
            f"{path}: currency is {value!r:.60}; accepted is a text of 1 to {_MAX_CURRENCY} characters"
        )
    return value


def _price(table: Mapping[str, Any], place: str) -> Price:
    return Price(**{name: _amount(table.get(name), f"{place}: {name}") for name in _AMOUNTS})


def _amount(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value < math.inf):
        raise UsageError(f"{place} is {value!r:.60}; accepted are numbers from 0, as 0.035")
    return float(value)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, 1)
            instead = f"did you mean {close[0]!r}?" if close else f"accepted are {', '.join(known)}"
            raise UsageError(f"{place}: the key {key[:60]!r} is not known; {instead}")
