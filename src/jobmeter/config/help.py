"""``--help``, made from the option tables."""

import textwrap
from collections.abc import Mapping, Sequence

from jobmeter.config import admin, check, exporter, gateway, receiver, referee, settings, size
from jobmeter.config.options import Option

USAGE: dict[str, tuple[str, Sequence[Option]]] = {
    "run": (
        "jobmeter run [options] [--] COMMAND...\n       jobmeter run --pid PID [options]",
        settings.RUN_OPTIONS,
    ),
    "collector": ("jobmeter collector [options]", settings.COLLECTOR_OPTIONS),
    "report": ("jobmeter report [options] [FILE [FILE]]", settings.REPORT_OPTIONS),
    "size": (
        "jobmeter size [options] ORG/REPO/WORKFLOW/JOB\n       jobmeter size [options] FILE...",
        size.SIZE_OPTIONS,
    ),
    "check": ("jobmeter check [options] [FILE]", check.CHECK_OPTIONS),
    "receiver": ("jobmeter receiver [options]", receiver.RECEIVER_OPTIONS),
    "exporter": ("jobmeter exporter [options]", exporter.EXPORTER_OPTIONS),
    "gateway": ("jobmeter gateway --config FILE [options]", gateway.GATEWAY_OPTIONS),
    "referee": ("jobmeter referee [options]", referee.REFEREE_OPTIONS),
    "admin": ("\n       ".join(admin.ADMIN_USAGE), admin.ADMIN_OPTIONS),
    "mark": ("jobmeter mark NAME", ()),
    "doctor": ("jobmeter doctor [options]", settings.DOCTOR_OPTIONS),
}
_WIDTH = 80
_INDENT = 28


def overview(commands: Mapping[str, str]) -> str:
    """What jobmeter can do, in one screen."""
    lines = ["jobmeter meters what a CI job really uses.", "", "usage: jobmeter COMMAND [options]", ""]
    lines += [f"  {name:<12}{about}" for name, about in commands.items()]
    lines += ["", "Try: jobmeter run make", "More: jobmeter COMMAND --help"]
    return "\n".join(lines)


def command_help(name: str, about: str) -> str:
    """Usage and options of one command; each option with its default and environment variable."""
    usage, options = USAGE[name]
    lines = [f"usage: {usage}", "", about, ""]
    for option in options:
        lines += _option_lines(option)
    return "\n".join(lines).rstrip()


def _option_lines(option: Option) -> list[str]:
    head = f"  {option.flag}" + (f" {option.metavar}" if option.metavar else "")
    text = option.help
    if option.choices:
        text += f": {', '.join(option.choices)}"
    facts = [f"default {option.default}" if option.default else "", f"${option.env}" if option.env else ""]
    text += f" [{'; '.join(fact for fact in facts if fact)}]" if any(facts) else ""
    body = textwrap.wrap(text, _WIDTH - _INDENT, break_on_hyphens=False)
    if len(head) >= _INDENT:
        return [head, *(" " * _INDENT + line for line in body)]
    return [f"{head:<{_INDENT}}{body[0]}", *(" " * _INDENT + line for line in body[1:])]
