"""What all runners of one forge share in a relay, and a request of theirs that waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from jobmeter.gateway.evidence import Ended, Evidences, Referee
from jobmeter.gateway.figures.events import Event
from jobmeter.gateway.figures.runners import short_name
from jobmeter.gateway.forges.bodies import plain_body
from jobmeter.gateway.forges.port import (
    Answer,
    Dialect,
    Fetch,
    Identity,
    LogReport,
    Reply,
    Request,
    StateReport,
    Task,
)
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.headers import by_name
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.passing import MOST_ANSWER_BYTES, Passing, Whole
from jobmeter.gateway.relay.refusals import Refusals
from jobmeter.gateway.relay.tasks import Known, Memory, whose
from jobmeter.identity.variables import strip_url
from jobmeter.model.job import Job
from jobmeter.ops.log import FullLog, Sparing

Tell = Callable[[Identity, Event], None]


async def kept_nowhere() -> None:
    """Without a place for it nothing is kept."""


class Home:
    """Options and dialect, what passes, what is remembered, who is told.

    ``kept`` waits until what is remembered is on disk. ``wall`` gives seconds since the epoch, ``clock`` of any.
    """

    def __init__(
        self,
        options: ForgeOptions,
        dialect: Dialect,
        passing: Passing,
        memory: Memory,
        log: FullLog,
        tell: Tell,
        *,
        kept: Callable[[], Awaitable[None]] = kept_nowhere,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        referee: Referee | None = None,
    ) -> None:
        self.options = options
        self.dialect = dialect
        self.passing = passing
        self.memory = memory
        self.log = log
        self.sparing = Sparing(log)
        """For what many runners have to say at once when the forge is away."""
        self.refusals = Refusals(log, clock)
        self.tell = tell
        self.kept = kept
        self.clock = clock
        self.wall = wall
        self.evidences = Evidences(referee, log)

    def read_answer(self, request: Request, whole: Whole) -> Answer:
        """What the forge said. Raises Unreadable."""
        headers = by_name(whole.pairs)
        body = plain_body(headers, whole.body, MOST_ANSWER_BYTES)
        return self.dialect.read_answer(request, whole.status, headers, body)

    def called(self, request: Request) -> str | None:
        """What the runner that sends this is called, for a log; None if it is not known."""
        key = request.identity
        if key is None and isinstance(request, LogReport | StateReport):
            known = self.memory.find(request.task_id)
            key = known.identity if known is not None else None
        return None if key is None else self.name_of(key)

    def name_of(self, key: str) -> str:
        """What the runner with this key is called, for a log; as its series have it."""
        known = self.memory.names.get(key)
        return (known.name if known is not None else None) or short_name(key)

    def about(self, key: str, task_id: str, known: Known | None) -> dict[str, object]:
        """What a line in the log on a task of this runner says of it."""
        return {"runner": self.name_of(key), "task": task_id, **whose(known)}

    def job_of(self, task: Task, identity: Identity) -> Job:
        """Whose work it is, in the words of all rooms."""
        facts = task.facts
        return Job(
            forge=self.options.kind,
            server_url=self._server_url(facts.server_url),
            organization=facts.organization,
            repository=facts.repository,
            workflow=facts.workflow,
            job=facts.job,
            run_id=facts.run_id,
            attempt=facts.attempt,
            matrix=None if facts.matrix is None else dict(facts.matrix),
            ref=facts.ref,
            sha=facts.sha,
            event=facts.event,
            runner=identity.name,
            runner_labels=identity.labels,
        )

    def ended_of(self, known: Known, token: str | None = None) -> Ended:
        """What its evidence needs of a task that is over now; ``token`` is the one that it was reported with."""
        key = known.identity
        return Ended(
            forge=self.options.name,
            task_id=known.id,
            job=known.job or Job(),
            runner=None if key is None else self.name_of(key),
            run_uid=known.run_uid,
            began=None if known.adopted else known.at,
            ended=self.wall(),
            token=token,
        )

    def handed(self, task: Task) -> None:
        """The forge has handed it out."""
        self.evidences.remember(task.id, lambda: self.dialect.runtime_token(task))

    def _server_url(self, told: str | None) -> str | None:
        """The forge's address as the job sees it: GitLab tells its jobs its own, others that of their runner."""
        given = self.options.public_url
        first, second = (told, given) if self.options.kind == "gitlab" else (given, told)
        return strip_url(first or second or self.options.url)


class Asker:
    """A runner's request for work that waits for its answer; ``tasks`` are the ids of those in it.

    ``body`` is without content coding, ``raw`` as it came.
    """

    def __init__(self, client: Client, fetch: Fetch, body: bytes, raw: bytes) -> None:
        self.client = client
        self.fetch = fetch
        self.body = body
        self.raw = raw
        self.tasks: tuple[str, ...] = ()
        self.answer: asyncio.Future[Whole | Reply] = asyncio.get_running_loop().create_future()

    @property
    def waits(self) -> bool:
        """Whether it still does."""
        return not self.answer.done()

    def settle(self, answer: Whole | Reply, tasks: tuple[str, ...] = ()) -> None:
        """Give it its answer, if it waits."""
        if not self.answer.done():
            self.tasks = tasks
            self.answer.set_result(answer)
