"""One Prometheus over the network: what it is asked, and a sentence for each failure."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobmeter.model.errors import UsageError
from jobmeter.referee.options import PrometheusOptions
from jobmeter.referee.prometheus import Kind, Prometheus, Room, Unanswered
from jobmeter.referee.reading import MAX_SAID
from tests.referee.server import (
    JSON,
    StandIn,
    asked_of,
    cut,
    good,
    hang_up,
    listening,
    matrix,
    no_http,
    once,
    packed,
    says,
    silent,
)
from tests.support.certificates import Authority, authority
from tests.support.forges.raw import Answer, Seen, response
from tests.support.receivers import closed_port

MIB = 1024 * 1024
ERROR = b'{"status":"error","errorType":"bad_data","error":"parse error: unexpected }"}'


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


async def ask(client: Prometheus, expression: str = "up") -> bytes:
    return await client.query_range(expression, 100, 120.5, 10, Room(MIB))


def asking(answer: Answer, context: ssl.SSLContext | None = None, **more: Any) -> tuple[bytes, list[Seen]]:
    """Its answer to one question, and the requests that it saw."""

    async def main() -> tuple[bytes, list[Seen]]:
        async with listening(answer, context) as (url, server):
            address = more.pop("address", "{}").format(url)
            async with Prometheus(PrometheusOptions(address=address, **more)) as client:
                return await ask(client), server.seen

    return asyncio.run(main())


def test_it_is_asked_by_post() -> None:
    """As GitLab's runner asks it: a form, times in seconds."""
    server = StandIn()
    body, (seen,) = asking(server)
    assert body == matrix(server.asked[0])
    assert (seen.method, seen.target) == ("POST", "/api/v1/query_range")
    assert seen.by_name["content-type"] == "application/x-www-form-urlencoded"
    form = {"query": "up", "start": "100.000", "end": "120.500", "step": "10.000", "nocache": "1"}
    assert asked_of(seen) == form


@pytest.mark.parametrize("status", [405, 501])
def test_one_that_takes_no_post_is_asked_by_get(status: int) -> None:
    """With the same parameters, and from then on."""
    seen: list[Seen] = []

    async def only_get(request: Seen, line: Any) -> None:
        seen.append(request)
        await (says(status) if request.method == "POST" else good)(request, line)

    async def main() -> None:
        async with listening(only_get) as (url, _), Prometheus(PrometheusOptions(address=url)) as client:
            await ask(client, 'up{a="ä +&"}')
            await ask(client)

    asyncio.run(main())
    assert [one.method for one in seen] == ["POST", "GET", "GET"]
    assert asked_of(seen[0]) == asked_of(seen[1])
    assert asked_of(seen[1])["query"] == 'up{a="ä +&"}'


@pytest.mark.parametrize(
    "more, headers",
    [
        ({"token": "s3cret"}, {"authorization": "Bearer s3cret"}),
        ({"user": "me", "password": "pä:ss"}, {"authorization": "Basic bWU6cMOkOnNz"}),
        ({"tenant": "team-a"}, {"x-scope-orgid": "team-a"}),
        ({"headers": (("X-One", "1"), ("X-Two", "2"))}, {"x-one": "1", "x-two": "2"}),
        ({"headers": (("Authorization", "Custom x"),)}, {"authorization": "Custom x"}),
    ],
)
def test_it_is_shown_who_asks(more: dict[str, Any], headers: dict[str, str]) -> None:
    """By token, name and password, tenant, or any header."""
    _, (seen,) = asking(StandIn(), **more)
    assert headers.items() <= seen.by_name.items()


def test_a_user_name_may_be_in_the_address_and_is_never_shown() -> None:
    """A path is kept."""

    async def main() -> None:
        async with listening(StandIn()) as (url, server):
            address = url.replace("://", "://me:p%40ss@") + "/prom/"
            async with Prometheus(PrometheusOptions(address=address)) as client:
                await ask(client)
                assert client.address == f"{url}/prom"
            (seen,) = server.seen
            assert seen.target == "/prom/api/v1/query_range"
            assert seen.by_name["authorization"] == "Basic bWU6cEBzcw=="

    asyncio.run(main())


def test_a_packed_answer_is_unpacked() -> None:
    """It is asked for with gzip."""
    body, (seen,) = asking(packed)
    assert body == matrix(asked_of(seen))
    assert seen.by_name["accept-encoding"] == "gzip"


GZIP = ("Content-Encoding", "gzip")
BOMB = gzip.compress(b" " * 50 * MIB)
FAULTS: list[tuple[str, Answer, str, Kind]] = [
    ("slow", silent, "Prometheus gave no answer within 0.3 s.", "late"),
    ("hangs up", hang_up, "Prometheus cannot be asked: it closed the connection.", "away"),
    ("no HTTP", no_http, "Prometheus cannot be asked: it does not speak HTTP.", "away"),
    ("cut", cut, "Prometheus broke off its answer: it closed the connection.", "refused"),
    ("400", says(400, ERROR, JSON), "Prometheus answered 400: parse error: unexpected }.", "refused"),
    ("401", says(401, b"Unauthorized\n"), "Prometheus answered 401: Whatever.", "refused"),
    ("422", says(422, b'{"status":"error","error":"too many samples."}'),
     "Prometheus answered 422: too many samples.", "refused"),
    ("500", says(500, b"<html>" + b"x" * 100_000), "Prometheus answered 500: Whatever.", "refused"),
    ("502", says(502), "Prometheus answered 502: Whatever.", "away"),
    ("503", says(503, b'{"error":"query timed out"}'), "Prometheus answered 503: query timed out.", "refused"),
    ("503 of none", says(503, b"no server is available"), "Prometheus answered 503: Whatever.", "away"),
    ("504", says(504), "Prometheus answered 504: Whatever.", "away"),
    ("302", says(302, b"", ("Location", "/login")),
     "Prometheus answered 302: it is elsewhere, and no redirect is followed.", "refused"),
    ("huge", says(200, b" " * (MIB + 1)), "The answer has more than 1000000 bytes.", "refused"),
    ("bomb", says(200, BOMB, GZIP), "The answer has more than 1000000 bytes.", "refused"),
    ("cut gzip", says(200, BOMB[:100], GZIP), "The answer is not whole: what was packed breaks off.", "refused"),
    ("no gzip", says(200, b"{}", GZIP), "The answer cannot be unpacked.", "refused"),
    ("brotli", says(200, b"{}", ("Content-Encoding", "br")),
     "The answer is packed as br, which was not asked for.", "refused"),
    ("two gzip", says(200, gzip.compress(b"{}") * 2, GZIP), "The answer goes on after its end.", "refused"),
    ("more than gzip", says(200, gzip.compress(b"{}") + bytes(MIB), GZIP), "The answer goes on after its end.",
     "refused"),
]  # fmt: skip


@pytest.mark.parametrize(
    "answer, sentence, kind", [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_each_failure_has_its_sentence(answer: Answer, sentence: str, kind: Kind) -> None:
    """And says whether anybody was there."""
    with pytest.raises(Unanswered) as failed:
        asking(answer, timeout=0.3, max_answer_bytes=1_000_000)
    assert (str(failed.value), failed.value.kind) == (sentence, kind)


def test_one_that_is_not_there() -> None:
    """Nobody listens."""

    async def main() -> None:
        address = f"http://127.0.0.1:{closed_port()}"
        async with Prometheus(PrometheusOptions(address=address)) as client:
            await ask(client)

    with pytest.raises(Unanswered) as failed:
        asyncio.run(main())
    assert str(failed.value) == "Prometheus cannot be asked: connection refused."
    assert failed.value.kind == "away"


def test_answers_are_bounded_together() -> None:
    """However small each is."""

    async def main() -> list[int]:
        sizes: list[int] = []
        room = Room(500)
        async with listening(StandIn()) as (url, _), Prometheus(PrometheusOptions(address=url)) as client:
            while len(sizes) < 10:
                sizes.append(len(await client.query_range("up", 0, 0, 1, room)))
        return sizes

    with pytest.raises(Unanswered, match=r"^The answers have more than 500 bytes together\.$"):
        asyncio.run(main())


def test_what_was_packed_is_unpacked_in_small_pieces() -> None:
    """A few bytes that unpack to a lot take no memory before they are refused."""
    counts: list[int] = []

    class Watched(Room):
        def take(self, count: int) -> bool:
            counts.append(count)
            return super().take(count)

    async def main() -> None:
        bomb = says(200, BOMB, GZIP)
        options = partial(PrometheusOptions, max_answer_bytes=MIB)
        async with listening(bomb) as (url, _), Prometheus(options(address=url)) as client:
            await client.query_range("up", 0, 0, 1, Watched(100 * MIB))

    with pytest.raises(Unanswered, match="The answer has more than 1048576 bytes"):
        asyncio.run(main())
    assert 0 < max(counts) <= 64 * 1024


def test_no_secret_is_said_again() -> None:
    """Even where the server says it."""
    echo = says(400, b'{"error":"you sent Bearer s3cret, me:p@ss, k3y"}')
    with pytest.raises(Unanswered) as failed:
        asking(echo, token="s3cret", password="p@ss", headers=(("X-Key", "k3y"),))
    assert str(failed.value) == "Prometheus answered 400: you sent Bearer ***, me:***, ***."


def test_a_secret_that_is_cut_is_one() -> None:
    """As is the pair of a user and a password, in the form in which it is sent."""
    pair = "bWU6cEBzcy13b3Jk"
    echo = says(400, b'{"error":"%s %s"}' % (b"x" * (MAX_SAID - 12), pair.encode()))
    with pytest.raises(Unanswered) as failed:
        asking(echo, user="me", password="p@ss-word")
    assert str(failed.value).endswith("x ***.")


@pytest.mark.parametrize("status", ["success", "error"])
def test_no_secret_is_in_what_a_server_answers(status: str) -> None:
    """In an error, in a warning, in a label; numbers stay what they are."""
    body = (
        b'{"status":"%s","error":"s3cret-token","warnings":["Bearer s3cret-token"],"data":{"resultType":"matrix",'
        b'"result":[{"metric":{"a":"s3cret-token"},"values":[[12345678,"12345678"]]}]}}' % status.encode()
    )
    answer, _ = asking(
        says(200, body), token="s3cret-token", headers=(("X-Key", "12345678"), ("X-Short", "1"))
    )
    assert b"s3cret" not in answer
    assert b'[12345678,"12345678"]' in answer


@pytest.mark.parametrize(
    "status, headers",
    [
        (429, [("Retry-After", "0")]),
        (503, [("Retry-After", "0")]),
        (429, [("Retry-After", formatdate(time.time() - 5, usegmt=True))]),
    ],
)
def test_who_is_asked_to_wait_asks_again(status: int, headers: list[tuple[str, str]]) -> None:
    """Prometheus' proxies say so when there is too much to do."""
    _, seen = asking(once(says(status, b"", *headers)))
    assert len(seen) == 2


def test_who_is_always_asked_to_wait_gives_up() -> None:
    """After five times."""
    server = StandIn()
    server.wrong["up"] = says(429, b'{"error":"too busy"}', ("Retry-After", "0"))
    with pytest.raises(Unanswered, match=r"^Prometheus answered 429: too busy\.$"):
        asking(server)
    assert len(server.asked) == 5


@pytest.mark.parametrize("seconds, answered", [(1, True), (3, False), (30, False)])
def test_nobody_waits_longer_than_there_is_time(seconds: int, answered: bool) -> None:
    """What has no time left is said at once, of the questions that come after it too."""

    async def main() -> list[str]:
        server = StandIn()
        server.wrong["a"] = once(says(429, b"", ("Retry-After", str(seconds))))
        async with listening(server) as (url, _), Prometheus(PrometheusOptions(address=url)) as client:
            room = Room(MIB, time.monotonic() + 2)
            said = [await outcome(client, query, room) for query in "ab"]
            assert server.expressions == (["a", "a", "b"] if answered else ["a"])
            return said

    because = f"because Prometheus asks for {seconds} s without questions, longer than there is time for."
    refused = [f"It was not asked again, {because}", f"It was not asked, {because}"]
    begun = time.monotonic()
    assert asyncio.run(main()) == (["", ""] if answered else refused)
    assert answered or time.monotonic() < begun + 1


async def outcome(client: Prometheus, query: str, room: Room) -> str:
    """What is said where there is no answer."""
    try:
        await client.query_range(query, 0, 0, 1, room)
    except Unanswered as error:
        return str(error)
    return ""


def test_all_questions_wait_together() -> None:
    """The one that was refused, and those that come after it."""

    async def main() -> None:
        server = StandIn()
        server.wrong["a"] = once(says(429, b"", ("Retry-After", "1")))
        async with listening(server) as (url, _), Prometheus(PrometheusOptions(address=url)) as client:
            refused = asyncio.create_task(ask(client, "a"))
            while not server.asked:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            other = asyncio.create_task(ask(client, "b"))
            await asyncio.sleep(0.05)
            assert server.expressions == ["a"]
            await asyncio.gather(refused, other)
            assert sorted(server.expressions) == ["a", "a", "b"]

    asyncio.run(main())


@pytest.mark.parametrize("seconds, noticed", [(-60, -60), (0, None), (3600, 3600)])
def test_clocks_that_differ_are_noticed(seconds: int, noticed: int | None) -> None:
    """By the time of its answers."""

    async def main() -> float | None:
        server = StandIn()
        server.headers.append(("Date", formatdate(time.time() + seconds, usegmt=True)))
        async with listening(server) as (url, _), Prometheus(PrometheusOptions(address=url)) as client:
            await ask(client)
            return client.clock_ahead_seconds

    ahead = asyncio.run(main())
    assert ahead == (noticed if noticed is None else pytest.approx(noticed, abs=3))


def test_tls_with_an_authority_and_a_client_certificate(own: Authority) -> None:
    """Both as files of PEM."""
    context = own.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own.certificate)
    certificate, key = own.issue("referee")
    more = {"ca_cert": str(own.certificate), "client_cert": str(certificate), "client_key": str(key)}
    _, (seen,) = asking(StandIn(), context, **more)
    assert seen.method == "POST"


def test_tls_that_is_not_agreed_on_has_its_sentence(own: Authority) -> None:
    """An authority that is not known, and a server that speaks none."""
    with pytest.raises(Unanswered, match="Prometheus cannot be asked: its certificate is not accepted: "):
        asking(StandIn(), own.server())

    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(400, b"Client sent an HTTP request to an HTTPS server.\n"))
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Prometheus(PrometheusOptions(address=f"https://127.0.0.1:{port}")) as client:
                await ask(client)

    with pytest.raises(Unanswered, match=r"^Prometheus cannot be asked: it does not speak TLS\.$"):
        asyncio.run(main())


@pytest.mark.parametrize("field", ["ca_cert", "client_cert"])
def test_certificates_that_cannot_be_used_are_refused(field: str, tmp_path: Path) -> None:
    """When they are read, not when the first job ends."""
    (tmp_path / "a.pem").write_text("hello")
    with pytest.raises(UsageError, match=rf"^x.toml: {field}: .*a.pem"):
        Prometheus(
            PrometheusOptions(address="https://localhost", place="x.toml", **{field: str(tmp_path / "a.pem")})  # type: ignore[arg-type]
        )
