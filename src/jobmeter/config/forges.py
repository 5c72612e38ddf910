"""What `[[forge]]` and `[health_check]` of the gateway's configuration file say."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from jobmeter.config.file import table_values
from jobmeter.config.options import Option, duration, interval, secret, secret_file, web_address, whole_number
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.model.errors import UsageError
from jobmeter.model.quantities import parse_bytes
from jobmeter.ops.addresses import Address, address_of

FORGE_PORT = 8090
"""Where a forge is offered to its runners when the address has no port."""
Kind = Literal["forgejo", "gitea", "gitlab"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SCOPE = re.compile(r"admin|user|orgs/[^/\s]+|repos/[^/\s]+/[^/\s]+|projects/[^\s]+")
_API = re.compile(r"/api/(?:actions|v\d+)\b.*")
_LONGEST_FETCH_SECONDS = 60.0
_SILENT_SECONDS = 60.0
"""Runners may say nothing of a job for so long: gitlab-runner for 30 s, others until it logs something."""
_LEAST_BYTES = 2**20
_INTERVAL_MAX_SECONDS = 5.0
_GITLAB_FETCH_SECONDS = 60.0
"""GitLab holds a request for about 50 s."""


def forge_name(text: str) -> str:
    """What a forge is called in logs and on pages."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text[:80]!r} is no name; accepted are up to 63 letters, digits and . _ - behind the first one"
        )
    return text


def forge_address(text: str) -> str:
    """Where a forge is offered to its runners."""
    return str(listen_address(text, FORGE_PORT))


def listen_address(text: str, port: int) -> Address:
    """Where the gateway listens; not at a URL."""
    if "://" in text:
        raise UsageError(
            f"{text[:80]!r} is not accepted; an address to listen at is HOST:PORT without http://"
        )
    return address_of(text, port)


def forge_url(text: str) -> str:
    """Where a forge is, also for its runners; who asks it shows credentials of its own."""
    address = web_address(text, "https://forge.example/")
    parts = urlsplit(address)
    if found := _API.search(parts.path):
        raise UsageError(
            f"the path {found[0]!r} is asked by runners themselves; accepted is the address of the forge without it"
        )
    if "@" in parts.netloc:
        raise UsageError(
            f"the address of {parts.hostname!r} has a user name; accepted is one without: runners show "
            f"credentials of their own"
        )
    return address


def readable_file(text: str) -> str:
    """The name of a file that can be read now."""
    if not text:
        raise UsageError("it is empty; without a file the key is left out")
    try:
        with open(text, "rb"):
            return text
    except OSError as error:
        raise UsageError(f"{text!r} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{text!r} is no name of a file") from None


def program(text: str) -> str:
    """The absolute name of a program that can be executed now."""
    if not os.path.isabs(text) or "\0" in text:
        raise UsageError(
            f"{text!r} is not accepted; accepted is a program by its whole name, as /usr/local/bin/check"
        )
    if not os.path.isfile(text) or not os.access(text, os.X_OK):
        raise UsageError(f"{text!r} cannot be executed: it is no program, or may not be")
    return text


def directory(text: str) -> str:
    """A directory that is there now."""
    if "\0" in text or not os.path.isdir(text):
        raise UsageError(f"{text!r} is no directory")
    return text


def count(text: str) -> int:
    """A whole number from 1 to 999,999,999."""
    if not text.isdecimal() or len(text) > 9 or not int(text):
        raise UsageError(f"{text[:40]!r} is not accepted; accepted are whole numbers from 1 to 999999999")
    return int(text)


def fetch_timeout(text: str) -> float:
    """How long one request for a task may take: runners wait no longer than a minute."""
    seconds = duration(text)
    if seconds > _LONGEST_FETCH_SECONDS:
        raise UsageError(f"{text!r} is too long; accepted are durations up to 60s")
    return seconds


def percentage(text: str) -> float:
    """From 1 to 100 percent; less only with its sign, since 0.5 may be meant as a half."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if 0 < number < 1 and not text.endswith("%"):
        raise UsageError(f"{text!r} would be {text} %; {number * 100:g} is meant, or '{text}%' as a text?")
    if not 0 < number <= 100:
        raise UsageError(
            f"{text[:40]!r} is no percentage; accepted are numbers from 1 to 100, as 20 or '0.5%'"
        )
    return number


def size(text: str) -> int:
    """Bytes: 0, or from 1 MiB on, since 2 may be meant as gigabytes."""
    try:
        found = parse_bytes(text)
    except UsageError:
        found = 1
    if 0 < found < _LEAST_BYTES or (not found and re.search("[1-9]", text)):
        raise UsageError(
            f"{text[:40]!r} is no such size; accepted are forms such as 512Mi, 1.5Gi or 2G, from 1Mi on"
        )
    return found


def mebibytes(text: str) -> int:
    """So many MiB, in bytes."""
    return whole_number(text) * 2**20


def scope(text: str) -> str:
    """Whose waiting jobs are asked for."""
    if not _SCOPE.fullmatch(text):
        raise UsageError(
            f"{text[:80]!r} is not accepted; accepted are admin, user, orgs/NAME and repos/OWNER/NAME, of GitLab "
            f"projects/ID or projects/GROUP/NAME"
        )
    return text


FORGE_KEYS = (
    Option("name", "", "what it is called in logs and on pages; each has its own", forge_name, "NAME"),
    Option("kind", "", "which protocol its runners speak", metavar="KIND", choices=("forgejo", "gitea", "gitlab")),
    Option("url", "", "where the forge itself is, not its proxy, with the path below which it is", forge_url, "URL"),
    Option("listen", "", "where its runners reach the gateway", forge_address, "HOST:PORT"),
    Option("tls-cert", "", "the certificate to serve HTTPS with, as PEM, with its chain", readable_file, "FILE"),
    Option("tls-key", "", "its key, as PEM", readable_file, "FILE"),
    Option("public-url", "", "the address that runners were given, if that is another one", forge_url, "URL"),
    Option("mode", "", "whether runners come for tasks, or one is [started for each](launch.md)", metavar="MODE",
           choices=("relay", "launch"), default="relay"),
    Option("fetch-interval", "", "the shortest wait after a request without a task, from 50ms", interval, "DURATION",
           default="2s"),
    Option("fetch-interval-max", "", "the longest one; the same as `fetch_interval` for one that never grows",
           interval, "DURATION", default="5s"),
    Option("fetch-timeout", "", "how long such a request may take, 60s at most", fetch_timeout, "DURATION",
           default="5s, of GitLab 60s"),
    Option("capacity", "", "so many tasks a runner may have at once; without it nothing holds one back", count, "N"),
    Option("lost-after", "", "a task of which nothing was heard for so long is given up", duration, "DURATION",
           default="15m"),
    Option("ca-cert", "", "authorities that are trusted for the forge beside the system's, as PEM", readable_file,
           "FILE"),
    Option("client-cert", "", "the certificate to show the forge, as PEM", readable_file, "FILE"),
    Option("client-key", "", "its key, as PEM", readable_file, "FILE"),
    Option("insecure", "", "take whatever certificate the forge shows", None, default="false"),
    Option("api-token", "", "a token for the forge's REST API, for what waits there", secret, "TOKEN"),
    Option("api-token-file", "", "the file it is in", secret_file, "FILE"),
    Option("queue", "", "whose waiting jobs are counted: `admin`, `user`, `orgs/NAME`, `repos/OWNER/NAME`; of GitLab "
           "`projects/ID`", scope, "SCOPES", default="admin", many=True),
    Option("queue-interval", "", "how often they are counted", interval, "DURATION", default="30s"),
)  # fmt: skip
"""Of each ``[[forge]]``: a key is the name with ``_``."""

_TABLES = {"runner": "[[forge.runner]]"}

HEALTH_KEYS = (
    Option("min-free-disk-space", "", "so much must be free, as `2Gi`", size, "SIZE"),
    Option("min-free-disk-space-mb", "", "the same in MiB", mebibytes, "N"),
    Option("disk-paths", "", "directories on the disks that are looked at", directory, "DIRECTORIES",
           default="/", many=True),
    Option("min-available-memory", "", "so much memory must be available, as `512Mi`", size, "SIZE"),
    Option("max-memory-pressure", "", "so many percent of the last 10 s may work have waited for memory, as `20`",
           percentage, "PERCENT"),
    Option("script", "", "a program; while it fails nothing is fetched", program, "FILE"),
    Option("interval", "", "how often all this is looked at", interval, "DURATION", default="30s"),
    Option("timeout", "", "how long the program may take", duration, "DURATION", default="10s"),
)  # fmt: skip
"""Of ``[health_check]``."""


class ForgeSettings(Struct, frozen=True, kw_only=True):
    """One forge; durations in seconds. ``place`` is the file and the table in it, for sentences."""

    name: str
    kind: Kind
    url: str
    listen: str
    tls_cert: str | None = None
    tls_key: str | None = None
    public_url: str | None = None
    mode: Literal["relay", "launch"] = "relay"
    fetch_interval: float = 2.0
    fetch_interval_max: float = _INTERVAL_MAX_SECONDS
    fetch_timeout: float = 5.0
    capacity: int | None = None
    lost_after: float = 900.0
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False
    api_token: str | None = None
    queue: tuple[str, ...] = ("admin",)
    queue_interval: float = 30.0
    runners: tuple[RunnerOptions, ...] = ()
    place: str = ""

    @property
    def given_url(self) -> str:
        """The address that its runners have."""
        if self.public_url is not None:
            return self.public_url
        host, port = address_of(self.listen, FORGE_PORT)
        at = Address("127.0.0.1" if host in ("", "0.0.0.0", "::") else host, port)
        return f"http{'s' if self.tls_cert else ''}://{at}/"

    @property
    def tls_places(self) -> tuple[str, str]:
        """Where certificate and key are given."""
        return f"{self.place}: tls_cert", f"{self.place}: tls_key"

    def __repr__(self) -> str:
        """Without the token."""
        return f"ForgeSettings(name={self.name!r}, kind={self.kind!r}, url={self.url!r})"


class HealthSettings(Struct, frozen=True, kw_only=True):
    """When nothing is fetched; None is not looked at. Sizes in bytes, durations in seconds."""

    min_free_disk_space: int | None = None
    disk_paths: tuple[str, ...] = ("/",)
    min_available_memory: int | None = None
    max_memory_pressure: float | None = None
    script: str | None = None
    interval: float = 30.0
    timeout: float = 10.0


def forge_settings(
    table: Mapping[str, Any], place: str, mistakes: list[str], elsewhere: Mapping[str, str]
) -> ForgeSettings | None:
    """One ``[[forge]]``; None if it is not whole. ``elsewhere`` says where other keys belong."""
    before = len(mistakes)
    values = table_values(table, FORGE_KEYS, place, mistakes, tables=_TABLES, elsewhere=elsewhere)
    given = {key.replace("-", "_") for key in table}
    mistakes += [f"{place}: {sentence}" for sentence in _of_keys(given, values)]
    mistakes += [f"{place}: {sentence}" for sentence in _of_mode(given, values.get("mode", "relay"))]
    mistakes += _scopes_of_another_kind(values, place)
    if len(mistakes) > before:
        return None
    if (token := values.pop("api_token_file", None)) is not None:
        values["api_token"] = token
    values.setdefault("fetch_interval_max", max(_INTERVAL_MAX_SECONDS, values.get("fetch_interval", 0.0)))
    if values["kind"] == "gitlab":
        values.setdefault("fetch_timeout", _GITLAB_FETCH_SECONDS)
        values.setdefault("queue", ())
    return ForgeSettings(**values, place=place)


def _of_keys(given: set[str], values: Mapping[str, Any]) -> Iterator[str]:
    """Of those that must be there, and those that go together; ``values`` are of those that are accepted."""
    for missing in ("name", "kind", "url", "listen"):
        if missing not in given:
            yield f"{missing}: this key is missing: {_help(missing)}"
    for one, other in (("tls_cert", "tls_key"), ("client_cert", "client_key")):
        for key, needed in ((one, other), (other, one)):
            if key in values and needed not in given:
                yield f"{key}: it needs {needed} too"
    if "queue" in given and not {"api_token", "api_token_file"} & given:
        yield "queue: it needs api_token_file or api_token too"
    if {"api_token", "api_token_file"} <= given:
        yield "api_token_file: api_token says the token too; one of them is enough"


def _of_mode(given: set[str], mode: str) -> Iterator[str]:
    """Of those that only one of the modes has."""
    if mode == "relay" and "runner" in given:
        yield "[[forge.runner]]: it is for runners that are launched: mode = 'launch' is missing"
    if mode == "launch" and "runner" not in given:
        yield "[[forge.runner]]: there is none; each runner that is launched is a table that begins so"
    if mode == "launch" and "capacity" in given:
        yield "capacity: of launched runners each has its own, in [[forge.runner]]"


def forge_notes(forge: ForgeSettings) -> Iterator[str]:
    """What is accepted and seldom meant."""
    encrypted = forge.url.startswith("https:")
    if not encrypted:
        for key in ("ca_cert", "client_cert", "insecure"):
            if getattr(forge, key):
                yield f"{forge.place}: {key}: it does nothing: url is not https"
    elif forge.insecure:
        yield f"{forge.place}: insecure: whoever is between here and {forge.url} can read and change all that passes"
    if forge.lost_after < _SILENT_SECONDS:
        yield (
            f"{forge.place}: lost_after: a runner may say nothing of a job for a minute; one that is silent for "
            f"{forge.lost_after:g} s loses its slot while it runs"
        )


def health_settings(
    table: Mapping[str, Any], place: str, mistakes: list[str], elsewhere: Mapping[str, str]
) -> HealthSettings:
    """``[health_check]``; what is wrong with it is a sentence more."""
    values = table_values(table, HEALTH_KEYS, place, mistakes, elsewhere=elsewhere)
    given = {key.replace("-", "_") for key in table}
    mebi = values.pop("min_free_disk_space_mb", None)
    if {"min_free_disk_space", "min_free_disk_space_mb"} <= given:
        mistakes.append(
            f"{place}: min_free_disk_space_mb: it is the same as min_free_disk_space; one of them is enough"
        )
    elif mebi is not None:
        values["min_free_disk_space"] = mebi
    if "disk_paths" in given and not {"min_free_disk_space", "min_free_disk_space_mb"} & given:
        mistakes.append(f"{place}: disk_paths: it needs min_free_disk_space too")
    if values.get("disk_paths") == ():
        mistakes.append(f"{place}: disk_paths: the list is empty; accepted are directories, as '/'")
    return HealthSettings(**values)


def _scopes_of_another_kind(values: Mapping[str, Any], place: str) -> list[str]:
    gitlab = values.get("kind") == "gitlab"
    wrong = [one for one in values.get("queue", ()) if one.startswith("projects/") != gitlab]
    if not wrong or "kind" not in values:
        return []
    accepted = "is projects/ID" if gitlab else "are admin, user, orgs/NAME and repos/OWNER/NAME"
    return [f"{place}: queue: {wrong[0]!r} is not for {values['kind']}; accepted {accepted}"]


def _help(name: str) -> str:
    return next(option.help for option in FORGE_KEYS if option.name == name)
