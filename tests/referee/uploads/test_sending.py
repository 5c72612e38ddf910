"""What all uploads over HTTP share: refusals before the end, TLS, proxies."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from jobmeter.model.errors import SendError, UsageError
from jobmeter.referee.uploads.options import UploadOptions
from jobmeter.referee.uploads.places import place_of
from jobmeter.referee.uploads.sending import Sending
from tests.referee.server import says
from tests.referee.uploads.places import ATTACHMENT, TOKEN, created
from tests.support.certificates import Authority, authority
from tests.support.forges.raw import Answer, raw_forge
from tests.support.receivers import closed_port


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"))


async def _at_once(_: float) -> None:
    """No pause."""


SENDING = Sending(timeout=5, pause=_at_once)


def gitlab(url: str, ca_file: Path | None = None) -> UploadOptions:
    file = None if ca_file is None else str(ca_file)
    return UploadOptions(kind="gitlab", address=f"{url}/api/v4", job_id="1", token=TOKEN, ca_file=file)


def over_tls(own: Authority, answer: Answer, ca_file: Path | None) -> str:
    """Where it is, or why not."""

    async def main() -> str:
        async with raw_forge(answer, own.server()) as server:
            try:
                place = place_of(gitlab(server.url.rstrip("/"), ca_file), SENDING)
                return await place.upload(ATTACHMENT)
            except SendError as error:
                return str(error)

    return asyncio.run(main())


@pytest.mark.parametrize("reset", [True, False])
def test_a_refusal_that_comes_before_the_end_of_a_large_file_is_heard(reset: bool) -> None:
    """As a front answers that has seen enough, and does not read the rest."""
    tries: list[int] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.transport.abort() if reset else writer.close()

    async def main() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            large = ATTACHMENT._replace(content=os.urandom(8 * 1024 * 1024))
            await place_of(gitlab(url), SENDING).upload(large)

    with pytest.raises(SendError, match="GitLab answered 413"):
        asyncio.run(main())
    assert len(tries) == 1


def test_a_gitlab_of_an_authority_of_its_own_is_accepted(own: Authority) -> None:
    """Where the job's environment names the authority, and only there."""
    assert over_tls(own, created, own.certificate).startswith("attached to GitLab's job 1")
    assert over_tls(own, created, None).startswith(
        "GitLab cannot be reached: its certificate is not accepted: "
    )


def test_authorities_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """By the variable that names them."""
    (tmp_path / "ca.pem").write_text("nothing")
    for file in (tmp_path / "ca.pem", tmp_path / "gone"):
        with pytest.raises(
            UsageError, match=r"CI_SERVER_TLS_CA_FILE: .* has no certificate that can be read"
        ):
            place_of(gitlab("https://gitlab.example", file))


def test_no_redirect_leads_to_where_nothing_is_encrypted(own: Authority) -> None:
    """Neither token nor file goes there."""
    answer = says(307, b"", ("Location", f"http://127.0.0.1:{closed_port()}/"))
    sentence = "GitLab answered 307: it leads to where nothing is encrypted"
    assert over_tls(own, answer, own.certificate) == sentence


def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whole URLs, with its own password."""

    async def main() -> None:
        async with raw_forge(created) as proxy:
            monkeypatch.setenv("http_proxy", f"http://me:mine@localhost:{proxy.port}")
            await place_of(gitlab("http://gitlab.example"), SENDING).upload(ATTACHMENT)
            (seen,) = proxy.seen
        assert seen.target.startswith("http://gitlab.example/api/v4/jobs/1/artifacts?")
        assert seen.by_name["proxy-authorization"] == "Basic bWU6bWluZQ=="

    asyncio.run(main())
