"""`/login` and `/logout`: a read token becomes a session."""

import secrets
from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from jobmeter.ops.problems import Problem
from jobmeter.ops.routing import Content, Parameter, Route, endpoint, query_of
from jobmeter.receiver.access.audit import Audit
from jobmeter.receiver.access.forms import fields_of, form_key, local_address
from jobmeter.receiver.access.grant import Grant
from jobmeter.receiver.access.guard import Guard
from jobmeter.receiver.access.secrets import digest_of
from jobmeter.receiver.access.sessions import Sessions, cookie_of
from jobmeter.receiver.pages.layout import page
from jobmeter.receiver.pages.login import open_body, sign_in_body, signed_in_body

_FORM_SECONDS = 3600
_NEXT = Parameter("next", "query", str, "The page to go on to.")
_PAGE = Content(None, "A page.", "text/html")
_FORM = Content(None, "The form of the page.", "application/x-www-form-urlencoded")
# Without it a browser does not say where a form stood.
_HEADERS = {"Referrer-Policy": "same-origin"}
_NO_TOKEN = "This is no read token that is valid here; look whether it was copied whole."


class Login:
    """The routes of signing in and out. ``provider`` is the path where one signs in elsewhere, if there is one."""

    def __init__(
        self, guard: Guard, sessions: Sessions, audit: Audit, *, provider: str | None = None
    ) -> None:
        self._guard = guard
        self._sessions = sessions
        self._audit = audit
        self._provider = provider

    def routes(self) -> tuple[Route, ...]:
        """The table of these routes, open to everyone."""
        return (
            Route(
                "GET", "/login", endpoint(self.show), "open", "The page where people sign in and out",
                parameters=(_NEXT,), answers={200: _PAGE}, problems=(429,), challenge="Basic",
            ),
            Route(
                "POST", "/login", endpoint(self.sign_in), "open", "Begin a session with a read token",
                request=_FORM, answers={303: _PAGE, 401: _PAGE}, problems=(400, 403, 413, 429), challenge="Basic",
            ),
            Route(
                "POST", "/logout", endpoint(self.sign_out), "open", "End a session",
                request=_FORM, answers={303: _PAGE}, problems=(400, 403, 413, 429), challenge="Basic",
            ),
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """The form, or who is signed in."""
        go_on = local_address(query_of(request.query_params, (_NEXT,)).get("next", "/"))
        secret = cookie_of(request.scope, self._sessions.cookie)
        signed_in = None if secret is None else await self._guard.person(request.scope)
        if signed_in is not None and secret is not None:
            body = signed_in_body(signed_in.grant, key=form_key(secret))
            return page("Signed in", body, headers=_HEADERS)
        if not self._guard.needs("read"):
            return page("Sign in", open_body(), headers=_HEADERS)
        return self._form(go_on)

    async def sign_in(self, request: Request) -> Response:
        """A session for who shows a token; else the form again."""
        fields = await fields_of(request, cookie_of(request.scope, self._form_cookie))
        go_on = local_address(fields.get("next", "/"))
        token = fields.get("token", "").strip().encode()
        found = await self._guard.reader(token)
        if found is None:
            problem = self._guard.refused(self.routes()[1], request.scope, Problem(401, _NO_TOKEN))
            return self._form(go_on, problem)
        who = found.grant.who
        secret = await self._sessions.begin(who, token_digest=digest_of(token), until=found.expires_at)
        self._audit.done("signed in", who=who, at=self._guard.address_of(request.scope))
        return self._sessions.entered(secret, go_on)

    async def sign_out(self, request: Request) -> Response:
        """Without the session; the cookie goes too."""
        secret = cookie_of(request.scope, self._sessions.cookie)
        await fields_of(request, secret)
        assert secret is not None
        found = await self._guard.person(request.scope)
        await self._sessions.end(secret)
        who = (found.grant if found else Grant(who="a session that was over")).who
        self._audit.done("signed out", who=who, at=self._guard.address_of(request.scope))
        response = Response(status_code=303, headers={"Location": "/login", "Cache-Control": "no-store"})
        self._sessions.set_cookie(response, self._sessions.cookie, "", 0)
        return response

    def _form(self, go_on: str, problem: Problem | None = None) -> Response:
        """With a cookie of its own, as there is no session yet."""
        cookie = secrets.token_urlsafe(32)
        provider = None if self._provider is None else f"{self._provider}?next={quote(go_on, safe='')}"
        told = None if problem is None else problem.detail
        body = sign_in_body(key=form_key(cookie.encode()), go_on=go_on, problem=told, provider=provider)
        headers: Mapping[str, str] = _HEADERS if problem is None else _HEADERS | problem.headers
        response = page("Sign in", body, status=200 if problem is None else problem.status, headers=headers)
        self._sessions.set_cookie(response, self._form_cookie, cookie, _FORM_SECONDS, strict=True)
        return response

    @property
    def _form_cookie(self) -> str:
        return f"{self._sessions.cookie}-form"
