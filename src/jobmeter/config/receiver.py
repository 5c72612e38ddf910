"""The options of `jobmeter receiver`, and the settings they make."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from msgspec import Struct

from jobmeter.config.options import (
    Option,
    age,
    duration,
    parse,
    secret,
    secret_file,
    web_address,
    whole_number,
)
from jobmeter.config.settings import LOG_OPTIONS
from jobmeter.model.errors import UsageError

_LEAST_KEY = 16
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NO_FILE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def database(text: str) -> str:
    """The name of a file, or the address of a PostgreSQL database."""
    found = _NO_FILE.match(text)
    if found and found[1] not in ("postgresql", "postgres"):
        raise UsageError(
            f"{found[1]}:// is not accepted; accepted are the name of a file, and postgresql:// with host and database"
        )
    return text


def count_kept(text: str) -> int:
    """How many are kept: one at least."""
    number = whole_number(text)
    if not number:
        raise UsageError("0 would keep nothing; accepted are 1 and more")
    return number


def hmac_key(text: str) -> str:
    """A key: a token that nobody can guess, of 16 characters at least."""
    key = secret(text)
    if len(key) < _LEAST_KEY:
        raise UsageError(
            f"this key has {len(key)} characters; accepted are {_LEAST_KEY} to 4096, best random"
        )
    return key


def hmac_key_file(path: str) -> str:
    """The key in a file."""
    key = secret_file(path)
    try:
        return hmac_key(key)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def network(text: str) -> IPv4Network | IPv6Network:
    """A network, or one address."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{text!r} is no address; accepted are forms such as 10.0.0.7 and 10.0.0.0/8"
        ) from None


def header_name(text: str) -> str:
    """The name of a header (RFC 9110)."""
    if not _HEADER.fullmatch(text):
        raise UsageError(f"{text!r} is no name of a header; accepted are forms such as X-Forwarded-User")
    return text


def lifetime(text: str) -> float:
    """An age of a minute or more, in seconds."""
    seconds = age(text)
    if seconds < 60:
        raise UsageError(f"{text!r} is too short; accepted are 1m and more")
    return seconds


_NEEDS = (
    ("tls_cert", "tls_key"),
    ("tls_key", "tls_cert"),
    ("user_header", "trusted_proxy"),
    ("organizations_header", "user_header"),
)
RECEIVER_OPTIONS = (
    Option(
        "listen",
        "JOBMETER_LISTEN",
        "where to listen; without a host on all addresses",
        metavar="HOST:PORT",
        default=":8080",
    ),
    Option("addr", "", "the same as --listen", metavar="HOST:PORT"),
    Option(
        "db",
        "JOBMETER_DB",
        "the database: a file, made when missing, or postgresql://…",
        database,
        "FILE",
        default="metrics.db",
    ),
    Option(
        "read-token",
        "RECEIVER_READ_TOKEN",
        "what must be sent to ask; without it anyone may",
        secret,
        "TOKEN",
    ),
    Option("read-token-file", "RECEIVER_READ_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option(
        "push-token",
        "RECEIVER_PUSH_TOKEN",
        "what must be sent to store; empty asks for none",
        secret,
        "TOKEN",
    ),
    Option("push-token-file", "RECEIVER_PUSH_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option(
        "hmac-key",
        "RECEIVER_HMAC_KEY",
        "makes tokens with which one job stores its runs; then storing needs a token",
        hmac_key,
        "KEY",
    ),
    Option("hmac-key-file", "RECEIVER_HMAC_KEY_FILE", "the file it is in", hmac_key_file, "FILE"),
    Option(
        "job-token-lifetime",
        "JOBMETER_JOB_TOKEN_LIFETIME",
        "how long a job's token is good for at most, 1m or more",
        lifetime,
        "AGE",
        default="1d",
    ),
    Option(
        "read-token-mints",
        "RECEIVER_READ_TOKEN_MINTS",
        "read tokens make tokens of jobs too, so that who may ask may store",
        None,
    ),
    Option(
        "rate-limit",
        "JOBMETER_RATE_LIMIT",
        "requests a second of one token that is limited to some runs; 0 is no limit",
        whole_number,
        "N",
        default="2000",
    ),
    Option(
        "trusted-proxy",
        "JOBMETER_TRUSTED_PROXY",
        "the address or network of a proxy that is believed; several may be given",
        network,
        "ADDRESS",
        many=True,
    ),
    Option(
        "user-header",
        "JOBMETER_USER_HEADER",
        "the header in which a trusted proxy says who it is",
        header_name,
        "NAME",
    ),
    Option(
        "organizations-header",
        "JOBMETER_ORGANIZATIONS_HEADER",
        "the header in which it says which organizations that one sees; without it all",
        header_name,
        "NAME",
    ),
    Option(
        "public-url",
        "JOBMETER_PUBLIC_URL",
        "where browsers reach the receiver, if that is a proxy",
        web_address,
        "URL",
    ),
    Option(
        "tls-cert",
        "JOBMETER_TLS_CERT",
        "the certificate to serve HTTPS with, as PEM, with its chain",
        metavar="FILE",
    ),
    Option("tls-key", "JOBMETER_TLS_KEY", "its key, as PEM", metavar="FILE"),
    Option(
        "lost-after",
        "JOBMETER_LOST_AFTER",
        "a streamed run that was silent for so long is finished as lost",
        duration,
        "DURATION",
        default="5m",
    ),
    Option(
        "keep-timelines",
        "JOBMETER_KEEP_TIMELINES",
        "how long what was streamed of a run is kept; its summary stays",
        age,
        "AGE",
    ),
    Option(
        "keep-timelines-per-job",
        "JOBMETER_KEEP_TIMELINES_PER_JOB",
        "of so many of the newest runs of each job it is kept",
        count_kept,
        "N",
    ),
    Option("keep-runs", "JOBMETER_KEEP_RUNS", "how long runs are kept at all", age, "AGE"),
    Option(
        "keep-runs-per-job",
        "JOBMETER_KEEP_RUNS_PER_JOB",
        "so many of the newest runs of each job are kept",
        count_kept,
        "N",
    ),
    *LOG_OPTIONS,
)


class ReceiverSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter receiver`; durations in seconds. ``listen_place`` is where ``listen`` was given."""

    listen: str = ":8080"
    listen_place: str = "--listen"
    db: str = "metrics.db"
    read_token: str | None = None
    push_token: str | None = None
    hmac_key: str | None = None
    job_token_lifetime: float = 86_400.0
    read_token_mints: bool = False
    rate_limit: int = 2000
    trusted_proxy: tuple[IPv4Network | IPv6Network, ...] | None = None
    user_header: str | None = None
    organizations_header: str | None = None
    public_url: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    lost_after: float = 300.0
    keep_timelines: float | None = None
    keep_timelines_per_job: int | None = None
    keep_runs: float | None = None
    keep_runs_per_job: int | None = None
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    log_format: Literal["json", "text"] = "json"


def receiver_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ReceiverSettings:
    """Settings of `receiver`. A variable that is not accepted is refused: without its token it would be open."""
    invocation = parse(RECEIVER_OPTIONS, argv, environ, stop_at_first=False)
    values, rest, problems, flags = invocation
    if problems:
        raise UsageError(problems[0].removesuffix("; it is left out"))
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: the receiver takes only flags")
    invocation.merge_file("read_token")
    invocation.merge_file("push_token")
    invocation.merge_file("hmac_key")
    for given, missing in _NEEDS:
        if given in values and missing not in values:
            raise UsageError(f"--{given.replace('_', '-')} needs --{missing.replace('_', '-')} too")
    address = values.pop("addr", None)
    if address is not None:
        if "listen" in flags:
            raise UsageError("--addr and --listen are the same; one of them is enough")
        values["listen"], values["listen_place"] = address, "--addr"
    elif "listen" in values and "listen" not in flags:
        values["listen_place"] = "JOBMETER_LISTEN"
    return ReceiverSettings(**values)
