"""A machine that serves its containers, and a host that subscribes, over loopback."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jobmeter.exporter.container import Row
from jobmeter.exporter.elsewhere import Elsewhere
from jobmeter.exporter.totals import Totals
from jobmeter.exporter.vm.credentials import Keys
from jobmeter.exporter.vm.server import StatsServer
from jobmeter.exporter.vm.subscription import Subscription, Subscriptions
from jobmeter.exporter.vm.target import Target
from tests.exporter.rows import BUILD
from tests.exporter.test_sampler import Notes as Warnings
from tests.exporter.test_sampler import until

__all__ = ["BUILD", "Guest", "Host", "Notes", "until"]
ANYONE = Keys()


class Notes(Warnings):
    """A log that remembers."""

    def info(self, message: str, **fields: object) -> None:
        self.said.append(f"{message} {fields}")


class Guest:
    """Serves ``rows``, which a test changes."""

    def __init__(self, *rows: Row, token: str | None = None, credentials: Any = None, port: int = 0) -> None:
        self.rows: Sequence[Row] = rows
        self.fresh = True
        self.notes = Notes()
        self.server = StatsServer(
            lambda: self.rows, lambda seconds: self.fresh, self.notes, token=token, interval_seconds=1.0
        )
        self.port = self.server.open(f"127.0.0.1:{port}", credentials)

    def close(self) -> None:
        self.server.close()


class Host:
    """Subscribes to the one machine at ``port``."""

    def __init__(self, port: int, keys: Callable[[], Keys] = lambda: ANYONE, **target: Any) -> None:
        self.notes, self.totals = Notes(), Totals()
        self.shown = Elsewhere(self.totals, linger_seconds=60.0, grace_seconds=60.0)
        self.machine = Subscription(
            Target(**({"name": "vm-1", "address": f"127.0.0.1:{port}"} | target)), self.shown, keys, self.notes,
            interval_seconds=1,
        )  # fmt: skip
        self.subscriptions = Subscriptions([self.machine])

    @contextlib.contextmanager
    def following(self) -> Iterator[Host]:
        self.subscriptions.start()
        try:
            yield self
        finally:
            self.subscriptions.close()

    def rows(self) -> dict[str, Row]:
        return {row.id: row for row in self.shown.rows}

    def used(self, container_id: str = BUILD.id) -> float | None:
        """CPU seconds of a container; None where it is not shown."""
        row = self.rows().get(container_id)
        return row.account.cpu_seconds if row is not None else None

    def said(self, text: str) -> bool:
        return any(text in note for note in self.notes.said)


def wait(seconds: float) -> None:
    """For what shall not happen."""
    time.sleep(seconds)
