"""The options of `jobmeter exporter`, its configuration file, and the settings they make."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from jobmeter.config.file import merge_config
from jobmeter.config.options import Option, duration, interval, parse, secret, secret_file, socket_path
from jobmeter.config.settings import LOG_OPTIONS, READ_TOKEN_OPTIONS, TLS_OPTIONS
from jobmeter.exporter.container import NATIVE
from jobmeter.exporter.dialects import DIALECTS
from jobmeter.exporter.machine_address import is_name
from jobmeter.exporter.vm.target import Target, parse_target
from jobmeter.exporter.windows.address import Engine, parse_engine
from jobmeter.model.errors import UsageError

_ALIASES = {
    "container_stats_interval": "interval",
    "dialects": "dialect",
    "engine_sockets": "engine_socket",
    "subscriptions": "subscribe",
    "windows_engines": "windows_engine",
}
_TOKENS = ("read_token", "stats_token")


def _whole_interval(text: str) -> float:
    """Whole seconds, which is what the stream can ask for."""
    seconds = interval(text)
    if seconds != round(seconds):
        raise UsageError(
            f"{text!r} is not accepted; an interval between batches is whole seconds, from 1s to 1h"
        )
    return seconds


def _runtime(text: str) -> str:
    if not is_name(text):
        raise UsageError(f"{text[:100]!r} is no runtime; it is one word, as {NATIVE}")
    return text


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
    Option(
        "runtime",
        "JOBMETER_RUNTIME",
        "how this host's containers are run, as the label `runtime` says it",
        _runtime,
        "NAME",
        default=NATIVE,
    ),
    Option(
        "serve-stats",
        "JOBMETER_SERVE_STATS",
        "within a virtual machine: where its containers' statistics are served by gRPC, without a port at 10001; with "
        "--tls-cert by TLS",
        metavar="HOST:PORT",
    ),
    Option(
        "stats-token",
        "JOBMETER_STATS_TOKEN",
        "what a subscriber must send, and what is sent to machines that are subscribed to",
        secret,
        "TOKEN",
    ),
    Option("stats-token-file", "JOBMETER_STATS_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option(
        "stats-client-ca",
        "JOBMETER_STATS_CLIENT_CA",
        "a subscriber needs a certificate of one of these authorities, as PEM",
        metavar="FILE",
    ),
    Option(
        "subscribe",
        "JOBMETER_SUBSCRIBE",
        "a virtual machine whose containers are shown too: its name, and where it serves statistics; behind them "
        "`;runtime=`, `;token_file=`, `;ca=`, `;cert=`, `;key=`, `;server_name=`; several may be given",
        parse_target,
        "NAME=HOST:PORT",
        many=True,
    ),
    Option(
        "subscribe-interval",
        "JOBMETER_SUBSCRIBE_INTERVAL",
        "how often a machine shall tell of its containers, in whole seconds",
        _whole_interval,
        "DURATION",
        default="1s",
    ),
    Option(
        "subscribe-grace",
        "JOBMETER_SUBSCRIBE_GRACE",
        "how long the containers of a machine are shown as they were last when nothing is heard of it",
        duration,
        "DURATION",
        default="2m",
    ),
    Option(
        "windows-engine",
        "JOBMETER_WINDOWS_ENGINE",
        "a Windows host whose containers are shown too: its name, and where its Docker engine is asked, as "
        "NAME=tcp://HOST:PORT; behind them `;ca=`, `;cert=`, `;key=`, `;server_name=`, `;runtime=`; several may be "
        "given",
        parse_engine,
        "NAME=ADDRESS",
        many=True,
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
    runtime: str = NATIVE
    serve_stats: str | None = None
    stats_token: str | None = None
    stats_client_ca: str | None = None
    subscribe: tuple[Target, ...] = ()
    subscribe_interval: float = 1.0
    subscribe_grace: float = 120.0
    windows_engine: tuple[Engine, ...] = ()
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
    for token in _TOKENS:
        invocation.merge_file(token)
    config = values.pop("config", None)
    if config is not None:
        merge_config(invocation, EXPORTER_OPTIONS, config, _ALIASES)
    for token in _TOKENS:
        invocation.merge_file(token)
    values.update(_places(values, said, flags, config))
    if ("tls_cert" in values) != ("tls_key" in values):
        given, missing = ("--tls-cert", "--tls-key") if "tls_cert" in values else ("--tls-key", "--tls-cert")
        raise UsageError(f"{given} needs {missing} too")
    _check_streams(values)
    _tidy(values)
    return ExporterSettings(**values)


def _check_streams(values: Mapping[str, Any]) -> None:
    """What needs something else."""
    if "stats_client_ca" in values:
        for needed, flag in (("serve_stats", "--serve-stats"), ("tls_cert", "--tls-cert")):
            if needed not in values:
                raise UsageError(f"--stats-client-ca needs {flag} too")
    machines = [(target.name, "--subscribe") for target in values.get("subscribe", ())]
    machines += [(engine.name, "--windows-engine") for engine in values.get("windows_engine", ())]
    names = [name for name, _ in machines]
    for name, flag in machines:
        if names.count(name) > 1:
            raise UsageError(f"{flag}: two machines are called {name!r}; each needs a name of its own")


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
