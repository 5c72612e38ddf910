"""One HTTP client port: every failure is one sentence, retryable or final, and no secret is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobmeter.model.errors import SendError
from jobmeter.transport import MAX_ANSWER_BYTES, Endpoint, shown
from tests.support.receivers import (
    CUT,
    HANG,
    ODD,
    RESET,
    Fault,
    FlakyReceiver,
    certificate,
    closed_port,
    serving,
)

TOKEN = "secret-token-1234"
PATH = "/api/v1/metrics"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    with serving(FlakyReceiver()) as running:
        yield running


Connect = Callable[..., Endpoint]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes endpoints that are closed at the end."""
    with ExitStack() as stack:

        def make(url: str, token: str | None = None) -> Endpoint:
            endpoint = Endpoint(url, token)
            stack.callback(endpoint.close)
            return endpoint

        yield make


def post(endpoint: Endpoint, *, timeout: float = 30.0) -> int:
    return endpoint.post(PATH, b"{}", {"Content-Type": "application/json"}, timeout=timeout).status


def failure(endpoint: Endpoint, *, timeout: float = 30.0) -> SendError:
    with pytest.raises(SendError) as caught:
        post(endpoint, timeout=timeout)
    return caught.value


def test_posts_below_the_path_of_the_url(connect: Connect, receiver: FlakyReceiver) -> None:
    """A prefix, as a reverse proxy has it, stays; the token is a bearer's; the connection is kept."""
    endpoint = connect(f"{receiver.url}/prefix/", TOKEN)
    assert [post(endpoint), post(endpoint)] == [201, 201]
    assert {one.path for one in receiver.asked} == {f"/prefix{PATH}"}
    assert receiver.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert receiver.connections == 1


def test_connection_that_the_service_closed_is_made_again(connect: Connect, receiver: FlakyReceiver) -> None:
    """A kept connection that breaks is no failure; a new one that breaks is."""
    endpoint = connect(receiver.url)
    post(endpoint)
    receiver.faults.append(RESET)
    assert post(endpoint) == 201
    receiver.faults.extend([RESET, RESET])
    assert failure(endpoint).retryable


@pytest.mark.parametrize(
    "fault, retryable, words",
    [
        (RESET, True, "cannot be reached"),
        (CUT, True, "cannot be reached"),
        (408, True, "answered 408: told to"),
        (425, True, "answered 425"),
        ((429, {"Retry-After": "7"}), True, "answered 429"),
        (500, True, "answered 500"),
        (503, True, "answered 503"),
        (507, True, "answered 507"),
        (400, False, "answered 400: told to"),
        (403, False, "answered 403"),
        (404, False, "answered 404"),
        (413, False, "answered 413"),
        ((307, {"Location": "http://elsewhere.example/"}), False, "no redirect is followed"),
    ],
)
def test_each_failure_is_one_sentence(
    connect: Connect, receiver: FlakyReceiver, fault: Fault, retryable: bool, words: str
) -> None:
    """It names the service, what happened, and whether it may go better later."""
    receiver.always = fault
    error = failure(connect(receiver.url))
    assert error.retryable is retryable
    assert error.answered
    assert words in str(error)
    assert receiver.url in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "header, seconds",
    [
        ("7", 7.0),
        ("86400", 60.0),
        ("999999999999", 60.0),
        ("soon", None),
        ("-1", None),
        ("Sat, 21 Nov", None),
    ],
)
def test_retry_after_is_bounded(
    connect: Connect, receiver: FlakyReceiver, header: str, seconds: float | None
) -> None:
    """A minute at most; what is no number of seconds is left out."""
    receiver.always = (503, {"Retry-After": header})
    assert failure(connect(receiver.url)).retry_after_seconds == seconds


def test_refused_token_is_final_and_not_repeated(connect: Connect, receiver: FlakyReceiver) -> None:
    """Although this service says it."""
    receiver.token = "another"
    error = failure(connect(receiver.url, TOKEN))
    assert (error.retryable, error.status) == (False, 401)
    assert "the token of Bearer *** is not known" in str(error)


def test_user_name_and_password_are_sent_and_never_shown(connect: Connect, receiver: FlakyReceiver) -> None:
    """In the URL they are HTTP Basic, percent-decoded."""
    url = receiver.url.replace("://", "://user:pass%20word@")
    receiver.faults.append(404)
    assert "pass" not in str(failure(connect(url)))
    assert receiver.asked[0].headers["Authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="
    assert shown("https://user:pass@host:8/x@y") == "https://host:8/x@y"


def test_nobody_listens(connect: Connect) -> None:
    """A receiver that is away may come back."""
    error = failure(connect(f"http://127.0.0.1:{closed_port()}"))
    assert (error.retryable, error.answered) == (True, False)
    assert "Connection refused" in str(error)


def test_host_without_an_address(connect: Connect) -> None:
    """A sidecar may start before the names can be resolved."""
    error = failure(connect("http://nonesuch.invalid"))
    assert (error.retryable, error.answered) == (True, False)


def test_service_that_does_not_answer(connect: Connect, receiver: FlakyReceiver) -> None:
    """The timeout ends it, and it is not tried twice on a kept connection."""
    endpoint = connect(receiver.url)
    post(endpoint)
    receiver.always = HANG
    error = failure(endpoint, timeout=0.2)
    assert (error.retryable, error.answered, "did not answer in time" in str(error)) == (True, False, True)
    assert len(receiver.asked) == 2


def test_answer_is_read_up_to_a_bound(
    connect: Connect, receiver: FlakyReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that answers without end fills no memory, and its connection is not used again."""
    endpoint = connect(receiver.url)
    monkeypatch.setattr("jobmeter.transport.MAX_ANSWER_BYTES", 5)
    receiver.faults.append(ODD)
    assert endpoint.post(PATH, b"", {}).body == b"<html"
    assert post(endpoint) == 201
    assert receiver.connections == 2
    assert MAX_ANSWER_BYTES == 64 * 1024


def test_certificate_of_the_named_authority(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$SSL_CERT_FILE names it; a certificate that nobody vouches for is final."""
    place, key = certificate(tmp_path)
    receiver = FlakyReceiver()
    receiver.secure(place, key)
    with serving(receiver):
        error = failure(connect(receiver.url, TOKEN))
        assert not error.retryable
        assert "the certificate of https://localhost" in str(error)
        assert receiver.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(place))
        assert post(connect(receiver.url, TOKEN)) == 201


def test_tls_asked_of_a_plain_server(connect: Connect, receiver: FlakyReceiver) -> None:
    """No word of the TLS library: the address that may be meant; another try would end the same."""
    error = failure(connect(receiver.url.replace("http:", "https:")))
    assert (error.retryable, error.answered) == (False, True)
    assert (
        str(error)
        == f"{receiver.url.replace('http:', 'https:')} does not speak TLS; {receiver.url} may be meant"
    )


def test_proxy_of_the_environment(
    connect: Connect, receiver: FlakyReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http asks it for whole URLs, with its own password; no_proxy is honoured."""
    monkeypatch.setenv("http_proxy", receiver.url.replace("://", "://me:mine@"))
    assert post(connect("http://away.example:81/base", TOKEN)) == 201
    assert receiver.asked[0].path == f"http://away.example:81/base{PATH}"
    assert receiver.asked[0].headers["Proxy-Authorization"] == "Basic bWU6bWluZQ=="
    assert receiver.asked[0].headers["Host"] == "away.example:81"
    monkeypatch.setenv("no_proxy", "localhost")
    post(connect(receiver.url))
    assert receiver.asked[1].path == PATH


def test_asks_with_a_query_and_reads_as_much_as_is_said(connect: Connect, receiver: FlakyReceiver) -> None:
    """GET has the token and no body; more of an answer is read only where that is asked for."""
    document = b"0123456789" * 10_000
    receiver.tell = lambda path: document
    endpoint = connect(f"{receiver.url}/prefix/", TOKEN)
    assert len(endpoint.get("/runs?limit=1").body) == MAX_ANSWER_BYTES
    assert endpoint.get("/runs?limit=2", max_bytes=1 << 20).body == document
    paths = [asked.path for asked in receiver.asked]
    assert paths == ["/prefix/runs?limit=1", "/prefix/runs?limit=2"]
    assert {asked.headers["Authorization"] for asked in receiver.asked} == {f"Bearer {TOKEN}"}
    receiver.faults.append(404)
    with pytest.raises(SendError, match="answered 404: told to"):
        endpoint.get("/runs")
