"""The tasks of one runner: which hold a slot, what is known of each, what is told of them."""

from collections.abc import Callable

from jobmeter.gateway.figures.events import Event, TaskBegan, TaskEnded
from jobmeter.gateway.polling.book import SlotBook
from jobmeter.gateway.polling.slots import Ended, Holder, Slots, Why
from jobmeter.gateway.relay.ends import Ends
from jobmeter.gateway.relay.handing import Handing
from jobmeter.gateway.relay.home import Home
from jobmeter.gateway.relay.tasks import Known

_DOUBTFUL: frozenset[Why] = frozenset({"asked", "lost"})
"""Ends that nobody has told."""


class Workload:
    """What the runner with this ``proof`` and ``key`` has. ``tell`` hears of each begin and end, once each."""

    def __init__(self, home: Home, proof: str, key: str, tell: Callable[[Event], None]) -> None:
        self._home = home
        self._proof = proof
        self._key = key
        self._tell = tell
        self.ends = Ends(home)
        self.handing = Handing(home, proof, self.ends, lambda task_id: self.end(task_id, "over"))
        held = [self._holder(known) for known in home.memory.of(proof)]
        options = home.options
        slots = Slots(options.capacity, options.lost_after, held, done_after_seconds=options.done_seconds)
        self.book = SlotBook(slots, self._ended, home.clock)

    @property
    def idle(self) -> bool:
        """Whether there is nothing."""
        return not (self.book.slots.held or self._home.memory.of(self._proof))

    def began(self, task_id: str) -> None:
        """The runner gets a task."""
        known = self._home.memory.tasks.get(task_id)
        if known is not None:
            self._tell(TaskBegan(task_id, known.at, known.job, known.closing))

    def handed_out(self, task_id: str) -> None:
        """The forge has handed a task out, and the runner gets it."""
        known = self._home.memory.tasks.get(task_id)
        self._home.log.info("a job is handed out", **self._home.about(self._key, task_id, known))
        self.began(task_id)

    def sign(self, task_id: str) -> Known | None:
        """The runner has been heard of a task: what is known of it; None if it is over already."""
        if (holder := self.book.sign(task_id)) is not None:
            self._take_up(holder)
        known = self._home.memory.tasks.get(task_id)
        if known is not None and not known.signed:
            known.signed, known.task, known.parked, known.key = True, None, None, None
            self.handing.arrived(task_id)
            self._home.memory.touch()
        return known

    def seconds(self, task_id: str) -> float | None:
        """How long ago the runner got a task, if that was seen."""
        holder = self.book.slots.held.get(task_id)
        return None if holder is None or holder.adopted else self._home.clock() - holder.since

    async def cancel(self, known: Known) -> None:
        """Have the forge cancel a task: its runner hears so with the next report."""
        if await self.ends.tell(known, "cancelled"):
            known.result = "cancelled"
            self.end(known.id, "over")

    def end(self, task_id: str, why: Why) -> None:
        """Free its slot, if it has one."""
        self.book.end(task_id, why)

    def _take_up(self, holder: Holder) -> None:
        """A task has taken its slot by a report: it was thought to be over, or nobody here has seen it."""
        task_id = holder.task_id
        known = self._home.memory.tasks.get(task_id)
        if known is not None and known.proof == self._proof:
            # This process ends and has given its slot back; the runner works on, and is answered to the last.
            before = self._holder(known)
            holder.since, holder.adopted = before.since, before.adopted
            return
        known = self._home.memory.take_back(task_id, self._proof)
        if known is not None:
            self._warn("a job that was taken to be over is reported again", task_id)
            self.began(task_id)
            return
        at = self._home.wall()
        self._home.memory.add(Known(id=task_id, proof=self._proof, identity=self._key, at=at, adopted=True))
        self._warn("a job is reported that nobody saw handed out", task_id)
        self._tell(TaskBegan(task_id, None))

    def _ended(self, ended: Ended) -> None:
        if ended.why == "returned":
            return  # This process ends; the runner works on, and what is known of the task stays remembered.
        memory, task_id = self._home.memory, ended.holder.task_id
        if ended.why in _DOUBTFUL:
            known = memory.doubt(task_id)
        else:
            known = memory.drop(task_id)
            self._home.evidences.forget(task_id)
        self.handing.arrived(task_id)
        self.ends.forget(task_id)
        if ended.why == "lost":
            self._warn("a job is given up: its runner shows no sign of it", task_id)
        elif ended.why == "asked":
            self._warn("a job is taken to be over: its runner asks for another one", task_id)
        result = (known.result if known else None) or "unknown"
        seconds = None if ended.holder.adopted else ended.seconds
        took = {} if seconds is None else {"seconds": round(seconds, 1)}
        about = self._home.about(self._key, task_id, known)
        self._home.log.info("a job has ended", **about, result=result, **took)
        self._tell(TaskEnded(task_id, result, seconds, known.failure_reason if known else None))

    def _warn(self, message: str, task_id: str) -> None:
        self._home.log.warn(message, runner=self._home.name_of(self._key), task=task_id)

    def _holder(self, known: Known) -> Holder:
        """The slot of a task that was known before a restart; signs of it are not older than this moment."""
        now = self._home.clock()
        since = now - max(0.0, self._home.wall() - known.at)
        return Holder(known.id, since, last_sign=now if known.signed else None, adopted=known.adopted)
