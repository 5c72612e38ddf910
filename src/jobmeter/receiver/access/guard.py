"""The guard before the receiver's routes: who asks, and what that one may do."""

from collections.abc import Awaitable
from urllib.parse import quote

from starlette.types import Scope

from jobmeter.ops.access import OPEN_ON_LOOPBACK, is_bearer, token_of, unauthorized
from jobmeter.ops.problems import Problem, Unavailable
from jobmeter.ops.routing import Route
from jobmeter.receiver.access.audit import Audit
from jobmeter.receiver.access.credential import Credential
from jobmeter.receiver.access.directory import Directory
from jobmeter.receiver.access.grant import ANYONE, Right, put_grant
from jobmeter.receiver.access.job_tokens import JobTokens
from jobmeter.receiver.access.limits import Buckets, neighbourhood, too_many
from jobmeter.receiver.access.proxies import Proxies
from jobmeter.receiver.access.rules import AccessRules
from jobmeter.receiver.access.secrets import JOB_PREFIX, digest_of
from jobmeter.receiver.access.sessions import Sessions

_REFUSALS_PER_SECOND = 10.0
_MAX_NEXT = 1000
_ALL_RUNS = "This route is about all runs; it needs a token that is not limited to some."


class Guard:
    """Lets in who may, says in the request what that one may see, and tells of whom it refuses."""

    def __init__(
        self,
        rules: AccessRules,
        directory: Directory,
        job_tokens: JobTokens | None,
        sessions: Sessions,
        audit: Audit,
    ) -> None:
        self._rules = rules
        self._directory = directory
        self._job_tokens = job_tokens
        self._sessions = sessions
        self._proxies = Proxies(rules)
        self._audit = audit
        self._requests = Buckets(rules.rate_limit)
        self._refusals = Buckets(_REFUSALS_PER_SECOND)

    def admit(self, route: Route, scope: Scope) -> Awaitable[None] | None:
        """Let a request in and put its grant there. Raises problems 401, 403, 429 and 503, or what is waited for does.

        A token that is known is looked for in memory, and nothing is waited for.
        """
        if route.access == "open":
            put_grant(scope, ANYONE)
            return None
        token = token_of(scope)
        if token is not None:
            found = self._find(token)
            if found is not None and (not found.hangs_on_the_database or self._directory.is_fresh):
                self._let_in(route, scope, found)
                return None
        return self._look_up(route, scope, token)

    async def _look_up(self, route: Route, scope: Scope, token: bytes | None) -> None:
        """For whom is not known: of this moment, if there is a token."""
        if token is not None or not self._directory.is_fresh:
            await self._directory.renewed(None if token is None else digest_of(token))
        try:
            found = await self.person(scope) if token is None else self._find(token)
        except Problem as problem:
            raise self.refused(route, scope, problem) from None
        if found is None:
            self._let_in_without(route, scope, token is not None)
            return
        if found.hangs_on_the_database and not self._directory.is_fresh:
            raise Unavailable("The database that knows this token cannot be asked now; try again soon.", 5)
        self._let_in(route, scope, found)

    async def person(self, scope: Scope) -> Credential | None:
        """Who looks at pages, by what a proxy says or by a session. Raises StoreError, and a problem 429."""
        found = self._proxies.person(scope)
        return found or await self._sessions.find(scope, neighbourhood(self.address_of(scope)))

    async def reader(self, token: bytes) -> Credential | None:
        """What a token is good for that was shown to sign in, if one may read with it."""
        await self._directory.renewed(digest_of(token))
        found = self._find(token)
        return found if found is not None and "read" in found.rights else None

    def address_of(self, scope: Scope) -> str:
        """From where a request comes."""
        return self._proxies.address_of(scope)

    def _find(self, token: bytes) -> Credential | None:
        """What a valid token is good for."""
        if token.startswith(JOB_PREFIX) and self._job_tokens is not None:
            found = self._job_tokens.find(token)
        else:
            digest = digest_of(token)
            found = self._directory.told(digest) or self._directory.stored(digest)
        if found is None or not found.is_valid:
            return None
        if found.made_by is None:
            return found
        maker = self._directory.maker(found.made_by)
        return found if maker is not None and maker.is_valid else None

    def _let_in(self, route: Route, scope: Scope, found: Credential) -> None:
        if _right(route) not in found.rights and not self._may_mint(route, scope, found):
            self._let_in_without(route, scope, True, only_stores=found.rights == {"push"})
            return
        scopes = found.grant.scopes
        if scopes is not None:
            if route.access == "debug":
                self._audit.refused(route, self.address_of(scope), 403)
                raise Problem(403, _ALL_RUNS)
            wait = self._requests.take(scopes if found.token_id is None else found.token_id)
            if wait:
                raise too_many(
                    f"With this token come more than {self._rules.rate_limit} requests a second", wait
                )
        if found.token_id is not None:
            self._directory.used(found.token_id)
        put_grant(scope, found.grant)
        scope["credential"] = found

    def _may_mint(self, route: Route, scope: Scope, found: Credential) -> bool:
        """Whether a read token was sent where those mint; what a browser or a proxy adds by itself is none.

        A form of another site, sent by a browser that knows the token as a password of Basic, would make one, too.
        """
        if route.access != "mint" or not self._rules.read_token_mints:
            return False
        return "read" in found.rights and is_bearer(scope)

    def _let_in_without(self, route: Route, scope: Scope, given: bool, *, only_stores: bool = False) -> None:
        """Without a token that is good for it: where none is asked for."""
        if self.needs(_right(route)):
            if not given and _is_browser(route, scope):
                raise Problem(303, "Sign in to see this page.", headers={"Location": _login(scope)})
            problem = unauthorized(route.access, route.challenge, not given, only_stores=only_stores)
            raise self.refused(route, scope, problem)
        if route.access == "debug" and not self._rules.loopback:
            raise self.refused(route, scope, Problem(403, OPEN_ON_LOOPBACK))
        put_grant(scope, ANYONE)

    def needs(self, right: Right) -> bool:
        """Whether a token is asked for."""
        if right == "mint":
            return True
        if right == "push" and self._job_tokens is not None:
            return True
        return (right == "read" and self._rules.knows_people) or self._directory.needs(right)

    def refused(self, route: Route, scope: Scope, problem: Problem) -> Problem:
        """The problem, or another one for who comes again and again; those with a good token do not notice."""
        address = self.address_of(scope)
        wait = self._refusals.take(neighbourhood(address))
        if wait:
            problem = too_many("From this address come too many requests that are refused", wait)
        self._audit.refused(route, address, problem.status)
        return problem


def _right(route: Route) -> Right:
    match route.access:
        case "push" | "mint":
            return route.access
    return "read"


def _is_browser(route: Route, scope: Scope) -> bool:
    """Whether somebody wants to look at a page, and can be sent to another one."""
    if route.challenge != "Basic" or scope["method"] not in ("GET", "HEAD"):
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _login(scope: Scope) -> str:
    """Where to sign in, and come back from."""
    wanted = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    return f"/login?next={quote(wanted, safe='')}" if len(wanted) <= _MAX_NEXT else "/login"
