"""What the pages say of the gateway is what it does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from jobmeter.config.gateway import gateway_settings
from jobmeter.gateway.figures.dialects import DIALECTS
from scripts.gateway_series import PAGES, a_day, own_families, written

SERIES, GATEWAY, LAUNCH = PAGES
DEPLOY = Path(__file__).parents[2] / "deploy/gateway"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_what_the_code_says(page: Path) -> None:
    """`make golden` rewrites them."""
    text = page.read_text()
    if os.environ.get("JOBMETER_GOLDEN") == "write":
        page.write_text(written(text))
    assert written(text) == page.read_text(), "run `make golden` and read the change"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_series_is_on_the_page(dialect: str) -> None:
    """With its name, but for what Gitea's runner calls differently since its release 1.0."""
    page = SERIES.read_text()
    names = [
        family.name.removeprefix("act_runner_").removeprefix("gitea_runner_") for family in a_day(dialect)
    ]
    assert [name for name in names if f"`{name}" not in page] == []
    assert f"| `{dialect}` |" in page


def test_what_the_gateway_counts_of_itself_is_on_the_page() -> None:
    """All of it, each family with a series."""
    families = own_families()
    assert [family.name for family in families if not family.samples] == []
    assert [family.name for family in families if f"`{family.name}`" not in SERIES.read_text()] == []


def test_configurations_of_the_page_are_accepted(tmp_path: Path) -> None:
    """Each that begins with a forge, but for files that are not here."""
    blocks = re.findall(r"```toml\n(.*?)```", GATEWAY.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        file = tmp_path / "gateway.toml"
        file.write_text(re.sub(r'"(/etc/jobmeter/[^"]*|/usr/local/[^"]*)"', '"/bin/true"', block))
        mistakes = gateway_settings([f"--config={file}"], {}).mistakes
        assert [one for one in mistakes if "is no token" not in one] == []


def test_launched_runners_of_the_page_are_accepted(tmp_path: Path) -> None:
    """But for accounts, programs and files that are not here."""
    blocks = re.findall(r"```toml\n(.*?)```", LAUNCH.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    not_here = re.compile(r"there is no account|cannot be read|is not found in|is no program")
    for block in blocks:
        file = tmp_path / "gateway.toml"
        file.write_text(block)
        mistakes = gateway_settings([f"--config={file}"], {}).mistakes
        assert [one for one in mistakes if not not_here.search(one)] == []
