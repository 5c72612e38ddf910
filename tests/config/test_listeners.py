"""Where the gateway listens, and its forges are: no two at one address, and nothing in a circle."""

from __future__ import annotations

import pytest

from jobmeter.config.forges import ForgeSettings
from jobmeter.config.listeners import Listener, address_mistakes, address_notes
from jobmeter.ops.addresses import Address

METRICS = Listener(Address("127.0.0.1", 9252), "the metrics (metrics_server: '127.0.0.1:9252')")
ONE = "g.toml: [[forge]] 1 'one'"


def forge(listen: str, url: str = "https://forge.example/", public_url: str | None = None) -> ForgeSettings:
    """One with these addresses."""
    return ForgeSettings(name="one", kind="gitea", url=url, listen=listen, public_url=public_url, place=ONE)


@pytest.mark.parametrize(
    "listen, taken",
    [
        ("127.0.0.1:9252", True),
        ("localhost:9252", True),
        (":9252", True),
        ("0.0.0.0:9252", True),
        ("[::ffff:127.0.0.1]:9252", True),
        ("127.0.0.1:9253", False),
        ("127.0.0.2:9252", False),
        ("10.0.0.1:9252", False),
        ("[::1]:9252", False),
    ],
)
def test_no_two_listen_at_one_address(listen: str, taken: bool) -> None:
    """However it is written."""
    sentence = f"{ONE}: listen: {listen!r} is taken by {METRICS.what}; each has its own"
    assert list(address_mistakes([METRICS], [forge(listen)])) == [sentence] * taken


def test_two_forges_at_one_address() -> None:
    """The second is told where the first is; any free port is nobody's."""
    sentence = f"{ONE}: listen: ':8090' is taken by [[forge]] 1 'one'; each has its own"
    assert list(address_mistakes([], [forge("127.0.0.1:8090"), forge(":8090")])) == [sentence]
    assert list(address_mistakes([], [forge("127.0.0.1:0"), forge("127.0.0.1:0")])) == []


@pytest.mark.parametrize(
    "url, listen, circle",
    [
        ("http://127.0.0.1:8090/", "127.0.0.1:8090", True),
        ("http://localhost:8090", "127.0.0.1:8090", True),
        ("http://LOCALHOST:8090/git/", "[::1]:8090", True),
        ("http://[::1]:8090", ":8090", True),
        ("http://127.0.0.1:8090", "0.0.0.0:8090", True),
        ("http://127.0.0.1:8090", "[::]:8090", True),
        ("http://0.0.0.0:8090", "127.0.0.1:8090", True),
        ("http://0.0.0.0:8090", ":8090", True),
        ("http://10.0.0.1:8090", "10.0.0.1:8090", True),
        ("https://Forge.example./", "forge.example:443", True),
        ("http://forge.example/", "forge.example:80", True),
        ("http://127.0.0.1:3000", "127.0.0.1:8090", False),
        ("http://127.0.0.2:8090", "127.0.0.1:8090", False),
        ("http://10.0.0.1:8090", ":8090", False),
        ("http://forge.example:8090", ":8090", False),
        ("http://0.0.0.0:8090", "10.0.0.1:8090", False),
    ],
)
def test_a_forge_is_not_the_gateway(url: str, listen: str, circle: bool) -> None:
    """As far as the addresses themselves tell: another host may be this machine, or another one."""
    sentence = (
        f"{ONE}: url: {url!r} is the gateway itself, which listens there for [[forge]] 1 'one'; accepted is the "
        f"address of the forge"
    )
    assert list(address_mistakes([], [forge(listen, url)])) == [sentence] * circle


def test_a_forge_is_not_the_metrics() -> None:
    """Nor what the gateway is for another forge."""
    (sentence,) = address_mistakes([METRICS], [forge(":8090", "http://localhost:9252")])
    assert f"which listens there for {METRICS.what}" in sentence
    (sentence,) = address_mistakes([], [forge(":8090", "http://localhost:8091"), forge(":8091")])
    assert "which listens there for [[forge]] 1 'one'" in sentence


@pytest.mark.parametrize(
    "listen, public_url, notes",
    [
        ("127.0.0.1:8090", None, [f"{ONE}: listen: jobs reach the forge at"]),
        ("localhost:8090", None, [f"{ONE}: listen: jobs reach the forge at"]),
        (":8090", None, []),
        ("10.0.0.1:8090", None, []),
        ("127.0.0.1:8090", "https://runners.example/", []),
        (":8090", "http://localhost:8090/", [f"{ONE}: public_url: in a container localhost is the container itself"]),
        ("127.0.0.1:8090", "http://[::1]/", [f"{ONE}: public_url: in a container ::1 is the container itself"]),
        (":8090", "https://FORGE.example:443/git/", [f"{ONE}: url: it is the server of public_url too: if what"]),
        (":8090", "http://forge.example/", []),
    ],
)  # fmt: skip
def test_addresses_that_are_seldom_meant(listen: str, public_url: str | None, notes: list[str]) -> None:
    """One that no container reaches, and that of a proxy that may pass requests back."""
    found = list(address_notes(forge(listen, public_url=public_url)))
    assert [sentence[: len(note)] for sentence, note in zip(found, notes, strict=True)] == notes
