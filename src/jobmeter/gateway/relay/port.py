"""What reports need of those who send them: runners that came by themselves, or that were launched."""

from typing import Protocol

from jobmeter.gateway.figures.events import Event
from jobmeter.gateway.forges.port import LogReport, StateReport
from jobmeter.gateway.polling.slots import Why
from jobmeter.gateway.relay.client import Client
from jobmeter.gateway.relay.tasks import Known


class Worker(Protocol):
    """One registered runner, as far as its reports concern it."""

    @property
    def proof(self) -> str:
        """A digest of its credentials."""
        ...

    @property
    def executor(self) -> str | None:
        """GitLab's word for how it runs jobs."""
        ...

    @property
    def accepted(self) -> bool:
        """Whether the forge has taken its credentials."""
        ...

    def accept(self) -> None:
        """The forge takes them."""
        ...

    def declare(self) -> None:
        """It has said again what it is."""
        ...

    def tell(self, event: Event) -> None:
        """Something happened to it."""
        ...

    def sign(self, task_id: str) -> Known | None:
        """It has been heard of a task: what is known of that; None if it is over already."""
        ...

    def reported(self, task_id: str, client: Client, body: bytes) -> None:
        """The forge has taken a report with this head and body."""
        ...

    def end(self, task_id: str, why: Why) -> None:
        """A task is over."""
        ...

    def asked_to_end(self, task_id: str) -> None:
        """The forge has asked it to end a task, and waits to hear how that went."""
        ...

    def seconds(self, task_id: str) -> float | None:
        """How long ago it got a task, if that was seen."""
        ...


class Workers(Protocol):
    """All of one forge."""

    def of(self, proof: str, identity: str | None) -> Worker | None:
        """That with these credentials, if it can be told apart."""
        ...

    def of_task(
        self, client: Client, report: LogReport | StateReport, body: bytes, *, make: bool = False
    ) -> Worker | None:
        """That which reports on its task; ``make``: the forge has said that it is that one's."""
        ...

    def is_of(self, known: Known, client: Client, body: bytes) -> bool:
        """Whether a report comes from who has the task."""
        ...
