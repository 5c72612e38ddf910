"""The options of `jobmeter gateway`, its configuration file, and the settings they make."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from jobmeter.config.file import read_toml, table_values
from jobmeter.config.forges import (
    ForgeSettings,
    HealthSettings,
    forge_settings,
    health_settings,
)
from jobmeter.config.options import Invocation, Option, parse, secret, secret_file
from jobmeter.config.settings import LOG_OPTIONS, READ_TOKEN_OPTIONS, TLS_OPTIONS
from jobmeter.gateway.figures.dialects import DIALECTS
from jobmeter.gateway.polling.backoff import pace_of
from jobmeter.model.errors import UsageError
from jobmeter.model.quantities import parse_duration
from jobmeter.ops.addresses import AddressError, address_of

METRICS_PORT = 9252
_ALIASES = {"metrics_server": "listen", "addr": "listen", "dialects": "dialect"}
_ADDRESS_FLAGS = ("listen", "addr", "metrics_server")
_TABLES = ("forge", "health_check")


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
    *READ_TOKEN_OPTIONS,
    Option(
        "push-token",
        "JOBMETER_GATEWAY_PUSH_TOKEN",
        "what must be sent to drain a runner; without it who reaches a loopback address may",
        secret,
        "TOKEN",
    ),
    Option("push-token-file", "JOBMETER_GATEWAY_PUSH_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    *TLS_OPTIONS,
    *LOG_OPTIONS,
)


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter gateway`; durations in seconds. ``listen_place`` is where ``listen`` was given.

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
    read_token: str | None = None
    push_token: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    forges: tuple[ForgeSettings, ...] = ()
    health_check: HealthSettings = HealthSettings()


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
    _settle_address(invocation)
    mistakes: list[str] = []
    tables = read_toml(config)
    _merge(values, {key: value for key, value in tables.items() if key not in _TABLES}, config, mistakes)
    forges = _forges(tables.get("forge", []), config, mistakes)
    health = tables.get("health_check", {})
    if not isinstance(health, dict):
        mistakes.append(f"{config}: health_check is not accepted; it is a table, as [health_check]")
        health = {}
    check = health_settings(health, f"{config}: [health_check]", mistakes)
    _check_addresses(values, forges, config, mistakes)
    if ("tls_cert" in values) != ("tls_key" in values):
        given, missing = ("tls_cert", "tls_key") if "tls_cert" in values else ("tls_key", "tls_cert")
        mistakes.append(f"{config}: {given} needs {missing} too")
    values["dialect"] = tuple(dict.fromkeys(values.get("dialect") or ("jobmeter",)))
    return GatewaySettings(
        config=config,
        mistakes=tuple(mistakes),
        warnings=tuple(_warnings(forges, config)),
        forges=tuple(forge for _, forge in forges),
        health_check=check,
        **values,
    )


def _settle_address(invocation: Invocation) -> None:
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
    variable = next(option.env for option in GATEWAY_OPTIONS if option.field == field)
    values["listen"] = address
    values["listen_place"] = f"--{field.replace('_', '-')}" if named else variable


def _merge(values: dict[str, Any], table: Mapping[str, Any], config: str, mistakes: list[str]) -> None:
    """Take from the file what neither argv nor the environment says."""
    known = [
        option
        for option in GATEWAY_OPTIONS
        if option.name not in ("config", "check-config", "addr", "metrics-server")
    ]
    told = table_values(table, known, config, mistakes, _ALIASES)
    for token in ("read_token", "push_token"):
        found = told.pop(f"{token}_file", None)
        if found is not None and token in told:
            mistakes.append(f"{config}: {token} and {token}_file both say the token; one of them is enough")
        elif found is not None:
            told[token] = found
    if "listen" in told and "listen" not in values:
        key = next(key for key in table if _ALIASES.get(key.replace("-", "_"), key) == "listen")
        values["listen_place"] = f"{config}: {key}"
    values.update({**told, **values})


def _forges(tables: Any, config: str, mistakes: list[str]) -> list[tuple[str, ForgeSettings]]:
    """Each forge that is whole, with its place in the file."""
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        mistakes.append(f"{config}: forge is not accepted; each forge is a table of its own, as [[forge]]")
        return []
    if not tables:
        mistakes.append(f"{config}: there is no forge; each is a table that begins with [[forge]]")
    found = []
    named: dict[str, str] = {}
    for number, table in enumerate(tables, 1):
        name = table.get("name")
        place = f"{config}: [[forge]] {number}" + (f" {name[:63]!r}" if isinstance(name, str) else "")
        forge = forge_settings(table, place, mistakes)
        if isinstance(name, str) and name in named:
            mistakes.append(f"{place}: the name is that of {named[name]} too; each forge has its own")
        elif isinstance(name, str):
            named[name] = f"[[forge]] {number}"
        if forge is not None:
            found.append((place, forge))
    return found


def _check_addresses(
    values: Mapping[str, Any], forges: Sequence[tuple[str, ForgeSettings]], config: str, mistakes: list[str]
) -> None:
    """No two listen at one address."""
    place = values.get("listen_place", "--listen")
    metrics = values.get("listen", f"127.0.0.1:{METRICS_PORT}")
    taken: dict[str, str] = {}
    if metrics:
        try:
            taken[str(address_of(metrics, METRICS_PORT))] = f"the metrics, {place}"
        except AddressError as error:
            mistakes.append(f"{place}: {error}")
    for where, forge in forges:
        if forge.listen in taken and not forge.listen.endswith(":0"):
            who = taken[forge.listen].removeprefix(f"{config}: ")
            mistakes.append(
                f"{where}: listen: {forge.listen!r} is also where {who} listens; each has its own"
            )
        taken.setdefault(forge.listen, where)


def _warnings(forges: Sequence[tuple[str, ForgeSettings]], config: str) -> Iterator[str]:
    for place, forge in forges:
        _, sentence = pace_of(forge.fetch_interval, forge.fetch_interval_max)
        if sentence is not None:
            yield f"{place}: {sentence}"
        if (address := _loopback(forge)) is not None:
            yield (
                f"{place}: jobs reach the forge at the address that their runner was given, and in a container "
                f"{address} is the container itself: let a reverse proxy of the forge pass its runners' paths to the "
                f"gateway, and say in public_url what runners are given"
            )
        if forge.insecure:
            yield f"{place}: insecure: whoever is between here and {forge.url} can read and change all that passes"


def _loopback(forge: ForgeSettings) -> str | None:
    """The loopback address that runners of this forge are given; None if it is none."""
    host = urlsplit(forge.public_url or f"http://{forge.listen}").hostname or ""
    return host if host in ("localhost", "::1") or host.startswith("127.") else None
