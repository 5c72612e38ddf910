"""The file of prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.config.prices import price_table
from jobmeter.config.receiver import receiver_settings
from jobmeter.model.errors import UsageError
from jobmeter.model.prices import Price, Prices

GOOD = 'currency = "EUR"\ncore_hour = 0.035\ngib_hour = 0\n'


def written(directory: Path, text: str) -> str:
    path = directory / "prices.toml"
    path.write_text(text)
    return str(path)


def test_a_file_has_prices_of_all_runners_and_of_labels(tmp_path: Path) -> None:
    """The receiver reads it once, when it starts."""
    path = written(tmp_path, GOOD + "[label.gpu]\ncore_hour = 0.12\ngib_hour = 0.009\n")

    found = price_table(path)

    gpu = Price(core_hour=0.12, gib_hour=0.009)
    assert found == Prices(
        currency="EUR", default=Price(core_hour=0.035, gib_hour=0.0), by_label={"gpu": gpu}
    )
    assert receiver_settings([f"--prices={path}"], {}).prices == found
    assert found.of(("linux", "gpu")) == gpu
    assert found.of(("linux",)) == found.default


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "currency is None; accepted is a text of 1 to 16 characters"),
        (GOOD.replace("EUR", "E" * 17), "currency is"),
        (GOOD.replace("0.035", "-1"), "core_hour is -1; accepted are numbers from 0"),
        (GOOD.replace("0.035", "inf"), "core_hour is inf"),
        (GOOD.replace("0.035", '"much"'), "core_hour is 'much'"),
        (GOOD.replace("core_hour", "core_hours"), "'core_hours' is not known; did you mean 'core_hour'"),
        (GOOD + "[label.gpu]\ncore_hour = 1\n", "label.gpu: gib_hour is None"),
        (GOOD + "[label.gpu]\nprice = 1\n", "label.gpu: the key 'price' is not known"),
        (GOOD + "[label]\ngpu = 1\n", "prices of a label are a table"),
        ("currency =", "is not TOML"),
    ],
)
def test_what_is_not_accepted_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """In one sentence."""
    path = written(tmp_path, text)

    with pytest.raises(UsageError) as refused:
        price_table(path)

    assert said in str(refused.value)
    assert str(refused.value).startswith(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Before the receiver starts."""
    with pytest.raises(UsageError, match="--prices"):
        receiver_settings([f"--prices={tmp_path}/none.toml"], {})
