"""The options of `jobmeter receiver`, and the settings they make."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from msgspec import Struct

from jobmeter.config.access import ACCESS_OPTIONS, check_access
from jobmeter.config.options import Option, age, duration, parse, secret, secret_file, whole_number
from jobmeter.config.prices import price_table
from jobmeter.config.settings import LOG_OPTIONS
from jobmeter.model.errors import UsageError
from jobmeter.model.prices import Prices

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
    *ACCESS_OPTIONS,
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
    Option("prices", "JOBMETER_PRICES", "what a core-hour and a GiB-hour cost, as TOML", price_table, "FILE"),
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
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = None
    oidc_scope: str = "openid profile email"
    oidc_organizations_claim: str | None = None
    oidc_group: tuple[tuple[str, str], ...] | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    lost_after: float = 300.0
    keep_timelines: float | None = None
    keep_timelines_per_job: int | None = None
    keep_runs: float | None = None
    keep_runs_per_job: int | None = None
    prices: Prices | None = None
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
    invocation.merge_file("oidc_client_secret")
    check_access(values)
    address = values.pop("addr", None)
    if address is not None:
        if "listen" in flags:
            raise UsageError("--addr and --listen are the same; one of them is enough")
        values["listen"], values["listen_place"] = address, "--addr"
    elif "listen" in values and "listen" not in flags:
        values["listen_place"] = "JOBMETER_LISTEN"
    return ReceiverSettings(**values)
