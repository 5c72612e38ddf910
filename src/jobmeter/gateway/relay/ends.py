"""Ends of tasks that the gateway tells the forge, where their runner does not."""

from jobmeter.gateway.forges.port import CREDENTIAL_HEADERS, Result
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known
from jobmeter.gateway.relay.upstream import Limits, Unreachable

_LIMITS = Limits(total=10.0)


class Ends:
    """One runner's. What it has shown the forge is shown again for it: that is in memory alone, never on disk."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._credentials: list[tuple[str, str]] = []
        self._tokens: dict[str, str] = {}

    def asked(self, client: Client) -> None:
        """The runner has shown its credentials."""
        self._credentials = [
            (name, client.headers[name]) for name in CREDENTIAL_HEADERS if name in client.headers
        ]

    def reported(self, task_id: str, client: Client, body: bytes) -> None:
        """The forge has taken a report on a task: by its runner's credentials, at GitLab by the job's token."""
        token = self._home.dialect.report_token(client.headers, body)
        if token is not None:
            self._tokens[task_id] = token
        elif self._home.options.kind != "gitlab" and not self._credentials:
            self.asked(client)

    def forget(self, task_id: str) -> None:
        """It is over."""
        self._tokens.pop(task_id, None)

    async def tell(self, known: Known, result: Result) -> bool:
        """Tell the forge how a task has ended; whether it has taken that. Tried once."""
        dialect = self._home.dialect
        token = self._tokens.get(known.id) or (dialect.task_token(known.task) if known.task else None)
        call = dialect.report_end(known.id, token, result, self._home.wall())
        # GitLab's jobs have tokens of their own, and it would take a runner's beside one for a mistake.
        shown = self._credentials if token is None else []
        if call is None or (token is None and not shown):
            self._home.log.warn(
                "the end of a job could not be reported: its runner has shown nothing since the gateway began",
                task=known.id,
                result=result,
            )
            return False
        try:
            whole = await self._home.passing.call(
                call.method, call.path, [*call.headers, *shown], call.body, limits=_LIMITS
            )
        except Unreachable as error:
            self._home.log.warn(
                "the end of a job could not be reported", task=known.id, result=result, error=str(error)
            )
            return False
        self._home.log.warn(
            "the end of a job was reported for its runner",
            task=known.id,
            result=result,
            status=whole.status,
        )
        return whole.status < 300
