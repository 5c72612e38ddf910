"""A forge's REST API over a socket: the token is shown to it, and nothing of what it says is believed blindly."""

from __future__ import annotations

import asyncio

import pytest

from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.gateway.rest import MAX_BYTES, Rest
from jobmeter.model.errors import JobmeterError
from tests.support.forges.raw import Line, Seen, raw_forge, response


def asked(answer: bytes, path: str = "") -> tuple[bytes | str, Seen]:
    """The body, or the sentence of the error, and the request as the forge saw it."""

    async def main() -> tuple[bytes | str, Seen]:
        seen = []

        async def answers(one: Seen, line: Line) -> None:
            seen.append(one)
            await line.send(answer)

        async with raw_forge(answers) as forge:
            options = ForgeOptions(name="forge", kind="forgejo", url=forge.url.rstrip("/") + path)
            async with Rest(options, "s3cret") as rest:
                try:
                    return await rest.get("/api/v1/admin/actions/runners/jobs"), seen[0]
                except JobmeterError as error:
                    return str(error), seen[0]

    return asyncio.run(main())


def test_an_answer() -> None:
    """Below the path of the forge, with the token."""
    body, seen = asked(response(200, b"[]"), "/git/")
    assert (body, seen.target) == (b"[]", "/git/api/v1/admin/actions/runners/jobs")
    assert seen.by_name["authorization"] == "token s3cret"


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (response(401, b"s3cret"), "the forge's API answers 401: the token is not accepted"),
        (response(403), "the forge's API answers 403: the token may not ask this"),
        (response(404), "the forge's API answers 404: it does not offer this, or not for this scope"),
        (response(302, b"", ("Location", "http://elsewhere.example/")), "the forge's API answers 302"),
        (response(500), "the forge's API answers 500"),
        (response(200, b" " * (MAX_BYTES + 1)), "the forge's API answers with more than 8388608 bytes"),
    ],
)
def test_what_is_no_answer(answer: bytes, sentence: str) -> None:
    """One sentence, without the token and without what the forge said."""
    assert asked(answer)[0] == sentence
