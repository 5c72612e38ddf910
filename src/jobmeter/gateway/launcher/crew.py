"""All registrations of one forge that the gateway holds itself, with all launches; and what a former process left."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from jobmeter.gateway.forges.own import Registration
from jobmeter.gateway.forges.port import LogReport, StateReport
from jobmeter.gateway.launcher import work_dir
from jobmeter.gateway.launcher.deaths import Deaths
from jobmeter.gateway.launcher.launch import Launch, Shared
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.post import Post
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
        self._clearing: asyncio.Task[None] | None = None

    def enlist(self, options: RunnerOptions, registration: Registration) -> Post:
        """A new post, which takes up its launches and begins. Raises JobmeterError if another one has it already."""
        post = Post(self._shared, options, registration, self._launch)
        if self._posts.of(post.proof, None) is not None:
            raise JobmeterError(f"the runner {options.name!r} has the registration of another one")
        self._posts.add(post)
        for known in self._home.memory.of(post.proof):
            self._take_up(post, known)
        post.start()
        return post

    def restored(self, runners: Iterable[RunnerOptions]) -> None:
        """All who had tasks before are enlisted: what nobody has taken up is ended, in the background."""
        mine = {task_id for post in self._posts.all() for task_id in post.launches}
        for known in list(self._home.memory.tasks.values()):
            if self._posts.of(known.proof, None) is None:
                self._home.log.warn("a job is given up: its registration is gone", task=known.id)
                self._home.memory.drop(known.id)
        site, keepers = self._shared.site, self._shared.keepers
        parents = {runner.work_dir for runner in runners}
        dirs = [found for parent in parents for found in site.work_dirs(parent) if found[0] not in mine]
        named = map(site.task_of, keepers.left(site.prefix))
        cgroups = {task_id for task_id in named if task_id is not None} - mine
        folders = set(site.tasks()) - mine
        self._clearing = asyncio.create_task(self._clear(folders, cgroups, dirs))

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
        record = self._shared.site.read(known.id)
        if record is None and known.task is None:
            post.book.end(known.id, "over")
        else:
            post.take_up(Launch(self._shared, self._deaths, post, known, record))

    async def _clear(self, folders: set[str], cgroups: set[str], dirs: list[tuple[str, Path]]) -> None:
        """End what is left of tasks that nobody knows."""
        await asyncio.gather(*map(self._finish, folders))
        for task_id in cgroups - folders:
            await self._end(task_id)
        for task_id, path in dirs:
            await self._remove(task_id, path)

    async def _finish(self, task_id: str) -> None:
        """A launch whose task is over: its keeper may still send."""
        keepers, folder = self._shared.keepers, str(self._shared.site.folder(task_id))
        kept = keepers.kept(folder)
        if kept is not None and keepers.end(folder) is None:
            keepers.stop(kept)
            await keepers.ended(folder)
        await self._end(task_id)
        record = self._shared.site.read(task_id)
        if record is not None:
            await self._remove(task_id, Path(record.work_dir))
        await keepers.gone(folder)
        try:
            await asyncio.to_thread(self._shared.site.remove, task_id)
        except OSError as error:
            self._home.log.warn("what is left of a job cannot be removed", task=task_id, error=error.strerror)

    async def _end(self, task_id: str) -> None:
        """Whatever is in its cgroup."""
        keepers, site = self._shared.keepers, self._shared.site
        try:
            found = await keepers.clear(site.name(task_id), keepers.kept(str(site.folder(task_id))))
        except JobmeterError as error:
            self._home.log.warn("what is left of a job cannot be ended", task=task_id, error=str(error))
            return
        if found:
            self._home.log.warn(
                "processes of a job that is over were ended",
                task=task_id,
                processes=[f"{one.name} ({one.pid})" for one in found],
            )

    async def _remove(self, task_id: str, path: Path) -> None:
        try:
            await asyncio.to_thread(work_dir.remove, path)
        except OSError as error:
            self._home.log.warn("what is left of a job cannot be removed", task=task_id, error=error.strerror)
