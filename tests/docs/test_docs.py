"""The documentation is held true by tests."""

import os
import re
from pathlib import Path

import pytest

from jobmeter import __version__, cli
from jobmeter.config.help import USAGE, command_help, overview
from jobmeter.model import exits, summary
from scripts.reference import reference

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
REFERENCE = ROOT / "docs" / "reference.md"


def test_reference_is_what_the_code_says():
    """Flags, variables and fields of the reference page come from the code; make golden rewrites it."""
    if os.environ.get("JOBMETER_GOLDEN") == "write":
        REFERENCE.write_text(reference())
    assert reference() == REFERENCE.read_text(), "run `make golden` and read the change"


@pytest.mark.parametrize(
    "struct", [summary.Summary, summary.ContainerSummary, summary.ProcessSummary, exits.Exit]
)
def test_every_field_of_the_summary_is_in_the_reference(struct):
    """A field that was added stands in the page with its name."""
    page = REFERENCE.read_text()
    assert [name for name in struct.__struct_fields__ if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_and_flag_has_help(command):
    """Each option is in the command's help with its meaning, default and variable, within 80 columns."""
    text = command_help(command, cli.COMMANDS[command][0])
    words = " ".join(text.split())
    for option in USAGE[command][1]:
        assert option.flag in words
        assert option.help.split()[0] in words
        assert f"${option.env}" in words
    assert max(map(len, text.splitlines())) <= 80


def test_overview_names_every_command():
    """`jobmeter --help` lists what there is."""
    text = overview({name: about for name, (about, _) in cli.COMMANDS.items()})
    assert all(f"  {name}" in text for name in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_readme_names_every_command(command):
    """Nobody has to search for what jobmeter can do."""
    assert f"`jobmeter {command}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    """Every relative link names a file of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    relative = [target for target in targets if "://" not in target]
    assert [target for target in relative if not (page.parent / target).exists()] == []


def test_readme_shows_the_report_that_was_made():
    """The report in the README is the one that `make picture` wrote, not one made up."""
    assert (ROOT / "docs/images/report.txt").read_text() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("script", ["demo", "make-venv"])
def test_what_the_demo_says_fits_a_terminal(script):
    """The first lines that a newcomer sees say what takes long, and do not wrap."""
    said = re.findall(r'echo "(.*)"', (ROOT / "scripts" / script).read_text())
    assert any(re.search(r"\((about|up to) [a-z ]+\) …$", line) for line in said)
    assert [line for line in said if len(line) > 80] == []


def test_make_targets_of_the_pages_exist():
    """A command that a page tells to run is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named - targets == set()


def test_version_is_in_the_package():
    """One place holds the version."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_only_the_receiver_makes_a_database():
    """What copies one says nothing of that."""
    helps = {name: {option.name: option.help for option in USAGE[name][1]} for name in ("receiver", "admin")}
    assert "made when missing" in helps["receiver"]["db"]
    assert "made" not in helps["admin"]["db"]
