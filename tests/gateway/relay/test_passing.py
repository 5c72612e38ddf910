"""What nobody here understands passes as it is, between real sockets; and what stands in the way is told."""

from __future__ import annotations

import asyncio
import resource

import pytest

from tests.gateway.relay.rig import MIB, Messages, passing
from tests.support.forges.raw import Line, RawForge, Seen, raw_forge, response
from tests.support.forges.serving import request, wire


def run(main):
    asyncio.run(main())


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b?c=d&c=e",
        "/a%2Fb/%20%C3%A4?q=%2B+%26",
        "//two//slashes",
        "/up/../and/./down",
        "/a;b=c/$&'()*,@:!",
    ],
)
def test_the_target_is_passed_as_it_was_written(target):
    """Nothing is decoded, encoded or tidied."""

    async def main():
        async with raw_forge() as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(request("GET", target))
            assert (await client.answer()).status == 200
            assert forge.seen[0].line == f"GET {target} HTTP/1.1"

    run(main)


def test_a_forge_below_a_path():
    """Its path stands before the runner's."""

    async def main():
        async with raw_forge() as forge, passing(f"{forge.url}sub/path/") as port, wire(port) as client:
            await client.send(request("GET", "/api/x?y"))
            await client.answer()
            assert forge.seen[0].target == "/sub/path/api/x?y"

    run(main)


def test_headers_cross_in_order():
    """Both ways, with duplicates; only what is between two hops is not passed, and Host is the forge's own."""

    async def answer(seen: Seen, line: Line) -> None:
        pairs = (("Set-Cookie", "a=1"), ("X-Own", "é"), ("Set-Cookie", "b=2"), ("Keep-Alive", "timeout=5"))
        await line.send(response(200, b"ok", *pairs))

    async def main():
        async with raw_forge(answer) as forge, passing(forge.url) as port, wire(port) as client:
            asked = [("X-B", "1"), ("X-A", "2"), ("X-B", "3"), ("User-Agent", "runner/1"), ("Te", "trailers")]
            await client.send(request("GET", "/", *asked))
            got = await client.answer()
            seen = forge.seen[0]
            assert seen.headers == [
                ("Host", f"localhost:{forge.port}"),
                ("x-b", "1"),
                ("x-a", "2"),
                ("x-b", "3"),
                ("user-agent", "runner/1"),
                ("x-forwarded-for", "127.0.0.1"),
            ]
            assert got.headers == [
                ("set-cookie", "a=1"), ("x-own", "é"), ("set-cookie", "b=2"), ("content-length", "2"),
            ]  # fmt: skip

    run(main)


def test_a_request_without_headers_gets_none_of_ours():
    """No Accept, no User-Agent, no content type: what the runner does not say is not said."""

    async def main():
        async with raw_forge() as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(request("POST", "/", body=b"x"))
            await client.answer()
            names = [name.lower() for name, _ in forge.seen[0].headers]
            assert names == ["host", "x-forwarded-for", "content-length"]

    run(main)


BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"x" * 10, id="short"),
    pytest.param(b"y" * 3 * MIB, id="long"),
]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_with_its_length(body):
    """It has the same length on the other side, and comes back."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(response(200, seen.body))

    async def main():
        async with raw_forge(answer) as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(request("PUT", "/", body=body))
            got = await client.answer()
            assert got.body == forge.seen[0].body == body
            assert forge.seen[0].values("content-length") == [str(len(body))]
            assert got.values("content-length") == [str(len(body))]

    run(main)


@pytest.mark.parametrize("body", BODIES)
def test_a_body_in_chunks(body):
    """It stays chunked both ways, and no length is made up."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await line.send((b"%x\r\n%b\r\n" % (len(seen.body), seen.body) if seen.body else b"") + b"0\r\n\r\n")

    async def main():
        async with raw_forge(answer) as forge, passing(forge.url) as port, wire(port) as client:
            chunks = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            await client.send(request("POST", "/", ("Transfer-Encoding", "chunked")) + chunks + b"0\r\n\r\n")
            got = await client.answer()
            assert got.body == forge.seen[0].body == body
            assert not forge.seen[0].values("content-length")
            assert not got.values("content-length")

    run(main)


def test_coded_bodies_are_not_touched():
    """Nothing is packed or unpacked on the way, whatever its marks say."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(response(200, b"no gzip at all", ("Content-Encoding", "gzip")))

    async def main():
        async with raw_forge(answer) as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(request("POST", "/", ("Content-Encoding", "gzip"), body=b"nor this"))
            got = await client.answer()
            assert (got.body, forge.seen[0].body) == (b"no gzip at all", b"nor this")
            assert got.values("content-encoding") == forge.seen[0].values("content-encoding") == ["gzip"]

    run(main)


@pytest.mark.parametrize(
    "answered,status",
    [
        (b"HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n", 204),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nX-Own: 1\r\n\r\n", 304),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n",
            302,
        ),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 599 Odd\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n", 599),
    ],
)
def test_answers_without_a_body(answered, status):
    """The next request on the same connection is answered too; nothing is followed."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(answered)

    async def main():
        async with raw_forge(answer) as forge, passing(forge.url) as port, wire(port) as client:
            for _ in range(2):
                await client.send(request("GET", "/"))
                got = await client.answer()
                assert (got.status, got.values("x-own")) == (status, ["1"])
            assert [seen.connection for seen in forge.seen] == [0, 0]

    run(main)


def test_head():
    """It tells a length and has no body."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")

    async def main():
        async with raw_forge(answer) as forge, passing(forge.url) as port, wire(port) as client:
            for _ in range(2):
                await client.send(request("HEAD", "/"))
                got = await client.answer(head=True)
                assert got.values("content-length") == ["12345"]
            assert len(forge.seen) == 2

    run(main)


def test_expect_continue_is_answered_here():
    """The body is asked for when it is wanted; the forge is not asked to."""

    async def main():
        async with raw_forge() as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(request("PUT", "/", ("Expect", "100-continue"), ("Content-Length", "5")))
            assert (await client.answer()).status == 100
            await client.send(b"hello")
            assert (await client.answer()).status == 200
            assert forge.seen[0].body == b"hello"
            assert not forge.seen[0].values("expect")

    run(main)


# --- ends ---------------------------------------------------------------------------------------------------


def test_a_runner_that_goes_while_it_waits():
    """Its request is broken off at the forge."""

    async def main():
        asked, heard = asyncio.Event(), asyncio.Event()

        async def answer(seen: Seen, line: Line) -> None:
            asked.set()
            await line.closed()
            heard.set()

        log = Messages()
        async with raw_forge(answer) as forge, passing(forge.url, log) as port:
            async with wire(port) as client:
                await client.send(request("GET", "/"))
                await asked.wait()
            async with asyncio.timeout(10):
                await heard.wait()
        assert log.warned == []

    run(main)


def test_a_runner_that_goes_in_mid_body():
    """The forge sees that too, and it is no fault of its own."""

    async def main():
        broken = asyncio.Event()

        class Watching(RawForge):
            async def body(self, headers, reader):
                try:
                    return await super().body(headers, reader)
                except asyncio.IncompleteReadError:
                    broken.set()
                    raise

        log = Messages()
        forge = Watching()
        await forge.listen()
        async with passing(forge.url, log) as port:
            async with wire(port) as client:
                await client.send(request("PUT", "/", ("Content-Length", "8")) + b"half")
                await asyncio.sleep(0.2)
            async with asyncio.timeout(10):
                await broken.wait()
        await forge.go_away()
        assert log.warned == []

    run(main)


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", id="chunks"),
    ],
)
def test_a_forge_that_goes_in_mid_answer(begun):
    """The runner's connection is cut too, so that it does not take the half for all."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(begun)
        await asyncio.sleep(0.1)
        line.reset()

    async def main():
        log = Messages()
        async with raw_forge(answer) as forge, passing(forge.url, log) as port, wire(port) as client:
            await client.send(request("GET", "/"))
            got = await client.answer()
            assert (got.status, got.cut) == (200, True)
        assert log.texts == ["an answer of the forge broke off"]

    run(main)


def test_an_answer_before_the_body_is_whole():
    """A forge may refuse a body that it does not want to read."""

    class Refusing(RawForge):
        async def body(self, headers, reader):
            return b""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(response(413, b"too much", ("Connection", "close")))
        await asyncio.sleep(0.2)

    async def main():
        forge = Refusing(answer)
        await forge.listen()
        async with passing(forge.url) as port, wire(port) as client:
            await client.send(request("PUT", "/", ("Content-Length", "1000000")) + b"x" * 1000)
            got = await client.answer()
            assert (got.status, got.body) == (413, b"too much")
        await forge.go_away()

    run(main)


# --- the forge is away --------------------------------------------------------------------------------------


def test_a_forge_that_is_away():
    """The runner is told in its own protocol's words, the operator in the log; both say why."""

    async def main():
        log = Messages()
        async with raw_forge() as forge, passing(forge.url, log) as port, wire(port) as client:
            await forge.go_away()
            await client.send(request("GET", "/"))
            got = await client.answer()
            assert got.status == 503
            assert b'"unavailable"' in got.body
            assert b"refused" in got.body
            await forge.listen()
            await client.send(request("GET", "/"))
            assert (await client.answer()).status == 200
        assert "refused" in str(log.warned)

    run(main)


@pytest.mark.parametrize(
    "said,words",
    [
        pytest.param(b"", "closed the connection", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP", id="no-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection", id="half-a-head"),
        pytest.param(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "999", id="no-status"),
    ],
)
def test_a_forge_that_says_nothing_sensible(said, words):
    """It is a forge that is away."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(said)
        line.writer.close()

    async def main():
        log = Messages()
        async with raw_forge(answer) as forge, passing(forge.url, log) as port, wire(port) as client:
            await client.send(request("GET", "/"))
            got = await client.answer()
            assert got.status == 503
            assert words in got.body.decode()
        (told,) = log.warned
        assert told.pop("error")
        assert told == {
            "message": "a request of a runner could not be passed",
            "runner": "unknown", "client": "127.0.0.1", "call": "GET /",
        }  # fmt: skip

    run(main)


# --- hostile ------------------------------------------------------------------------------------------------

HOSTILE = [
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no-host"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two-hosts"),
    pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", id="asterisk"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nRunner-Token: b\r\nRunner-Token: c\r\n\r\n", id="tokens"),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        id="both",
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", id="lengths"
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", id="twice"
    ),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd", id="sign"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd", id="list"),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="xchunked"
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="identity"
    ),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="blank-in-name"
    ),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", id="underscore"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rGET /admin\r\n\r\n", id="bare-cr"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", id="nul"),
    pytest.param(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\rGET\r\na\r\n0\r\n\r\n",
        id="chunk",
    ),
]


@pytest.mark.parametrize("said", HOSTILE)
def test_what_two_servers_might_read_differently_never_reaches_the_forge(said):
    """It is refused, and the connection closed: what follows on it could be anything."""

    async def main():
        async with raw_forge() as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(said)
            assert (await client.answer()).status == 400
            assert await client.closed()
            assert forge.seen == []

    run(main)


def test_a_line_that_is_continued_is_one_line():
    """What the parser lets through is written anew: nothing of it is a header of its own, nothing a second request."""

    async def main():
        async with raw_forge() as forge, passing(forge.url) as port, wire(port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tTransfer-Encoding: chunked\r\n\r\n")
            status = (await client.answer()).status
            if status == 200:
                assert "transfer-encoding" not in forge.seen[0].by_name
            else:
                assert forge.seen == []

    run(main)


# --- size ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_artifact_passes_in_bounded_memory():
    """256 MiB up and down again; the process grows by a small part of that."""
    size, piece = 256 * MIB, b"z" * MIB

    class Counting(RawForge):
        async def body(self, headers, reader):
            left = int(headers.get("content-length", 0))
            while left:
                left -= len(await reader.read(min(left, MIB)))
            return b""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MIB):
            await line.send(piece)

    async def main():
        forge = Counting(answer)
        await forge.listen()
        async with passing(forge.url) as port, wire(port) as client:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await client.send(request("PUT", "/", ("Content-Length", str(size))))
            for _ in range(size // MIB):
                await client.send(piece)
            await client.reader.readuntil(b"\r\n\r\n")
            left = size
            while left:
                await asyncio.sleep(0)
                left -= len(await client.reader.read(MIB))
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024
        await forge.go_away()

    run(main)
