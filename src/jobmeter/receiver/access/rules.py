"""What an operator has said about who may do what."""

from ipaddress import IPv4Network, IPv6Network

from msgspec import Struct

DEFAULT_JOB_TOKEN_SECONDS = 86_400.0
DEFAULT_RATE_LIMIT = 2_000


class OidcRules(Struct, frozen=True, kw_only=True):
    """A provider of OpenID Connect, and what its people see.

    Of the ``organizations_claim`` each value is an organization, or stands for the one that ``groups`` says; without
    it everybody sees everything. ``public_url`` is where browsers reach the receiver.
    """

    issuer: str
    client_id: str
    public_url: str
    client_secret: str | None = None
    scope: str = "openid profile email"
    organizations_claim: str | None = None
    groups: dict[str, str] = {}


class AccessRules(Struct, frozen=True, kw_only=True):
    """The settings of access; what is not said of a token is not asked for.

    ``job_key`` signs the tokens of jobs, ``job_token_seconds`` is how long they last at most. ``read_token_mints`` lets
    read tokens make them too. ``rate_limit`` are requests a second of a token that is limited to some runs, 0 for no
    limit. From ``trusted_proxies`` the ``user_header`` says who looks at pages, and the ``organizations_header`` which
    organizations that one sees. ``public_url`` is where browsers reach the receiver; with ``oidc`` they sign in
    elsewhere. ``loopback`` says that only this machine reaches it, ``tls`` that it speaks HTTPS.
    """

    read_token: str | None = None
    push_token: str | None = None
    job_key: str | None = None
    job_token_seconds: float = DEFAULT_JOB_TOKEN_SECONDS
    read_token_mints: bool = False
    rate_limit: int = DEFAULT_RATE_LIMIT
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    user_header: str | None = None
    organizations_header: str | None = None
    public_url: str | None = None
    oidc: OidcRules | None = None
    loopback: bool = False
    tls: bool = False

    @property
    def knows_people(self) -> bool:
        """Whether there is a way to sign in without a token, so that who has not done so sees nothing."""
        return self.user_header is not None or self.oidc is not None

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the receiver over HTTPS, its own or a proxy's."""
        return self.tls or (self.public_url or "").startswith("https://")
