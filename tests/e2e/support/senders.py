"""Senders that go on over all failures and keep what was acknowledged, to be compared with what is there afterwards."""

from __future__ import annotations

import itertools
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import requests

from jobmeter.model.errors import SendError
from jobmeter.spool.feed import Feed
from jobmeter.spool.stream import Stream
from jobmeter.transport import Endpoint
from tests.receiver.api.running import PUSH, RunningReceiver
from tests.receiver.store.support import ndjson
from tests.support.runs import records, write_journal

HEADERS = {"Authorization": f"Bearer {PUSH}"}
_SEED = 20261121
_TICKS = 40


class Client(threading.Thread, ABC):
    """Sends over all failures, now to one of the receivers, now to another, as behind a balancer."""

    def __init__(self, urls: Sequence[str], name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.acknowledged: dict[str, int] = {}
        self.moments: list[float] = []
        self.refusals: list[str] = []
        self._urls = urls
        self._chance = random.Random(f"{name} {_SEED}")
        self._stopped = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            for number in itertools.count():
                if self._stopped.is_set():
                    return
                self.send(f"{self.name}-{number}")
        except Exception as error:
            self._failure = error

    @abstractmethod
    def send(self, run_uid: str) -> None:
        """Send one run, however often it takes."""

    @property
    def url(self) -> str:
        """Where the next request goes."""
        return self._chance.choice(self._urls)

    def acknowledge(self, run_uid: str, what: int) -> None:
        """The receiver says that it has so much."""
        self.acknowledged[run_uid] = what
        self.moments.append(time.monotonic())

    @abstractmethod
    def check(self, receiver: RunningReceiver, stored: dict[str, int]) -> None:
        """The receiver has what was acknowledged; ``stored`` are the ids of all runs that it has."""

    def stop(self) -> None:
        """The run that is being sent is the last one."""
        self._stopped.set()
        self.join(60)
        assert not self.is_alive()
        assert self._failure is None, self._failure


class PushingOn(Client):
    """Pushes one summary after the other, each until it is acknowledged; keeps the ids."""

    def send(self, run_uid: str) -> None:
        while run_uid not in self.acknowledged:
            try:
                answer = requests.post(
                    f"{self.url}/api/v1/metrics", summary_body(run_uid), headers=HEADERS, timeout=30
                )
            except requests.RequestException:
                time.sleep(0.01)
                continue
            assert answer.status_code in (201, 503), answer.text
            if answer.status_code == 201:
                self.acknowledge(run_uid, answer.json()["id"])
            else:
                self.refusals.append(answer.json()["detail"])

    def check(self, receiver: RunningReceiver, stored: dict[str, int]) -> None:
        assert self.acknowledged.items() <= stored.items()


class Streaming(Client):
    """Streams one run after the other in small parts; its sender is now and then one that knows nothing."""

    def __init__(self, urls: Sequence[str], name: str, directory: Path) -> None:
        super().__init__(urls, name)
        self._directory = directory

    def send(self, run_uid: str) -> None:
        journal = write_journal(self._directory / f"{run_uid}.jsonl", *records(run_uid, ticks=_TICKS))
        with closing(Feed.of_file(run_uid, str(journal))) as feed:
            finished = False
            while not finished:
                with closing(Endpoint(self.url, PUSH)) as endpoint:
                    finished = self._send_some(Stream(endpoint, run_uid, feed, resumed=True), run_uid)
        journal.unlink()

    def _send_some(self, stream: Stream, run_uid: str) -> bool:
        stream._max_bytes = 1500
        for _ in range(self._chance.randrange(1, 20)):
            try:
                stream.step(30)
            except SendError as error:
                if not error.retryable:
                    raise
                time.sleep(0.01)
                if len(self._urls) > 1:
                    return False  # Another receiver may be there.
            else:
                assert stream.next_sequence >= self.acknowledged.get(run_uid, 0), (
                    "what was acknowledged is gone"
                )
                self.acknowledge(run_uid, stream.next_sequence)
        return self.acknowledged.get(run_uid) == _TICKS + 3

    def check(self, receiver: RunningReceiver, stored: dict[str, int]) -> None:
        for run_uid in self.acknowledged:
            whole = ndjson(list(records(run_uid, ticks=_TICKS)))
            assert receiver.get(f"/api/v1/runs/{run_uid}/records").content == whole
            run = receiver.get(f"/api/v1/runs/{run_uid}").json()
            assert (run["state"], run["summary"]["sample_count"]) == ("finished", _TICKS)


def summary_body(run_uid: str) -> bytes:
    """A summary of some size."""
    return msgspec.json.encode(
        {"execution": {"job": "j"}, "run_summary": {"run_uid": run_uid, "x": "y" * 2000}}
    )
