"""The options of `jobmeter receiver` that say who may do what, beside its two tokens."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from jobmeter.config.options import Option, age, secret, secret_file, web_address, whole_number
from jobmeter.config.settings import TLS_OPTIONS
from jobmeter.model.errors import UsageError

_LEAST_KEY = 16
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NEEDS = (
    ("tls_cert", "tls_key"),
    ("tls_key", "tls_cert"),
    ("user_header", "trusted_proxy"),
    ("organizations_header", "user_header"),
    ("oidc_issuer", "oidc_client_id"),
    ("oidc_issuer", "public_url"),
    ("oidc_client_id", "oidc_issuer"),
    ("oidc_client_secret", "oidc_issuer"),
    ("oidc_organizations_claim", "oidc_issuer"),
    ("oidc_group", "oidc_organizations_claim"),
)


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


def group(text: str) -> tuple[str, str]:
    """A group and an organization."""
    name, equals, organization = text.rpartition("=")
    if not (name and equals and organization):
        raise UsageError(
            f"{text!r} is not accepted; accepted are forms such as developers=acme and operators=*"
        )
    return name, organization


def check_access(values: Mapping[str, Any]) -> None:
    """Raises UsageError for what is of no use without something else."""
    for given, missing in _NEEDS:
        if given in values and missing not in values:
            raise UsageError(f"--{given.replace('_', '-')} needs --{missing.replace('_', '-')} too")


ACCESS_OPTIONS = (
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
        "oidc-issuer",
        "JOBMETER_OIDC_ISSUER",
        "the provider of OpenID Connect where people sign in",
        web_address,
        "URL",
    ),
    Option("oidc-client-id", "JOBMETER_OIDC_CLIENT_ID", "what it calls this receiver", metavar="ID"),
    Option("oidc-client-secret", "JOBMETER_OIDC_CLIENT_SECRET", "what it knows it by", secret, "SECRET"),
    Option(
        "oidc-client-secret-file",
        "JOBMETER_OIDC_CLIENT_SECRET_FILE",
        "the file it is in",
        secret_file,
        "FILE",
    ),
    Option(
        "oidc-scope",
        "JOBMETER_OIDC_SCOPE",
        "what is asked of it",
        metavar="SCOPES",
        default="openid profile email",
    ),
    Option(
        "oidc-organizations-claim",
        "JOBMETER_OIDC_ORGANIZATIONS_CLAIM",
        "the claim that says which organizations somebody sees; without it all",
        metavar="NAME",
    ),
    Option(
        "oidc-group",
        "JOBMETER_OIDC_GROUP",
        "a value of the claim and the organization it stands for, * for all; several may be given",
        group,
        "GROUP=ORGANIZATION",
        many=True,
    ),
    *TLS_OPTIONS,
)
