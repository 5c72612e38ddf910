"""The options of `jobmeter exporter`, its configuration file, and the settings they make."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from jobmeter.config.file import merge_config
from jobmeter.config.options import Option, duration, interval, parse, socket_path
from jobmeter.config.settings import LOG_OPTIONS, READ_TOKEN_OPTIONS, TLS_OPTIONS
from jobmeter.exporter.dialects import DIALECTS
from jobmeter.model.errors import UsageError

_ALIASES = {"container_stats_interval": "interval", "dialects": "dialect", "engine_sockets": "engine_socket"}

EXPORTER_OPTIONS = (
    Option(
        "listen",
        "JOBMETER_LISTEN",
        "where to listen; without a host on all addresses",
        metavar="HOST:PORT",
        default="127.0.0.1:9925",
    ),
    Option("config", "JOBMETER_CONFIG", "a TOML file whose keys are these flags", metavar="FILE"),
    Option(
        "interval",
        "JOBMETER_INTERVAL",
        "time between two readings, 50ms to 1h; a scrape reads anew what is older than a second",
        interval,
        "DURATION",
        default="10s",
    ),
    Option(
        "linger",
        "JOBMETER_LINGER",
        "how long the last values of a container that is gone are shown",
        duration,
        "DURATION",
        default="2m",
    ),
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
        "engine-socket",
        "JOBMETER_ENGINE_SOCKET",
        "where an engine tells names, labels and images: a path, docker=PATH, containerd=PATH, or none; several may "
        "be given",
        metavar="SOCKET",
        default="the usual places of Docker, Podman, containerd and k3s",
        many=True,
    ),
    Option(
        "hooks",
        "JOBMETER_HOOKS",
        "a Unix socket, made for this account alone, that tells scripts what starts and ends, and is told of tasks",
        socket_path,
        "PATH",
    ),
    *READ_TOKEN_OPTIONS,
    *TLS_OPTIONS,
    Option("proc-path", "JOBMETER_PROC_PATH", "the host's proc file system", metavar="DIR", default="/proc"),
    Option(
        "cgroup-path",
        "JOBMETER_CGROUP_PATH",
        "the host's cgroup file system",
        metavar="DIR",
        default="/sys/fs/cgroup",
    ),
    *LOG_OPTIONS,
)


class ExporterSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter exporter`; durations in seconds. ``listen_place`` is where ``listen`` was given,
    ``hooks_place`` where ``hooks`` was.

    ``engine_socket`` is None for the usual places, and empty for none.
    """

    listen: str = "127.0.0.1:9925"
    listen_place: str = "--listen"
    interval: float = 10.0
    linger: float = 120.0
    dialect: tuple[str, ...] = ("jobmeter",)
    engine_socket: tuple[str, ...] | None = None
    hooks: str | None = None
    hooks_place: str = "--hooks"
    read_token: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    proc_path: str = "/proc"
    cgroup_path: str = "/sys/fs/cgroup"
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    log_format: Literal["json", "text"] = "json"


def exporter_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ExporterSettings:
    """Settings of `exporter`: file < environment < flags. What is not accepted is refused wherever it was written."""
    invocation = parse(EXPORTER_OPTIONS, argv, environ, stop_at_first=False)
    values, rest, problems, flags = invocation
    if problems:
        raise UsageError(problems[0].removesuffix("; it is left out"))
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: the exporter takes only flags")
    said = frozenset(values)
    invocation.merge_file("read_token")
    config = values.pop("config", None)
    if config is not None:
        merge_config(invocation, EXPORTER_OPTIONS, config, _ALIASES)
    invocation.merge_file("read_token")
    values.update(_places(values, said, flags, config))
    if ("tls_cert" in values) != ("tls_key" in values):
        given, missing = ("--tls-cert", "--tls-key") if "tls_cert" in values else ("--tls-key", "--tls-cert")
        raise UsageError(f"{given} needs {missing} too")
    _tidy(values)
    return ExporterSettings(**values)


def _places(
    values: Mapping[str, Any], said: frozenset[str], flags: frozenset[str], config: str | None
) -> dict[str, str]:
    """Where the places to listen at were given: as flags, as variables, which are ``said`` as well, or in the file."""
    places = {}
    for field in ("listen", "hooks"):
        if field in values:
            variable = f"JOBMETER_{field.upper()}" if field in said else f"{config}: {field}"
            places[f"{field}_place"] = f"--{field}" if field in flags else variable
    return places


def _tidy(values: dict[str, tuple[str, ...]]) -> None:
    """Each dialect once; `none` stands alone."""
    if not values.get("dialect", ("",)):
        del values["dialect"]
    if "dialect" in values:
        values["dialect"] = tuple(dict.fromkeys(values["dialect"]))
    sockets = values.get("engine_socket")
    if sockets is None:
        return
    if "none" in sockets and len(set(sockets)) > 1:
        raise UsageError("--engine-socket: none is said together with a socket; one of them is meant")
    values["engine_socket"] = tuple(one for one in sockets if one != "none")
