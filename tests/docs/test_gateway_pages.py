"""What the pages say of the gateway is what it does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from jobmeter.apps.gateway import gateway
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


def test_the_first_configuration_is_fine_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file is named in it that nobody has, and it stands before the commands that need it."""
    page = GATEWAY.read_text()
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    command = page.index("--check-config")
    assert block is not None
    assert block.end() < command
    file = tmp_path / "gateway.toml"
    file.write_text(block[1])
    assert gateway(gateway_settings([f"--config={file}", "--check-config"], {})) == 0
    assert capsys.readouterr().err == ""


def test_a_service_begins_with_what_it_needs() -> None:
    """Each folder is made before it is copied to, and systemd hears of the new unit before that is started."""
    first, then = "mkdir -p /etc/jobmeter", "cp deploy/gateway/gateway.toml"
    for page in (GATEWAY, GATEWAY.with_name("deploy.md")):
        (block,) = [one for one in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) if then in one]
        steps = [first, then, "jobmeter-gateway.service", "daemon-reload", "enable --now"]
        places = [block.find(step) for step in steps]
        assert -1 not in places
        assert places == sorted(places)


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
