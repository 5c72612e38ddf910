"""Every form of an address, and what becomes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import UsageError
from jobmeter.ops.addresses import Address, AddressError, address_of, with_default_port

REFUSED = "refused"
PORT = 9252

# What was written; with its port, as the runners' metrics servers have it; where our daemons listen.
FORMS = [
    ("", "", REFUSED),
    ("localhost", "localhost:9252", Address("localhost", PORT)),
    ("localhost:1234", "localhost:1234", Address("localhost", 1234)),
    (":1234", ":1234", Address("", 1234)),
    (":9252", ":9252", Address("", PORT)),
    (":http", ":http", Address("", 80)),
    ("[2001:db8::1]:http", "[2001:db8::1]:http", Address("2001:db8::1", 80)),
    ("[2001:db8::1]", "[2001:db8::1]:9252", Address("2001:db8::1", PORT)),
    ("0.0.0.0", "0.0.0.0:9252", Address("0.0.0.0", PORT)),
    ("[127.0.0.1]:80", "[127.0.0.1]:80", Address("127.0.0.1", 80)),
    ("host:0", "host:0", Address("host", 0)),
    ("host:080", "host:080", Address("host", 80)),
    ("[]:80", "[]:80", Address("", 80)),
    ("localhost::1234", REFUSED, REFUSED),
    ("2001:db8::1", REFUSED, REFUSED),
    ("[::1]::80", REFUSED, REFUSED),
    ("[::1", REFUSED, REFUSED),
    ("[::1]x:80", REFUSED, REFUSED),
    ("[[::1]]:80", REFUSED, REFUSED),
    ("::1]:80", REFUSED, REFUSED),
    ("host]:80", REFUSED, REFUSED),
    # What the parser of those servers lets pass, and nobody can listen on.
    ("localhost:", "localhost::9252", REFUSED),
    ("[::1]:", "[::1]::9252", REFUSED),
    (":", "::9252", REFUSED),
    ("9252", "9252:9252", REFUSED),
    ("host:99999", "host:99999", REFUSED),
    ("host:65536", "host:65536", REFUSED),
    ("host:nosuchservice", "host:nosuchservice", REFUSED),
    ("host:-1", "host:-1", REFUSED),
    ("host:\u0663", "host:\u0663", REFUSED),
    ("host:80 ", "host:80 ", REFUSED),
    (" ", " :9252", REFUSED),
    ("a b:80", "a b:80", REFUSED),
    ("a\nb:80", "a\nb:80", REFUSED),
    ("a\0b:80", "a\0b:80", REFUSED),
    ("*:80", "*:80", REFUSED),
]


@pytest.mark.parametrize("text, completed, _", FORMS)
def test_the_default_port_is_added_where_there_is_none(text, completed, _) -> None:
    """To the text as it is; nothing at all means that nothing listens."""
    if completed == REFUSED:
        with pytest.raises(AddressError, match="HOST alone means port 9252"):
            with_default_port(text, PORT)
    else:
        assert with_default_port(text, PORT) == completed


@pytest.mark.parametrize("text, _, address", FORMS)
def test_an_address_is_taken_apart_or_refused(text, _, address) -> None:
    """What nobody could listen on is refused by how it is written already."""
    if address == REFUSED:
        with pytest.raises(AddressError, match="HOST alone means port 9252"):
            address_of(text, PORT)
    else:
        assert address_of(text, PORT) == address


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "it is empty"),
        ("2001:db8::1", "an IPv6 address is written in brackets"),
        ("[::1", "brackets do not fit"),
        ("localhost:", "no port behind the colon"),
        ("8080", "a port alone is written with a colon, :8080"),
        ("host:65536", "a port is at most 65535"),
        (":" + "9" * 5000, "a port is at most 65535"),
        ("host:gopher70", "the service 'gopher70' is not known here"),
        ("a b", "no blanks"),
        ("*", "without a host"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    """In one sentence of bounded length, which is a mistake of who wrote it."""
    with pytest.raises(UsageError) as raised:
        address_of(text, PORT)
    said = str(raised.value)
    assert why in said
    assert said.count(". ") == said.count("\n") == 0
    assert len(said) < 300


def test_services_are_known_without_a_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a small image."""

    def unknown(*_: str) -> int:
        raise OSError("service/proto not found")

    monkeypatch.setattr("socket.getservbyname", unknown)
    assert [address_of(f":{name}", PORT).port for name in ("http", "https")] == [80, 443]
    with pytest.raises(AddressError, match="a port is a number"):
        address_of(":gopher", PORT)


@pytest.mark.parametrize("text", ["host:80", ":80", "[2001:db8::1]:80"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    """An IPv6 address in its brackets."""
    assert str(address_of(text, PORT)) == text


@given(st.text() | st.text("[]:.1a"))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """What is refused before a port is added is refused afterwards too, and a text with its port stays as it is."""
    try:
        found = address_of(text, PORT)
    except AddressError:
        return
    completed = with_default_port(text, PORT)
    assert with_default_port(completed, 1) == completed
    assert address_of(completed, 1) == found
