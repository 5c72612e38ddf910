"""What is said of a run that was sent, and of what could not be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from jobmeter.apps.sending import Sending
from jobmeter.spool.journal import Journal
from jobmeter.transport import Endpoint
from tests.support.receivers import FlakyReceiver, closed_port, serving
from tests.support.runs import UID, fold, records


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver()) as running:
        yield running


Send = Callable[..., tuple[Sending, list[str]]]


@pytest.fixture
def send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """Sends a run whole; gives what is said of it then. A process that sends ends by itself; a test closes."""
    with ExitStack() as stack:

        def connect(url: str, token: str | None) -> Endpoint:
            return stack.enter_context(closing(Endpoint(url, token)))

        monkeypatch.setattr("jobmeter.apps.sending.Endpoint", connect)

        def whole(first: int = 0, resumed: bool = False, **addresses: str) -> tuple[Sending, list[str]]:
            journal = stack.enter_context(closing(Journal(str(tmp_path / "journal.jsonl"), warn=pytest.fail)))
            settings = SimpleNamespace(receiver=None, push_endpoint=None, push_token=None)
            vars(settings).update(addresses)
            sending = Sending(settings, UID, journal, resumed=resumed, patient=False)
            if settings.receiver is not None:
                stack.callback(sending._feed.close)
            for record in records():
                journal.write(replace(record, sequence=first + record.sequence))
                sending.take(replace(record, sequence=first + record.sequence))
            sending.start()
            return sending, sending.finish(fold(*records()).summary(), time.monotonic() + 60)

        yield whole


@pytest.mark.parametrize(
    "resumed, first, said",
    [
        (False, 0, "6 of 6 records of the run were not sent"),
        (True, 7_000_000, "6 of 6 records of the run since the restart were not sent"),
    ],
)
def test_records_are_counted_whatever_their_numbers(
    send: Send, tmp_path: Path, resumed: bool, first: int, said: str
) -> None:
    """A restarted collector numbers its own from the age of the run, and counts those."""
    away = f"http://127.0.0.1:{closed_port()}"
    sending, (text,) = send(receiver=away, first=first, resumed=resumed)
    assert text.startswith(said)
    assert f"jobmeter report {tmp_path}/journal.jsonl --receiver {away}" in text
    assert sending.page is None


def test_page_of_a_run_that_has_arrived(send: Send, tmp_path: Path, receiver: FlakyReceiver) -> None:
    """Below the address that was given, without the password in it."""
    with_password = receiver.url.replace("://", "://user:pass@")
    sending, said = send(receiver=f"{with_password}/base/")
    assert (sending.page, said) == (f"{receiver.url}/base/runs/{UID}", [])


@pytest.mark.parametrize("status", [401, 403])
def test_refused_token_says_where_one_is_given(
    send: Send, tmp_path: Path, receiver: FlakyReceiver, status: int
) -> None:
    """For the stream, for the summary, and in the command that sends it later; within 80 columns but for that one."""
    receiver.always = status
    _, said = send(receiver=receiver.url, push_endpoint=f"{receiver.url}/api/v1/metrics")
    assert len(said) == 2
    for text, address in zip(said, ("--receiver", "--push-endpoint"), strict=True):
        *sentences, command = text.splitlines()
        assert "Give its push token with --push-token-file FILE or $JOBMETER_PUSH_TOKEN." in sentences
        assert command.startswith(f"jobmeter report {tmp_path}/journal.jsonl {address} {receiver.url}")
        assert command.endswith(" --push-token-file FILE")
        assert max(map(len, sentences)) <= 78


@pytest.mark.parametrize("status, told", [(401, True), (403, False)])
def test_no_token_is_asked_for_where_one_is_known_that_is_not_good_for_the_run(
    send: Send, receiver: FlakyReceiver, status: int, told: bool
) -> None:
    """With 401 it may be a wrong one."""
    receiver.always = status
    _, (text,) = send(receiver=receiver.url, push_token="of-another-organization")
    assert ("Give its push token" in text) == told


@pytest.mark.parametrize("status", [404, 405])
def test_wrong_address_says_how_addresses_end(
    send: Send, tmp_path: Path, receiver: FlakyReceiver, status: int
) -> None:
    """That of the receiver alone is none for a summary, and the other way round."""
    receiver.always = status
    _, (text,) = send(push_endpoint=receiver.url)
    assert "Is the address right? --push-endpoint URL/api/v1/metrics, --receiver URL." in text.splitlines()


@pytest.mark.parametrize(
    "status, flag, given, proposed",
    [
        (404, "push_endpoint", "{}", "{}/api/v1/metrics"),
        (405, "push_endpoint", "{}/", "{}/api/v1/metrics"),
        (404, "push_endpoint", "{}/metrics", "URL"),
        (404, "receiver", "{}/api/v1/metrics", "{}"),
        (405, "receiver", "{}/base/api/v1/metrics/", "{}/base"),
        (404, "receiver", "{}/base", "URL"),
        (307, "receiver", "{}", "URL"),
        (400, "receiver", "{}/base", "{}/base"),
    ],
)
def test_command_for_later_does_not_repeat_a_wrong_address(
    send: Send, receiver: FlakyReceiver, status: int, flag: str, given: str, proposed: str
) -> None:
    """It has the address that is likely meant, and where nobody can tell, a place to put it."""
    receiver.always = status
    _, (text,) = send(**{flag: given.format(receiver.url)})
    *_, how, command = text.splitlines()
    assert command.endswith(f" --{flag.replace('_', '-')} {proposed.format(receiver.url)}")
    assert ("with the right URL" in how) == (proposed == "URL")


def test_command_for_later_has_http_where_there_is_no_tls(send: Send, receiver: FlakyReceiver) -> None:
    """The sentence above it says so."""
    _, (text,) = send(receiver=receiver.url.replace("http:", "https:"))
    assert f"{receiver.url} may be meant" in text.replace("\n", " ")
    assert text.splitlines()[-1].endswith(f" --receiver {receiver.url}")
