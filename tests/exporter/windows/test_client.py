"""One engine over the network: what it is asked, TLS as Docker's clients speak it, and a sentence for each failure."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobmeter.exporter.windows import client as module
from jobmeter.exporter.windows.address import Engine, client_context
from jobmeter.exporter.windows.answers import About
from jobmeter.exporter.windows.client import EngineClient
from jobmeter.model.errors import SourceUnavailable
from tests.exporter.windows import told
from tests.exporter.windows.engine import WindowsEngine, cut, listening, says, silent
from tests.support.certificates import Authority, authority
from tests.support.forges.raw import Answer, Line, Seen, response

VERSION = ("Api-Version", "1.43")


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


def asking(
    question: Callable[[EngineClient], Awaitable[object]], answer: Answer, *, seconds: float = 5.0
) -> object:
    """Its answer."""

    async def main() -> object:
        async with (
            listening(answer) as (engine, _),
            EngineClient(engine, None, answer_seconds=seconds) as client,
        ):
            return await question(client)

    return asyncio.run(main())


async def meet(client: EngineClient) -> object:
    return await client.meet()


async def usage(client: EngineClient) -> object:
    await client.meet()
    return await client.usage(told.FIRST)


def test_it_is_asked_in_the_version_that_it_offers():
    """Each question is one of those that change nothing."""
    engine = WindowsEngine()

    async def all_of_it(client: EngineClient) -> None:
        assert await client.meet() == About("process", 8)
        (facts,) = await client.containers()
        made, used = await client.made(facts.id), await client.usage(facts.id)
        assert made is not None
        assert used is not None
        assert (made.isolation, used.account.cpu_seconds) == ("process", 12.3456789)

    asking(all_of_it, engine)
    assert engine.asked == [
        "/_ping", "/v1.43/info", "/v1.43/containers/json", f"/v1.43/containers/{told.FIRST}/json",
        f"/v1.43/containers/{told.FIRST}/stats?stream=false&one-shot=true",
    ]  # fmt: skip


def test_one_that_is_gone_has_no_answer():
    """It ended after it was listed."""
    engine = WindowsEngine()
    engine.made, engine.stats = {}, {}

    async def both(client: EngineClient) -> object:
        await client.meet()
        return await client.made(told.FIRST), await client.usage(told.FIRST)

    assert asking(both, engine) == (None, None)


@pytest.mark.parametrize("change", [{"ostype": "linux"}, {"ostype": None, "info": {"OSType": "linux"}}])
def test_an_engine_that_runs_containers_of_linux_is_refused(change):
    """By its first answer, or by what it says of itself."""
    engine = WindowsEngine()
    for name, value in change.items():
        setattr(engine, name, value)
    with pytest.raises(SourceUnavailable, match="runs containers of 'linux'"):
        asking(meet, engine)


def test_an_engine_that_is_switched_is_refused():
    """Docker Desktop can run containers of Linux in place of those of Windows, at the same address."""
    engine = WindowsEngine()

    async def switched(client: EngineClient) -> None:
        await client.meet()
        engine.ostype = "linux"
        await client.containers()

    with pytest.raises(SourceUnavailable, match="runs containers of 'linux'"):
        asking(switched, engine)


async def drip(_: Seen, line: Line) -> None:
    """A byte, and another one, and never the end."""
    await line.send(b"HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await line.send(b" ")
        await asyncio.sleep(0.02)


async def no_http(_: Seen, line: Line) -> None:
    await line.send(b"\x15\x03\x01\x00\x02\x02\x16")


async def hang_up(_: Seen, line: Line) -> None:
    line.reset()


PLAIN_400 = b"Client sent an HTTP request to an HTTPS server.\n"
FAULTS: list[tuple[str, Answer, str]] = [
    ("/_ping", silent, "it does not answer within 0.3 s"),
    ("/info", silent, "it does not answer within 0.3 s"),
    ("/stats?stream=false&one-shot=true", silent, "it does not answer within 0.3 s"),
    ("/info", drip, "it does not answer within 0.3 s"),
    ("/info", cut, "it broke off the connection"),
    ("/_ping", hang_up, "it broke off the connection"),
    ("/_ping", no_http, "it does not speak HTTP"),
    ("/_ping", says(200, b"hello"), "it does not speak the Docker Engine API"),
    ("/_ping", says(200, b"OK", ("Api-Version", "../1")), "it does not speak the Docker Engine API"),
    ("/_ping", says(301, b"", ("Location", "/elsewhere")), "it answered 301"),
    ("/_ping", says(400, PLAIN_400), "it answered 400: 'Client sent an HTTP request to an HTTPS server.'"),
    ("/info", says(500, b'{"message":"hcsshim: it\\nhas failed"}'), "it answered 500: 'hcsshim: it has failed'"),
    ("/info", says(404, b'{"message":"page not found"}'), "it answered 404: 'page not found'"),
    ("/info", says(200, b"<html>"), "its answer has not the form of the Docker Engine API: JSON is malformed"),
    ("/info", says(200, b"{}" + b" " * module.MAX_BYTES), "it sent an answer of more than 1048576 bytes"),
]  # fmt: skip


@pytest.mark.parametrize("ending, answer, reason", FAULTS)
def test_each_failure_has_its_sentence(ending, answer, reason):
    """And an end, however slow the engine is."""
    engine = WindowsEngine()
    engine.wrong[ending] = answer
    with pytest.raises(SourceUnavailable) as failed:
        asking(usage, engine, seconds=0.3)
    assert str(failed.value).startswith(reason)


def test_nobody_is_there():
    """The address is right, or the name is wrong."""

    async def main(engine: Engine) -> str:
        async with EngineClient(engine, None) as client:
            with pytest.raises(SourceUnavailable) as failed:
                await client.meet()
            return str(failed.value)

    async def port_of_nobody() -> int:
        async with listening(silent) as (engine, _):
            return engine.port or 0

    port = asyncio.run(port_of_nobody())
    assert asyncio.run(main(Engine("b", "127.0.0.1", port))) == "connection refused"
    assert asyncio.run(main(Engine("b", "no-such-host.invalid", port))) == "its name is not known here"


# --- TLS


def secure(own: Authority) -> ssl.SSLContext:
    """As a dockerd with `--tlsverify`: it wants a certificate of the same authority."""
    context = own.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own.certificate)
    return context


def meeting(serving: ssl.SSLContext | None, **asking: Any) -> object:
    async def main() -> object:
        async with listening(WindowsEngine(), serving) as (there, _):
            engine = there._replace(**asking)
            async with EngineClient(engine, client_context(engine)) as client:
                return await client.meet()

    return asyncio.run(main())


def test_an_engine_that_wants_a_certificate_gets_it(own):
    """Both sides know the other."""
    cert, key = map(str, own.issue("client"))
    assert meeting(secure(own), ca=str(own.certificate), cert=cert, key=key) == About("process", 8)


def test_an_engine_that_wants_none_needs_the_authority_alone(own):
    """As `--tls` of dockerd."""
    assert meeting(own.server(), ca=str(own.certificate)) == About("process", 8)


def test_an_engine_whose_certificate_has_another_name(own):
    """It is told where the address is not a name that the certificate knows."""
    serving = own.server("build-3.example")
    assert meeting(serving, ca=str(own.certificate), server_name="build-3.example") == About("process", 8)


def test_who_is_not_believed(own, tmp_path):
    """On either side, each with its reason."""
    strange, trusting = str(authority(tmp_path).certificate), str(own.certificate)
    elsewhere = own.server("elsewhere.example")
    broken_off = "it broke off the connection"
    cases = (
        (own.server(), strange, "its certificate is not accepted: unable to get local issuer certificate"),
        (elsewhere, trusting, "its certificate is not accepted: Hostname mismatch"),
        (secure(own), trusting, f"{broken_off}, as one does that asks for a certificate"),
        (own.server(), None, broken_off),
    )
    for serving, ca, reason in cases:
        with pytest.raises(SourceUnavailable) as failed:
            meeting(serving, ca=ca)
        assert str(failed.value).startswith(reason)


def test_an_engine_that_speaks_no_tls(own):
    """It was meant to: as the one that is asked without it and speaks it, it answers what nobody understands."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(400))
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            engine = Engine("b", "localhost", port, ca=str(own.certificate))
            async with EngineClient(engine, client_context(engine)) as client:
                with pytest.raises(SourceUnavailable, match="it does not speak TLS"):
                    await client.meet()

    asyncio.run(main())


def test_connections_are_used_again():
    """One question after the other goes over one; many at once over as many."""

    async def main() -> list[int]:
        async with listening(WindowsEngine()) as (engine, server), EngineClient(engine, None) as client:
            await client.meet()
            for _ in range(3):
                await client.usage(told.FIRST)
            await asyncio.gather(*(client.usage(told.FIRST) for _ in range(4)))
            return [seen.connection for seen in server.seen]

    connections = asyncio.run(main())
    assert connections[:5] == [0, 0, 0, 0, 0]
    assert len(set(connections)) <= 4


def test_an_answer_of_the_largest_size_is_read():
    """A list is longer than other answers."""
    engine = WindowsEngine()
    engine.wrong["/containers/json"] = says(200, told.text([told.LISTED]) + b" " * (4 << 20), VERSION)

    async def listed(client: EngineClient) -> object:
        await client.meet()
        return len(await client.containers())

    assert asking(listed, engine) == 1
