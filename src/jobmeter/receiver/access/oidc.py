"""Signing in with an account elsewhere: OpenID Connect, authorization code with PKCE (RFC 7636, S256).

All that has to be remembered until somebody comes back is made of one secret, which is in the browser's cookie alone:
any receiver of the database can finish what another has begun.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from jobmeter.model.errors import SendError
from jobmeter.ops.log import Sparing
from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Route, endpoint
from jobmeter.receiver.access.audit import Audit
from jobmeter.receiver.access.forms import local_address
from jobmeter.receiver.access.guard import Guard
from jobmeter.receiver.access.id_token import NotAccepted, name_of, organizations_of
from jobmeter.receiver.access.provider import Provider
from jobmeter.receiver.access.proxies import scopes_of
from jobmeter.receiver.access.rules import OidcRules
from jobmeter.receiver.access.sessions import Sessions, cookie_of

BEGIN, BACK = "/login/oidc", "/login/oidc/back"
_WAY_SECONDS = 600
_PAGE = Content(None, "A page.", "text/html")
_NOT_BEGUN = "This sign-in was not begun in this browser, or long ago; begin anew at /login."


class _Way(NamedTuple):
    """What is sent along, made of the secret: each tells nothing of the others."""

    secret: bytes

    @property
    def state(self) -> str:
        """Comes back as it was sent: who comes back is who went."""
        return self._made(b"state")

    @property
    def nonce(self) -> str:
        """Is in the ID token, which was made for this way and no other."""
        return self._made(b"nonce")

    @property
    def verifier(self) -> str:
        """Goes with the code: who stole that cannot use it."""
        return self._made(b"verifier")

    @property
    def challenge(self) -> str:
        """Its digest, which is sent before."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _made(self, what: bytes) -> str:
        return _base64url(hmac.digest(self.secret, what, "sha256"))


class OidcLogin:
    """The routes that lead to the provider and back."""

    def __init__(
        self, rules: OidcRules, guard: Guard, sessions: Sessions, audit: Audit, log: Sparing
    ) -> None:
        self._rules = rules
        self._guard = guard
        self._sessions = sessions
        self._audit = audit
        self._log = log
        self._provider = Provider(rules)
        self._cookie = f"{sessions.cookie}-way"
        self._back = f"{rules.public_url.rstrip('/')}{BACK}"

    def routes(self) -> tuple[Route, ...]:
        """The table of these routes, open to everyone."""
        return (
            Route(
                "GET", BEGIN, endpoint(self.begin), "open", "Sign in with an account elsewhere",
                answers={303: _PAGE}, problems=(503,), challenge="Basic",
            ),
            Route(
                "GET", BACK, endpoint(self.back), "open", "Where the provider sends people back to",
                answers={303: _PAGE}, problems=(403, 503), challenge="Basic",
            ),
        )  # fmt: skip

    async def begin(self, request: Request) -> Response:
        """Off to the provider."""
        secret = secrets.token_urlsafe(32)
        way, go_on = _Way(secret.encode()), local_address(request.query_params.get("next", "/"))
        try:
            place = (await self._provider.places()).authorization_endpoint
        except (SendError, NotAccepted) as error:
            raise self._unusable(error) from None
        asked = {
            "response_type": "code", "client_id": self._rules.client_id, "redirect_uri": self._back,
            "scope": self._rules.scope, "state": way.state, "nonce": way.nonce,
            "code_challenge": way.challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        address = f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"
        response = Response(status_code=303, headers={"Location": address, "Cache-Control": "no-store"})
        self._set_cookie(response, f"{secret}.{quote(go_on, safe='')}", _WAY_SECONDS)
        return response

    async def back(self, request: Request) -> Response:
        """From the provider, with a code that it is asked about; then on with a session."""
        secret, _, go_on = (cookie_of(request.scope, self._cookie) or b"").partition(b".")
        way, told = _Way(secret), request.query_params
        if not secret or not hmac.compare_digest(way.state.encode(), told.get("state", "").encode()):
            raise self._refused(request, _NOT_BEGUN)
        if told.get("iss", self._rules.issuer) != self._rules.issuer:
            raise self._refused(request, "Another provider has answered than was asked.")
        if "code" not in told:
            raise self._refused(request, "The provider has not signed you in; begin anew at /login.")
        try:
            claims = await self._provider.claims(
                told["code"], verifier=way.verifier, nonce=way.nonce, back=self._back
            )
        except SendError as error:
            raise self._unusable(error) from None
        except NotAccepted as error:
            self._log.warn("somebody could not sign in", reason=str(error))
            raise self._refused(
                request, "What the provider says of you is not accepted; the log says why."
            ) from None
        who = name_of(claims)
        scopes = scopes_of(
            list(organizations_of(claims, self._rules.organizations_claim, self._rules.groups))
        )
        if scopes == ():
            raise self._refused(request, "You are in no organization whose runs are shown here.")
        cookie = await self._sessions.begin(who, scopes=scopes)
        self._audit.done(
            "signed in", who=who, at=self._guard.address_of(request.scope), by=self._rules.issuer
        )
        response = self._sessions.entered(cookie, local_address(unquote(go_on.decode("ascii", "replace"))))
        self._set_cookie(response, "", 0)
        return response

    def _refused(self, request: Request, said: str) -> Problem:
        return self._guard.refused(self.routes()[1], request.scope, Problem(403, said))

    def _unusable(self, error: Exception) -> Problem:
        self._log.warn("nobody can sign in", reason=str(error))
        return Problem(503, "The provider that knows you cannot be used now; the log says why.",
                       headers={"Retry-After": "30"})  # fmt: skip

    def _set_cookie(self, response: Response, value: str, seconds: int) -> None:
        """Not a strict one: the way back begins at the provider."""
        self._sessions.set_cookie(response, self._cookie, value, seconds)


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
