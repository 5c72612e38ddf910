"""What launched runners ask: each gets its one task and may report that; nobody else gets anything."""

from contextlib import suppress
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from jobmeter.gateway.forges.facts import digest
from jobmeter.gateway.forges.own import Credential
from jobmeter.gateway.forges.port import (
    Declare,
    Fetch,
    LogReport,
    Other,
    Reply,
    Request,
    StateReport,
    Unreadable,
)
from jobmeter.gateway.launcher.crew import Posts
from jobmeter.gateway.launcher.launch import Launch
from jobmeter.gateway.launcher.passes import Passes
from jobmeter.gateway.launcher.port import Shared
from jobmeter.gateway.launcher.post import Post
from jobmeter.gateway.relay.client import Client, Gone
from jobmeter.gateway.relay.exchanges import Exchanges, is_last
from jobmeter.gateway.relay.headers import by_name
from jobmeter.gateway.relay.leaving import unless_gone
from jobmeter.model.errors import JobmeterError


class Door:
    """The application of one forge. What is no call of runners, as a checkout, passes to the forge as it is."""

    def __init__(self, shared: Shared, posts: Posts, exchanges: Exchanges) -> None:
        self._own = shared.own
        self._passes: Passes[Launch] = shared.passes
        self._home, self._passing = shared.home, shared.home.passing
        self._given_path = urlsplit(shared.options.address).path.rstrip("/")
        self._posts = posts
        self._exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        client = await self._passing.admit(scope, receive, send)
        if client is None:
            return
        if not self._own.is_service(client.method, client.target):
            await self._passing.stream(client)
            return
        with suppress(Gone), self._passing.holding() as held, self._passing.holding() as unpacked:
            raw, whole = await self._passing.read_body(client, held)
            try:
                if not whole:
                    raise Unreadable("It is larger than what is read.")
                body = self._passing.plain_body(client, raw, unpacked)
                request = self._home.dialect.read_request(client.method, client.target, client.headers, body)
            except Unreadable as error:
                self._home.sparing.warn(
                    "a request of a launched runner is not understood and refused",
                    client=client.address,
                    call=client.call,
                    error=str(error),
                )
                await client.reply(self._own.reject(Other()))
                return
            await self._serve(client, request, body, raw)

    async def _serve(self, client: Client, request: Request, body: bytes, raw: bytes) -> None:
        shown = self._own.shown(client.headers, body)
        launch = self._passes.of(shown) if shown is not None else None
        if isinstance(request, LogReport | StateReport):
            await self._serve_report(client, request, body, raw, launch)
        elif launch is None or shown is None:
            await self._refuse(client, request)
        elif isinstance(request, Fetch):
            await client.reply(await self._handed(launch, request))
        else:
            await client.reply(self._welcome(launch, request, shown))

    async def _serve_report(
        self,
        client: Client,
        report: LogReport | StateReport,
        body: bytes,
        raw: bytes,
        shown: Launch | None,
    ) -> None:
        """Pass a report of the very task that a launched runner has, by its credentials or by the job's own token.

        ``shown`` is whose credentials of ours are with it.
        """
        launch = self._reporting(client, report, body, shown)
        if launch is None:
            await self._refuse(client, report)
            return
        if launch is shown:
            if not self._own.is_in_place(self._path(client)):
                await self._refuse(client, report)
                return
            client.pairs = self._own.replaced(client.pairs, launch.employer.registration)
            client.headers = by_name(client.pairs)
        await self._report(client, launch, body, raw)

    def _path(self, client: Client) -> str:
        """As the forge has it, also where the address that runners were given has a path."""
        path: str = client.target.partition("?")[0]
        return path.removeprefix(self._given_path)

    def _reporting(
        self, client: Client, report: LogReport | StateReport, body: bytes, shown: Launch | None
    ) -> Launch | None:
        token = self._home.dialect.report_token(client.headers, body)
        if token is None:
            return shown if shown is not None and shown.known.id == report.task_id else None
        launch = self._posts.launch_of(report.task_id)
        # What is only being removed has no credentials any more.
        good = launch is not None and not launch.over and launch.known.token == digest(token)
        return launch if good else None

    async def _refuse(self, client: Client, request: Request) -> None:
        self._home.sparing.warn(
            "a request with no credentials that are good is refused",
            client=client.address,
            call=client.call,
        )
        await client.reply(self._own.reject(request))

    async def _report(self, client: Client, launch: Launch, body: bytes, raw: bytes) -> None:
        """Pass it as one of the registered runner's."""
        request = self._home.dialect.read_request(client.method, client.target, client.headers, body)
        if launch.overdue and is_last(request):
            # It is being ended, and some runners say then that all went well.
            await client.reply(self._home.dialect.refuse(request, "The job has taken too long."))
            return
        if isinstance(request, LogReport) and request.last:
            request, body, raw = await self._with_want(client, launch, request, body, raw)
        if isinstance(request, StateReport) and request.result is not None:
            # The runner ends with the answer, and its cgroup with it.
            await launch.announce_end()
        launch.busy += 1
        try:
            await unless_gone(client, self._exchanges.pass_on(client, request, body, raw))
        finally:
            launch.busy -= 1

    async def _with_want(
        self, client: Client, launch: Launch, report: LogReport, body: bytes, raw: bytes
    ) -> tuple[Request, bytes, bytes]:
        """The end of a log, and what its runner cannot know: that the kernel has killed processes of the job."""
        want = await launch.want()
        if want is None:
            return report, body, raw
        longer = self._own.with_line(report, body, f"jobmeter: {want}", self._home.wall())
        if longer is None:
            return report, body, raw
        body, client.once_taken = longer
        client.pairs = [pair for pair in client.pairs if pair[0] != b"content-encoding"]
        client.headers = by_name(client.pairs)
        return (
            self._home.dialect.read_request(client.method, client.target, client.headers, body),
            body,
            body,
        )

    async def _handed(self, launch: Launch, fetch: Fetch) -> Reply:
        dialect = self._home.dialect
        try:
            task = await launch.take()
        except (OSError, JobmeterError) as error:
            return dialect.refuse(fetch, f"The gateway cannot keep that the task is handed out: {error}")
        return dialect.nothing(fetch) if task is None else dialect.hand_out(fetch, [task])

    def _welcome(self, launch: Launch, request: Request, shown: Credential) -> Reply:
        registration = launch.employer.registration
        reply = self._own.welcome(request, registration, shown)
        post = self._posts.of(launch.known.proof, None)
        if isinstance(request, Declare) and isinstance(post, Post):
            post.declared(request)
        return reply if reply is not None else self._own.reject(request)
