"""The options of `jobmeter gateway`, its configuration file, and the settings they make."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from jobmeter.config.file import read_toml, table_values
from jobmeter.config.forges import (
    FORGE_KEYS,
    HEALTH_KEYS,
    ForgeSettings,
    HealthSettings,
    forge_notes,
    forge_settings,
    health_settings,
    listen_address,
)
from jobmeter.config.gateway_referee import (
    WITHIN_REFEREE,
    GatewayRefereeSettings,
    gateway_referee_settings,
    referee_notes,
)
from jobmeter.config.launch import RUNNER_KEYS, RUNNER_TABLES, readable_secrets, runner_settings
from jobmeter.config.listeners import Listener, address_mistakes, address_notes
from jobmeter.config.options import Invocation, Option, parse, secret, secret_file, socket_path, web_address
from jobmeter.config.settings import LOG_OPTIONS, READ_TOKEN_OPTIONS, TLS_OPTIONS
from jobmeter.gateway.figures.dialects import DIALECTS
from jobmeter.gateway.polling.backoff import pace_of
from jobmeter.model.errors import UsageError
from jobmeter.model.quantities import parse_duration

METRICS_PORT = 9252
_ALIASES = {"metrics_server": "listen", "addr": "listen", "dialects": "dialect"}
_ADDRESS_FLAGS = ("listen", "addr", "metrics_server")
_TABLES = {"forge": "[[forge]]", "health_check": "[health_check]", "referee": "[referee]"}


GATEWAY_OPTIONS = (
    Option("config", "JOBMETER_CONFIG", "the TOML file that names the forges", metavar="FILE"),
    Option("check-config", "", "say what is wrong with the file, and where, and do nothing", None),
    Option(
        "listen",
        "JOBMETER_LISTEN",
        "where metrics, health and profiles are served; empty for nowhere",
        metavar="HOST:PORT",
        default="127.0.0.1:9252",
    ),
    Option("addr", "", "the same as --listen", metavar="HOST:PORT"),
    Option("metrics-server", "METRICS_SERVER", "the same as --listen", metavar="HOST:PORT"),
    Option(
        "dialect",
        "JOBMETER_DIALECT",
        "names of the series; several may be given",
        metavar="NAME",
        choices=DIALECTS,
        default="jobmeter",
        many=True,
    ),
    Option(
        "state-dir",
        "JOBMETER_STATE_DIR",
        "where is kept what a restart needs",
        metavar="DIR",
        default="/var/lib/jobmeter/gateway",
    ),
    Option(
        "shutdown-timeout",
        "JOBMETER_SHUTDOWN_TIMEOUT",
        "after SIGTERM: time for running tasks to end, and to report",
        parse_duration,
        "DURATION",
        default="10m",
    ),
    Option(
        "shutdown-tasks",
        "JOBMETER_SHUTDOWN_TASKS",
        "what becomes of tasks that run on after that: they are left to their runners, or cancelled at the forge",
        metavar="WHAT",
        choices=("leave", "cancel"),
        default="leave",
    ),
    Option(
        "hooks",
        "JOBMETER_HOOKS",
        "a Unix socket, made for this account alone, that tells scripts which tasks start and end",
        socket_path,
        "PATH",
    ),
    Option(
        "announce",
        "JOBMETER_ANNOUNCE",
        "the hooks socket of an exporter, which names containers by the tasks that it is told of; several may be given",
        socket_path,
        "PATH",
        many=True,
    ),
    *READ_TOKEN_OPTIONS,
    Option(
        "push-token",
        "JOBMETER_GATEWAY_PUSH_TOKEN",
        "what must be sent to drain a runner; without it who reaches a loopback address may",
        secret,
        "TOKEN",
    ),
    Option("push-token-file", "JOBMETER_GATEWAY_PUSH_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option(
        "receiver",
        "JOBMETER_RECEIVER",
        "where launched jobs and evidence are sent",
        web_address,
        "URL",
    ),
    Option("receiver-token", "JOBMETER_PUSH_TOKEN", "what the receiver asks for", secret, "TOKEN"),
    Option("receiver-token-file", "JOBMETER_PUSH_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    *TLS_OPTIONS,
    *LOG_OPTIONS,
)


_FILE_OPTIONS = tuple(
    option
    for option in GATEWAY_OPTIONS
    if option.name not in ("config", "check-config", "addr", "metrics-server")
)
_TOP = dict.fromkeys(
    (*_TABLES, *_ALIASES, *(option.field for option in _FILE_OPTIONS)),
    "at the top of the file, above all tables",
)
_WITHIN_FORGES = {option.field: "in [[forge]]" for option in FORGE_KEYS}
_WITHIN_RUNNERS = {option.field: "in [[forge.runner]]" for option in (*RUNNER_KEYS, *RUNNER_TABLES)}
_WITHIN_CHECKS = {option.field: "in [health_check]" for option in HEALTH_KEYS}


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter gateway`; durations in seconds. ``listen_place`` is where ``listen`` was given,
    ``hooks_place`` and ``tls_places`` where the socket, certificate and key were.

    ``mistakes`` are sentences on what is not accepted: with one of them it must not start. ``warnings`` are sentences
    for the log.
    """

    config: str
    check_config: bool = False
    mistakes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    listen: str = f"127.0.0.1:{METRICS_PORT}"
    listen_place: str = "--listen"
    dialect: tuple[str, ...] = ("jobmeter",)
    state_dir: str = "/var/lib/jobmeter/gateway"
    shutdown_timeout: float = 600.0
    shutdown_tasks: Literal["leave", "cancel"] = "leave"
    hooks: str | None = None
    hooks_place: str = "--hooks"
    announce: tuple[str, ...] = ()
    read_token: str | None = None
    push_token: str | None = None
    receiver: str | None = None
    receiver_token: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_places: tuple[str, str] = ("--tls-cert", "--tls-key")
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    forges: tuple[ForgeSettings, ...] = ()
    health_check: HealthSettings = HealthSettings()
    referee: GatewayRefereeSettings | None = None


def gateway_settings(argv: Sequence[str], environ: Mapping[str, str]) -> GatewaySettings:
    """Settings of `gateway`: file < environment < flags.

    Raises UsageError for what flags and variables say; what the file says wrongly is in ``mistakes``.
    """
    invocation = parse(GATEWAY_OPTIONS, argv, environ, stop_at_first=False)
    values, rest, problems, _ = invocation
    if problems:
        raise UsageError(problems[0].removesuffix("; it is left out"))
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: the gateway takes only flags")
    config = values.pop("config", None)
    if not config:
        raise UsageError("--config is missing: the TOML file that names the forges, as --config gateway.toml")
    invocation.merge_file("read_token")
    invocation.merge_file("push_token")
    invocation.merge_file("receiver_token")
    places = {option.field: option.flag for option in GATEWAY_OPTIONS} | {
        option.field: option.env
        for option in GATEWAY_OPTIONS
        if option.field in values and option.field not in invocation.flags
    }
    _settle_address(invocation, places)
    mistakes: list[str] = []
    tables = read_toml(config)
    _merge(values, tables, config, mistakes, places)
    forges = _forges(tables.get("forge", []), config, mistakes)
    check = _health(tables.get("health_check", {}), config, mistakes)
    referee = None
    if "referee" in tables:
        referee = gateway_referee_settings(tables["referee"], f"{config}: [referee]", mistakes)
    runners = [runner for forge in forges for runner in forge.runners]
    mistakes += readable_secrets(tables, config, runners)
    mistakes += _settle_files(values, places)
    mistakes += address_mistakes(_metrics(values, places, config, mistakes), forges)
    values["dialect"] = tuple(dict.fromkeys(values.get("dialect") or ("jobmeter",)))
    values["announce"] = tuple(dict.fromkeys(values.get("announce", ())))
    if values.get("hooks") in values["announce"]:
        mistakes.append(f"{places['announce']}: {values['hooks']!r} is the gateway's own hooks socket")
    return GatewaySettings(
        config=config,
        mistakes=tuple(mistakes),
        warnings=(
            *(sentence for forge in forges for sentence in _warnings(forge)),
            *_receiver_notes(values | tables, places["receiver"], forges, config),
            *_referee_notes(referee, values | tables, forges, config),
            *_hooks_notes(values.get("hooks"), places["hooks"]),
        ),
        listen_place=places["listen"],
        hooks_place=places["hooks"],
        tls_places=(places["tls_cert"], places["tls_key"]),
        forges=tuple(forges),
        health_check=check,
        referee=referee,
        **values,
    )


def _settle_address(invocation: Invocation, places: dict[str, str]) -> None:
    """Of the three names of one address a flag wins over a variable. Raises UsageError for two flags."""
    values, flags = invocation.values, invocation.flags
    named = [field for field in _ADDRESS_FLAGS if field in flags]
    if len(named) > 1:
        first, second = (f"--{field.replace('_', '-')}" for field in named[:2])
        raise UsageError(f"{second} and {first} are the same; one of them is enough")
    given = named or [field for field in _ADDRESS_FLAGS if field in values]
    if not given:
        return
    field = given[0]
    address = values[field]
    for one in _ADDRESS_FLAGS:
        values.pop(one, None)
    values["listen"] = address
    places["listen"] = places[field]


def _merge(
    values: dict[str, Any], table: Mapping[str, Any], config: str, mistakes: list[str], places: dict[str, str]
) -> None:
    """Take from the file what neither argv nor the environment says."""
    told = table_values(
        table,
        _FILE_OPTIONS,
        config,
        mistakes,
        _ALIASES,
        tables=_TABLES,
        elsewhere=WITHIN_REFEREE | _WITHIN_RUNNERS | _WITHIN_FORGES | _WITHIN_CHECKS,
    )
    for token in ("read_token", "push_token", "receiver_token"):
        found = told.pop(f"{token}_file", None)
        if found is not None and token in told:
            mistakes.append(f"{config}: {token}_file: {token} says the token too; one of them is enough")
        elif found is not None:
            told[token] = found
    for key in table:
        name = key.replace("-", "_")
        name = _ALIASES.get(name, name)
        if name in told and name not in values:
            places[name] = f"{config}: {key}"
    values.update({**told, **values})


def _settle_files(values: dict[str, Any], places: Mapping[str, str]) -> list[str]:
    """What is wrong with names of files, wherever they were given; those that are empty are left out."""
    mistakes = []
    needed = [
        f"{places[given]}: it needs {other} too"
        for given, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert"))
        if values.get(given) and other not in values
    ]
    for field, what in (("state_dir", "directory"), ("tls_cert", "file"), ("tls_key", "file")):
        if values.get(field) == "":
            mistakes.append(f"{places[field]}: it is empty; accepted is the name of a {what}")
            del values[field]
    state_dir = values.get("state_dir", "/")
    if os.path.exists(state_dir) and not os.path.isdir(state_dir):
        mistakes.append(f"{places['state_dir']}: {state_dir!r} is no directory")
    return mistakes + needed


def _forges(tables: Any, config: str, mistakes: list[str]) -> list[ForgeSettings]:
    """Each forge that is whole."""
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        mistakes.append(f"{config}: forge: accepted is [[forge]], with two brackets, once for each forge")
        return []
    if not tables:
        mistakes.append(f"{config}: [[forge]]: there is no forge; each is a table that begins so")
    found = []
    named: dict[str, str] = {}
    for number, table in enumerate(tables, 1):
        name = table.get("name")
        place = f"{config}: [[forge]] {number}" + (f" {name[:63]!r}" if isinstance(name, str) else "")
        forge = forge_settings(
            table, place, mistakes, WITHIN_REFEREE | _WITHIN_RUNNERS | _TOP | _WITHIN_CHECKS
        )
        runners = runner_settings(table.get("runner", []), table.get("kind"), place, mistakes)
        if isinstance(name, str) and name in named:
            mistakes.append(f"{place}: name: it is that of {named[name]} too; each forge has its own")
        elif isinstance(name, str):
            named[name] = f"[[forge]] {number}"
        if forge is not None:
            found.append(msgspec.structs.replace(forge, runners=runners))
    return found


def _health(table: Any, config: str, mistakes: list[str]) -> HealthSettings:
    if not isinstance(table, dict):
        mistakes.append(f"{config}: health_check: it is no table; accepted is one, as [health_check]")
        return HealthSettings()
    return health_settings(table, f"{config}: [health_check]", mistakes, _TOP | _WITHIN_FORGES)


def _metrics(
    values: Mapping[str, Any], places: Mapping[str, str], config: str, mistakes: list[str]
) -> list[Listener]:
    """Where metrics are served, if they are."""
    text = values.get("listen", f"127.0.0.1:{METRICS_PORT}")
    if not text:
        return []
    where = places["listen"].removeprefix(f"{config}: ") if "listen" in values else "the default"
    try:
        return [Listener(listen_address(text, METRICS_PORT), f"the metrics ({where}: {text!r})")]
    except UsageError as error:
        mistakes.append(f"{places['listen']}: {error}")
        return []


def _receiver_notes(
    values: Mapping[str, Any], place: str, forges: Sequence[ForgeSettings], config: str
) -> Iterator[str]:
    """Only the file is for this daemon alone; a variable may be a whole fleet's.

    ``values`` are those that are given, also wrongly.
    """
    launched = any(forge.mode == "launch" for forge in forges)
    if launched and "receiver" not in values:
        yield f"{config}: receiver: this key is missing: summaries of launched jobs are sent nowhere"
    if forges and not launched and place.startswith(config) and "referee" not in values:
        yield f"{place}: it does nothing: no forge has mode = 'launch', and there is no [referee]"


def _referee_notes(
    referee: GatewayRefereeSettings | None,
    values: Mapping[str, Any],
    forges: Sequence[ForgeSettings],
    config: str,
) -> Iterator[str]:
    if referee is not None:
        yield from referee_notes(referee, forges, values, f"{config}: [referee]")


def _hooks_notes(path: str | None, place: str) -> Iterator[str]:
    """A service manager may make the directory at the start."""
    if path and not os.path.isdir(folder := os.path.dirname(path) or "."):
        yield f"{place}: the directory {folder} is not there; it must be when the gateway starts"


def _warnings(forge: ForgeSettings) -> Iterator[str]:
    _, sentence = pace_of(forge.fetch_interval, forge.fetch_interval_max)
    if sentence is not None:
        yield f"{forge.place}: {sentence}"
    yield from address_notes(forge)
    yield from forge_notes(forge)
