"""The forge's address, its certificates, and sentences for all that can go wrong on the way to it."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.relay.upstream import Limits, Unreachable, Upstream
from jobmeter.model.errors import UsageError
from tests.support.certificates import Authority, authority
from tests.support.forges.raw import Line, Seen, raw_forge, response


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


PATIENT = Limits(10.0, 10.0)


def upstream(url: str, **options) -> Upstream:
    return Upstream(ForgeOptions(name="forge", kind="forgejo", url=url, **options))


async def ask(forge: Upstream, limits: Limits = PATIENT) -> bytes:
    async with forge.ask("GET", "/", [], limits=limits) as answered:
        return b"".join([chunk async for chunk in answered.chunks()])


async def hello(seen: Seen, line: Line) -> None:
    await line.send(response(200, b"hello"))


def test_an_authority_of_ones_own(own):
    """With it the forge is believed, without it not, and insecure believes everybody."""

    async def main():
        async with raw_forge(hello, own.server()) as forge:
            async with upstream(forge.url, ca_cert=str(own.certificate)) as trusting:
                assert await ask(trusting) == b"hello"
            async with upstream(forge.url, insecure=True) as careless:
                assert await ask(careless) == b"hello"
            async with upstream(forge.url) as careful:
                with pytest.raises(Unreachable, match="certificate is not accepted"):
                    await ask(careful)

    asyncio.run(main())


def test_a_certificate_for_another_name(own):
    """It is not that of the forge."""

    async def main():
        context = own.server("elsewhere.example")
        async with (
            raw_forge(hello, context) as forge,
            upstream(forge.url, ca_cert=str(own.certificate)) as asked,
        ):
            with pytest.raises(Unreachable, match="certificate is not accepted"):
                await ask(asked)

    asyncio.run(main())


def test_a_client_certificate(own):
    """A forge that wants one gets it; without it there is no answer."""

    async def main():
        certificate, key = own.issue("runner")
        context = own.server()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(own.certificate)
        async with raw_forge(hello, context) as forge:
            known = {"client_cert": str(certificate), "client_key": str(key)}
            async with upstream(forge.url, ca_cert=str(own.certificate), **known) as asked:
                assert await ask(asked) == b"hello"
            async with upstream(forge.url, ca_cert=str(own.certificate)) as unknown:
                with pytest.raises(Unreachable):
                    await ask(unknown)

    asyncio.run(main())


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"ca_cert": "none"}, "ca_cert: .*none cannot be read: No such file or directory"),
        ({"ca_cert": "empty"}, r"ca_cert: .*empty has no certificate in PEM \(-----BEGIN …\)"),
        ({"client_cert": "empty", "client_key": "empty"}, "client_cert: '.*' cannot be used: "),
    ],
)
def test_certificates_that_cannot_be_used(given, sentence, tmp_path):
    """They are a mistake of who gave them, told when the relay is made."""
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UsageError, match=f"forge 'forge': {sentence}"):
        upstream("https://forge.example/", **{key: str(tmp_path / name) for key, name in given.items()})


def test_a_forge_that_speaks_no_tls():
    """It was meant to."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(400))
        writer.close()

    async def main():
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with upstream(f"https://localhost:{port}/") as asked:
                with pytest.raises(Unreachable, match="TLS is not agreed on"):
                    await ask(asked)

    asyncio.run(main())


@pytest.mark.parametrize("limits", [Limits(total=0.2), Limits(silence=0.2)])
def test_a_forge_that_does_not_answer(limits):
    """It accepts and says nothing."""

    async def silent(seen: Seen, line: Line) -> None:
        await line.closed()

    async def main():
        async with raw_forge(silent) as forge, upstream(forge.url) as asked:
            with pytest.raises(Unreachable, match="took too long"):
                await ask(asked, limits)

    asyncio.run(main())


def test_connections_are_used_again():
    """One for requests that follow one another; one that was left in mid-answer is not."""

    async def answer(seen: Seen, line: Line) -> None:
        await line.send(response(200, b"x" * 8_000_000))

    async def main():
        async with raw_forge(answer) as forge, upstream(forge.url) as asked:
            for _ in range(3):
                await ask(asked)
            async with asked.ask("GET", "/", []):
                pass
            await ask(asked)
            assert [seen.connection for seen in forge.seen] == [0, 0, 0, 0, 1]

    asyncio.run(main())


def test_no_secret_is_in_a_message():
    """Neither the password of an address nor what was asked."""

    async def main():
        async with raw_forge() as forge:
            port = forge.port
        async with upstream(f"http://someone:hidden@localhost:{port}/") as asked:
            with pytest.raises(Unreachable) as told:
                async with asked.ask("GET", "/secret?token=hidden", [("x-runner-token", "hidden")]):
                    pass
        assert "hidden" not in str(told.value)

    asyncio.run(main())
