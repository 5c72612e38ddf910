"""What a provider of OpenID Connect says of somebody, verified as Core 1.0, section 3.1.3.7, has it.

https://openid.net/specs/openid-connect-core-1_0.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from jobmeter.receiver.access.proxies import EVERYTHING

ALGORITHMS = (
    "RS256",
    "PS256",
    "ES256",
    "RS384",
    "PS384",
    "ES384",
    "RS512",
    "PS512",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Those with a public key: a provider's keys are known to everyone."""
_LEEWAY_SECONDS = 60
_NAMES = ("preferred_username", "email", "name", "sub")
_MAX_NAME = 200


class NotAccepted(Exception):
    """What the provider said is not accepted; the message says why, and no secret is in it."""


class UnknownKey(NotAccepted):
    """The key is not among those that are known; the provider may have a new one."""


def verified(
    token: str, keys: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """The claims of an ID token. ``keys`` is the provider's JWK set. Raises NotAccepted."""
    try:
        known = KeySet.import_key_set({"keys": _public(keys)})
        claims = jwt.decode(token, known, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
    except JoseError as error:
        kind = (
            UnknownKey if error.error in ("invalid_key_id", "missing_key", "bad_signature") else NotAccepted
        )
        raise kind(f"the ID token is not accepted: {error}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise NotAccepted(f"the ID token or a key of the provider is none: {type(error).__name__}") from None
    if claims.get("azp", client_id) != client_id:
        raise NotAccepted("the ID token was made for another client")
    return dict(claims)


def _public(keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys that sign; others of a kind that is not known are nobody's business."""
    found = keys.get("keys")
    if not isinstance(found, list):
        raise NotAccepted("the provider's keys are no JWK set")
    return [
        key
        for key in found
        if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"
    ]


def name_of(claims: Mapping[str, Any]) -> str:
    """What to call somebody, for pages and the log."""
    for name in _NAMES:
        value = claims.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()[:_MAX_NAME]
    return "somebody"


def organizations_of(
    claims: Mapping[str, Any], claim: str | None, groups: Mapping[str, str]
) -> Sequence[str]:
    """Which organizations somebody sees; of ``groups`` each stands for one, without any a group is one itself."""
    if claim is None:
        return (EVERYTHING,)
    value = claims.get(claim)
    told = value if isinstance(value, list) else [value]
    named = [one for one in told if isinstance(one, str) and one]
    # Nobody sees everything by the name of a group.
    return (
        [groups[one] for one in named if one in groups]
        if groups
        else [one for one in named if one != EVERYTHING]
    )
