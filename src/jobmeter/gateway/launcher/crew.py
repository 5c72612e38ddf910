"""All registrations of one forge that the gateway holds itself, with all launches; and what a former process left."""

import asyncio
from collections.abc import Iterable

from jobmeter.gateway.faults import reason_of
from jobmeter.gateway.forges.own import Registration
from jobmeter.gateway.forges.port import LogReport, StateReport
from jobmeter.gateway.launcher.deaths import Deaths
from jobmeter.gateway.launcher.launch import Launch
from jobmeter.gateway.launcher.leftovers import Leftovers
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.port import Shared
from jobmeter.gateway.launcher.post import Post
from jobmeter.gateway.launcher.site import Record
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.tasks import Known
from jobmeter.model.errors import JobmeterError


class Posts:
    """The Workers of one forge."""

    def __init__(self) -> None:
        self._posts: dict[str, Post] = {}

    def all(self) -> list[Post]:
        """In the order in which they were added."""
        return list(self._posts.values())

    def add(self, post: Post) -> None:
        """One more."""
        self._posts[post.proof] = post

    def of(self, proof: str, identity: str | None) -> Post | None:
        """That with these credentials."""
        return self._posts.get(proof)

    def of_task(
        self, client: Client, report: LogReport | StateReport, body: bytes, *, make: bool = False
    ) -> Post | None:
        """That whose launched runner has the task; who reports was looked at before."""
        launch = self.launch_of(report.task_id)
        return None if launch is None else self._posts.get(launch.known.proof)

    def is_of(self, known: Known, client: Client, body: bytes) -> bool:
        """Whether the task's runner is one of ours; who reports was looked at before."""
        return self.launch_of(known.id) is not None

    def launch_of(self, task_id: str) -> Launch | None:
        """That of a task."""
        found = (post.launches.get(task_id) for post in self._posts.values())
        return next((launch for launch in found if launch is not None), None)


class Crew:
    """Makes ``posts``, and takes up or ends what a former process has left."""

    def __init__(self, shared: Shared, posts: Posts, deaths: Deaths) -> None:
        self._shared, self._home = shared, shared.home
        self._posts = posts
        self._deaths = deaths
        self._leftovers = Leftovers(shared, deaths)
        self._clearing: asyncio.Task[None] | None = None

    def enlist(self, options: RunnerOptions, registration: Registration) -> Post:
        """A new post, which takes up its launches and begins.

        Raises JobmeterError if another one has it already, or if what was kept of a launch cannot be read now.
        """
        post = Post(self._shared, options, registration, self._launch)
        if self._posts.of(post.proof, None) is not None:
            raise JobmeterError(f"the runner {options.name!r} has the registration of another one")
        self._posts.add(post)
        for known in self._home.memory.of(post.proof):
            self._take_up(post, known)
        post.start()
        return post

    def restored(self, runners: Iterable[RunnerOptions]) -> None:
        """All who had tasks before are enlisted: what nobody has taken up is ended, in the background.

        Raises JobmeterError where what was kept of it cannot be read now.
        """
        orphans = [one for one in self._home.memory.tasks.values() if self._posts.of(one.proof, None) is None]
        given_up = [known for known in orphans if not self._inherited(known)]
        mine = {task_id for post in self._posts.all() for task_id in post.launches}
        found = self._leftovers.find({runner.work_dir for runner in runners}, mine)
        self._clearing = asyncio.create_task(self._leftovers.clear(found, given_up))

    async def close(self) -> None:
        """Leave; keepers go on."""
        if self._clearing is not None:
            self._clearing.cancel()
            await asyncio.wait({self._clearing})
        await asyncio.gather(*(post.close() for post in self._posts.all()))

    async def cancel(self) -> None:
        """Have the forge cancel what runs, and end it."""
        launches = [launch for post in self._posts.all() for launch in post.launches.values()]
        await asyncio.gather(*(launch.cancel() for launch in launches))

    def _launch(self, post: Post, known: Known) -> Launch:
        return Launch(self._shared, self._deaths, post, known)

    def _take_up(self, post: Post, known: Known) -> None:
        record = self._record(known)
        post.take_up(Launch(self._shared, self._deaths, post, known, record, former=True))

    def _record(self, known: Known) -> Record | None:
        """Raises JobmeterError where it cannot be read now: who went on without it would end a runner at work."""
        try:
            return self._shared.site.read(known.id)
        except OSError as error:
            raise JobmeterError(
                f"what is kept of the launch of job {known.id} cannot be read: {reason_of(error)}"
            ) from None

    def _inherited(self, known: Known) -> bool:
        """Whether the task's runner is here still, with another registration by which it can be reported."""
        heir = next((post for post in self._posts.all() if self._inherits(post, known)), None)
        if heir is None:
            return False
        heir.inherit(known)
        self._take_up(heir, known)
        return True

    def _inherits(self, post: Post, known: Known) -> bool:
        if self._home.options.kind == "gitlab":
            # Jobs are reported by tokens of their own.
            record = self._record(known)
            return record is not None and record.runner == post.options.name
        return known.identity == post.key
