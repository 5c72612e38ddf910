"""Options as data: flags before environment, and one clear sentence for what is not accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.config import admin, check, exporter, gateway, receiver, settings, size
from jobmeter.config.help import USAGE, command_help, overview
from jobmeter.config.options import Option, parse, value_of
from jobmeter.exporter.vm.target import Target
from jobmeter.exporter.windows.address import Engine
from jobmeter.model.errors import UsageError

Reader = Callable[[Sequence[str], Mapping[str, str]], Any]

GATEWAY = Path(__file__).parents[2] / "deploy/gateway/gateway.toml"
READERS: dict[str, tuple[Reader, list[str], type[msgspec.Struct]]] = {
    "run": (settings.run_settings, ["true"], settings.RunSettings),
    "collector": (settings.collector_settings, [], settings.CollectorSettings),
    "report": (settings.report_settings, ["a.jsonl"], settings.ReportSettings),
    "size": (size.size_settings, ["a/b/c/d"], size.SizeSettings),
    "check": (check.check_settings, [], check.CheckSettings),
    "doctor": (settings.doctor_settings, [], settings.DoctorSettings),
    "receiver": (receiver.receiver_settings, [], receiver.ReceiverSettings),
    "exporter": (exporter.exporter_settings, [], exporter.ExporterSettings),
    "gateway": (gateway.gateway_settings, [f"--config={GATEWAY}"], gateway.GatewaySettings),
    "admin": (admin.admin_settings, ["backup", "out.db"], admin.BackupSettings),
}
WITHOUT_A_COMMAND = {"pid", "duration"}
NOT_ALONE = {
    "config", "prices", "tls-cert", "tls-key", "write", "user-header", "organizations-header", "stats-client-ca",
    "oidc-issuer", "oidc-client-id", "oidc-client-secret", "oidc-organizations-claim", "oidc-group",
}  # fmt: skip
ALIASES = {"addr", "metrics-server"}
DEPENDENT = {"referee"}
"""Commands whose options need each other: they have this table in the test of their own."""

SEEDS_VARIABLES = {"METRICS_SERVER"}
"""Of a program whose options are kept."""

# A value for each kind of option, as it is written and as it is understood.
EXAMPLES: dict[str, tuple[str, Any]] = {
    "interval": ("250ms", 0.25),
    "source": ("proc", "proc"),
    "top": ("7", 7),
    "json": ("out.json", "out.json"),
    "markdown": ("out.md", "out.md"),
    "html": ("out.html", "out.html"),
    "journal": ("j.jsonl", "j.jsonl"),
    "quiet": ("true", True),
    "proc-path": ("/host/proc", "/host/proc"),
    "cgroup-path": ("/host/cgroup", "/host/cgroup"),
    "gateway-config": ("gateway.toml", "gateway.toml"),
    "log-level": ("debug", "debug"),
    "log-format": ("text", "text"),
    "mark-socket": ("@name", "@name"),
    "grace": ("3s", 3.0),
    "format": ("csv", "csv"),
    "output": ("out.csv", "out.csv"),
    "run": ("019aa6a4", "019aa6a4"),
    "width": ("100", 100),
    "receiver": ("https://user:pass@host.example:8080/base", "https://user:pass@host.example:8080/base"),
    "push-endpoint": ("http://[::1]/api/v1/metrics", "http://[::1]/api/v1/metrics"),
    "push-token": ("abc-123", "abc-123"),
    "read-token": ("abc-123", "abc-123"),
    "budgets": ("budgets.toml", "budgets.toml"),
    "report-only": ("true", True),
    "base": ("main", "main"),
    "junit": ("junit.xml", "junit.xml"),
    "code-quality": ("quality.json", "quality.json"),
    "annotations": ("none", "none"),
    "runs": ("7", 7),
    "days": ("365", 365),
    "buffer": ("12.5 %", 12.5),
    "cpu-percentile": ("peak", "peak"),
    "size format": ("docker", "docker"),
    "patch": ("pod.yaml", "pod.yaml"),
    "listen": ("127.0.0.1:0", "127.0.0.1:0"),
    "db": ("runs.db", "runs.db"),
    "lost-after": ("1m", 60.0),
    "keep-timelines": ("30d", 30 * 86_400.0),
    "keep-timelines-per-job": ("100", 100),
    "keep-runs": ("365d", 365 * 86_400.0),
    "keep-runs-per-job": ("1000", 1000),
    "hmac-key": ("0123456789abcdef", "0123456789abcdef"),
    "job-token-lifetime": ("2d", 172_800.0),
    "read-token-mints": ("true", True),
    "rate-limit": ("7", 7),
    "trusted-proxy": ("10.0.0.0/8,::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    "oidc-scope": ("openid", "openid"),
    "public-url": ("https://metrics.example/base", "https://metrics.example/base"),
    "linger": ("30s", 30.0),
    "dialect": ("cadvisor,jobmeter", ("cadvisor", "jobmeter")),
    "gateway dialect": ("ci_runner,jobmeter", ("ci_runner", "jobmeter")),
    "check-config": ("true", True),
    "state-dir": ("/srv/gateway", "/srv/gateway"),
    "shutdown-timeout": ("0s", 0.0),
    "shutdown-tasks": ("cancel", "cancel"),
    "receiver-token": ("s3cret", "s3cret"),
    "runtime": ("linux-metal", "linux-metal"),
    "serve-stats": ("10.0.2.15:10001", "10.0.2.15:10001"),
    "stats-token": ("s3cret", "s3cret"),
    "subscribe": ("b=10.0.2.15", (Target(name="b", address="10.0.2.15:10001"),)),
    "subscribe-interval": ("5s", 5.0),
    "subscribe-grace": ("30s", 30.0),
    "windows-engine": ("b=tcp://win:2376", (Engine("b", "win", 2376),)),
    "engine-socket": ("/run/a.sock", ("/run/a.sock",)),
    "hooks": ("/run/hooks.sock", "/run/hooks.sock"),
    "announce": ("/run/hooks.sock", ("/run/hooks.sock",)),
}
# Each task of `admin` has options of its own: `test_admin.py`.
OPTIONS = {command: options for command, (_, options) in USAGE.items()} | {
    "admin": admin.TASKS["backup"].options
}
FLAGS = sorted({option.flag for _, options in USAGE.values() for option in options})

CASES = [
    pytest.param(command, option, id=f"{command}-{option.name}")
    for command, options in OPTIONS.items()
    if command not in DEPENDENT
    for option in options
    if option.name not in WITHOUT_A_COMMAND | NOT_ALONE | ALIASES and not option.name.endswith("-file")
]


def read(command: str, argv: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Any:
    reader, rest, _ = READERS[command]
    return reader([*argv, *rest], environ or {})


@pytest.mark.parametrize("command, option", CASES)
def test_every_option_in_each_form(command: str, option: Option) -> None:
    """--name=value, --name value, one dash, and the variable; a flag beats the variable."""
    text, value = EXAMPLES.get(f"{command} {option.name}") or EXAMPLES[option.name]
    forms = [[f"{option.flag}={text}"], [f"-{option.name}={text}"]]
    forms += [[option.flag]] if option.parse is None else [[option.flag, text], [f"-{option.name}", text]]
    for argv in forms:
        assert getattr(read(command, argv), option.field) == value
    if option.env:
        found = read(command, environ={option.env: text})
        assert (getattr(found, option.field), getattr(found, "problems", ())) == (value, ())
        assert getattr(read(command, forms[0], {option.env: "nonsense"}), option.field) == value
        assert getattr(read(command, environ={option.env: ""}), option.field) == getattr(
            read(command), option.field
        )


@pytest.mark.parametrize("command", READERS)
def test_tables_and_settings_agree(command: str) -> None:
    """Each option has its field and its default there; no flag or variable is there twice."""
    _, _, struct = READERS[command]
    options = [
        option
        for option in OPTIONS[command]
        if option.name not in ALIASES | {"config"} and not option.name.endswith("-file")
    ]
    fields = {field.name: field.default for field in msgspec.structs.fields(struct)}
    others = {"problems", "flags", "command", "file", "files", "target", "listen_place", "hooks_place"}
    if command == "gateway":
        others |= {"config", "mistakes", "warnings", "forges", "health_check", "referee", "tls_places"}
    assert {option.field for option in options} == set(fields) - others
    for option in options:
        default = fields.get(option.field)
        if option.parse is not None and default not in (None, ()):
            assert option.default is not None
            assert value_of(option, option.default, "") == default
    variables = [option.env for option in options if option.env]
    assert len(set(variables)) == len(variables)
    assert all(
        name.startswith(("JOBMETER_", "RECEIVER_")) for name in variables if name not in SEEDS_VARIABLES
    )


def test_defaults() -> None:
    """What holds when nothing is said: seed 000's interval and top list for the collector."""
    assert read("run") == settings.RunSettings(command=("true",))
    found = read("collector")
    assert (found.interval, found.proc_path, found.top, found.log_level, found.grace) == (
        5,
        "/proc",
        5,
        "info",
        8,
    )


@pytest.mark.parametrize(
    "argv, command",
    [
        (["make", "-j2", "--top"], ("make", "-j2", "--top")),
        (["--quiet", "make", "--quiet"], ("make", "--quiet")),
        (["--", "--top"], ("--top",)),
        (["--top", "3", "--", "make", "--", "x"], ("make", "--", "x")),
        (["-", "x"], ("-", "x")),
    ],
)
def test_the_command_begins_at_the_first_other_word(argv, command) -> None:
    """Its own flags are its own."""
    assert settings.run_settings(argv, {}).command == command


def test_a_process_that_runs_already() -> None:
    """--pid takes no command, and --duration goes with it."""
    found = settings.run_settings(["--pid", "42", "--duration", "1m"], {})
    assert (found.pid, found.duration, found.command) == (42, 60, ())


@pytest.mark.parametrize(
    "command, argv, words",
    [
        ("run", ["--interval=fast", "x"], ["--interval", "'fast'", "500ms"]),
        ("run", ["--interval", "10ms", "x"], ["--interval", "'10ms'", "50ms to 1h"]),
        ("run", ["--interval", "2h", "x"], ["--interval", "'2h'", "50ms to 1h"]),
        ("run", ["--source=guess", "x"], ["--source", "'guess'", "auto, cgroup, exit_records, proc"]),
        ("run", ["--top", "-1", "x"], ["--top", "'-1'", "whole number"]),
        ("report", ["--top=", "a"], ["--top", "''", "whole number"]),
        ("report", ["--receiver=", "a"], ["--receiver", "''", "https://"]),
        ("report", ["--width=0", "a"], ["--width", "'0'", "40 and more"]),
        ("report", ["--width=39", "a"], ["--width", "'39'", "40 and more"]),
        ("run", ["--top", "9999999999", "x"], ["--top", "999999999"]),
        ("run", ["--quiet=maybe", "x"], ["--quiet", "'maybe'", "true and false"]),
        ("run", ["--pid", "1", "--duration=0s"], ["--duration", "'0s'", "above zero"]),
        ("run", ["--top"], ["--top", "needs a value"]),
        ("run", ["--nonsense=secret", "x"], ["--nonsense", "--interval", "--json"]),
        ("run", ["-x"], ["-x", "--interval"]),
        ("run", [], ["no command", "jobmeter run"]),
        ("run", ["--json=-", "x"], ["'-'", "stdout is the command's", "fd:N"]),
        ("run", ["--html", "-", "x"], ["'-'", "stdout"]),
        ("run", ["--pid=5", "make"], ["--pid", "'make'"]),
        ("run", ["--duration=5s", "make"], ["--duration", "--pid"]),
        ("collector", ["now"], ["'now'", "only flags"]),
        ("collector", ["--push-endpoint=host/y"], ["--push-endpoint", "'host/y'", "https://"]),
        ("run", ["--receiver", "ftp://u:secret@x", "x"], ["--receiver", "'x'", "http://"]),
        ("run", ["--receiver=http://x:port", "x"], ["--receiver", "Port", "https://"]),
        ("run", ["--receiver=http://x/?token=secret", "x"], ["--receiver", "'x'", "query"]),
        ("run", ["--push-token=secret token", "x"], ["--push-token", "visible ASCII"]),
        ("run", ["--push-token= ", "x"], ["--push-token", "1 to 4096"]),
        ("run", ["--push-token-file=/nonesuch", "x"], ["--push-token-file", "/nonesuch", "No such file"]),
        ("report", ["--receiver=http://x", "a", "b"], ["--receiver", "one file"]),
        ("collector", ["--log-format=xml"], ["--log-format", "'xml'", "json, text"]),
        ("collector", ["--grace=soon"], ["--grace", "'soon'"]),
        ("report", ["a", "b", "c"], ["one journal or summary", "two to compare", "jobmeter report"]),
        ("report", ["--format=pdf", "a"], ["--format", "'pdf'", "openmetrics"]),
        ("doctor", ["now"], ["'now'", "only flags"]),
    ],
)
def test_what_is_refused_is_one_sentence(command, argv, words) -> None:
    """It names the value, the place and what is accepted, and never a value of an unknown flag."""
    with pytest.raises(UsageError) as caught:
        READERS[command][0](argv, {})
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "secret" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    "environ, words",
    [
        ({"JOBMETER_INTERVAL": "fast"}, ["JOBMETER_INTERVAL", "'fast'", "left out"]),
        ({"JOBMETER_SOURCE": "guess"}, ["JOBMETER_SOURCE", "auto", "left out"]),
        ({"JOBMETER_QUIET": "perhaps"}, ["JOBMETER_QUIET", "true and false", "left out"]),
        ({"JOBMETER_RECEIVER": "host:8080"}, ["JOBMETER_RECEIVER", "'host:8080'", "left out"]),
        ({"JOBMETER_PUSH_TOKEN_FILE": "/nonesuch"}, ["JOBMETER_PUSH_TOKEN_FILE", "left out"]),
    ],
)
def test_a_variable_set_for_a_whole_fleet_stops_no_job(environ, words) -> None:
    """What is not accepted in the environment is said in one sentence, and the default holds."""
    found = settings.run_settings(["true"], environ)
    assert msgspec.structs.replace(found, problems=()) == settings.RunSettings(command=("true",))
    (problem,) = found.problems
    for word in words:
        assert word in problem


@given(st.lists(st.text(max_size=12) | st.sampled_from(FLAGS), max_size=6))
def test_any_words_are_settings_or_a_usage_error(argv) -> None:
    """Nothing that a user writes is a traceback."""
    for reader, _, _ in READERS.values():
        try:
            reader(argv, {})
        except UsageError as error:
            said = str(error)
        else:
            continue
        assert said


def test_the_rest_may_stand_between_flags() -> None:
    """Where there is no command, words that are no flags may stand anywhere."""
    found = settings.report_settings(["a.jsonl", "--top=3", "b.jsonl"], {})
    assert (found.files, found.top) == (("a.jsonl", "b.jsonl"), 3)


@pytest.mark.parametrize(
    "argv, environ, token",
    [
        (["--push-token-file={}"], {}, "filed"),
        ([], {"JOBMETER_PUSH_TOKEN_FILE": "{}"}, "filed"),
        (["--push-token-file={}"], {"JOBMETER_PUSH_TOKEN": "fleet"}, "filed"),
        (["--push-token=given"], {"JOBMETER_PUSH_TOKEN_FILE": "{}"}, "given"),
        ([], {"JOBMETER_PUSH_TOKEN": "fleet", "JOBMETER_PUSH_TOKEN_FILE": "{}"}, "fleet"),
    ],
)
@pytest.mark.parametrize("command", ["run", "collector", "report"])
def test_token_may_be_in_a_file(command, argv, environ, token, tmp_path) -> None:
    """A flag beats a variable, and the token itself its file; the newline at the end is none of it."""
    place = tmp_path / "token"
    place.write_text("filed\n")
    words = [word.format(place) for word in argv]
    found = read(command, words, {name: text.format(place) for name, text in environ.items()})
    assert (found.push_token, found.problems) == (token, ())


@pytest.mark.parametrize("command", ["run", "collector", "report"])
def test_token_in_a_flag_and_in_a_file_is_one_too_many(command, tmp_path) -> None:
    """Neither is taken silently for the other."""
    place = tmp_path / "token"
    place.write_text("filed\n")
    with pytest.raises(UsageError, match=r"^--push-token and --push-token-file both say the token"):
        read(command, ["--push-token=given", f"--push-token-file={place}"])


@pytest.mark.parametrize(
    "command, option", [case for case in CASES if case.values[0] in ("run", "collector")]
)
def test_empty_value_of_a_flag_is_none(command: str, option: Option) -> None:
    """A CI variable that is not set, within a command line, stops no job; the environment holds then."""
    assert read(command, [f"{option.flag}="]) == read(command)
    if option.parse is not None:
        assert read(command, [option.flag, ""]) == read(command)
    text, value = EXAMPLES.get(f"{command} {option.name}") or EXAMPLES[option.name]
    assert getattr(read(command, [f"{option.flag}="], {option.env: text}), option.field) == value
    assert read(command, [f"{option.flag}={text}", f"{option.flag}="]) == read(command)


def test_what_a_job_sends_is_not_for_a_jobmeter_within_it() -> None:
    """Neither the token nor where it is."""
    assert {option.env for option in settings.RUN_OPTIONS if option.name.startswith(("push", "rec"))} == {
        "JOBMETER_RECEIVER", "JOBMETER_PUSH_ENDPOINT", "JOBMETER_PUSH_TOKEN", "JOBMETER_PUSH_TOKEN_FILE",
    }  # fmt: skip
    assert all(
        option.env in settings.RUN_ONLY_VARIABLES
        for option in settings.RUN_OPTIONS
        if option.name.startswith(("push", "rec"))
    )


def test_the_last_of_two_flags_counts() -> None:
    """So that a wrapper's defaults can be overruled."""
    assert parse(settings.RUN_OPTIONS, ["--top=1", "--top=2"], {}, stop_at_first=True).values == {"top": 2}


@pytest.mark.parametrize("command", USAGE)
def test_help_tells_every_option(command: str) -> None:
    """Flag, choices, default and variable, in lines that fit a terminal."""
    text = command_help(command, "Says what it does.")
    assert text.startswith("usage: jobmeter ")
    assert max(len(line) for line in text.splitlines()) <= 80
    words = " ".join(text.split())
    for option in USAGE[command][1]:
        assert f"{option.flag} {option.metavar}".strip() in words
        for fact in (
            f"${option.env}" if option.env else "",
            f"default {option.default}" if option.default else "",
        ):
            assert fact in words
        assert all(choice in words for choice in option.choices)


def test_the_overview_names_every_command() -> None:
    """One line each, and where to go on."""
    text = overview({"run": "meter a command", "report": "show a run"})
    assert "  run         meter a command" in text
    assert "jobmeter COMMAND --help" in text
