"""Machines as an operator writes them: a name, an address, and more behind them."""

from __future__ import annotations

import pytest

from jobmeter.exporter.machine_address import Form, parse_machine
from jobmeter.model.errors import UsageError

FORM = Form("accepted is this", frozenset({"runtime", "ca", "cert", "key", "server_name"}), "linux-vm")


@pytest.mark.parametrize(
    "text, name, address, values",
    [
        ("a.b=host:1", "a.b", "host:1", {}),
        (" a = host ;; runtime = r-1 ; ", "a", "host", {"runtime": "r-1"}),
        ("a=b=c;ca=/c;server-name=d=e", "a", "b=c", {"ca": "/c", "server_name": "d=e"}),
        (f"{'a' * 63}=", "a" * 63, "", {}),
    ],
)
def test_a_machine(text: str, name: str, address: str, values: dict[str, str]) -> None:
    """What stands around a word is not of it; a key may have dashes."""
    assert parse_machine(text, FORM) == (name, address, values)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "'' has no name and no address; accepted is this"),
        ("host:1;ca=/c", "'host:1;ca=/c' has no name and no address"),
        ("a/b=host", "'a/b' is no name of a machine: letters, digits"),
        ("a b=host", "'a b' is no name of a machine"),
        ("-a=host", "'-a' is no name of a machine"),
        ("=host", "'' is no name of a machine"),
        (f"{'a' * 64}=host", f"'{'a' * 59}…' is no name"),
        ("a=host;insecure", "a: 'insecure' is not accepted; accepted is this"),
        ("a=host;token_file=/t", "a: 'token_file=/t' is not accepted"),
        ("a=host;ca=", "a: 'ca=' is not accepted"),
        ("a=host;runtime=two words", "a: 'two words' is no runtime; it is written as linux-vm"),
        ("a=host;ca=/c;cert=/d", "a: cert and key go together"),
        ("a=host;ca=/c;key=/d", "a: cert and key go together"),
        ("a=host;cert=/d;key=/e", "a: cert needs ca: without it there is no TLS"),
        ("a=host;server_name=b", "a: server_name needs ca"),
    ],
)
def test_what_is_no_machine(text: str, sentence: str) -> None:
    """It is said in one sentence, with the machine's name where it has one."""
    with pytest.raises(UsageError) as caught:
        parse_machine(text, FORM)
    assert str(caught.value).startswith(sentence)
