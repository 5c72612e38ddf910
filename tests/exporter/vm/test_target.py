"""Which machine is meant by what an operator wrote."""

from __future__ import annotations

import pytest

from jobmeter.exporter.vm.target import Target, parse_target
from jobmeter.model.errors import UsageError


@pytest.mark.parametrize(
    "text, target",
    [
        ("vm-1=10.0.0.2", Target(name="vm-1", address="10.0.0.2:10001")),
        ("vm-1=[fd00::2]:7", Target(name="vm-1", address="[fd00::2]:7")),
        ("a.b=host;runtime=linux-firecracker", Target(name="a.b", address="host:10001", runtime="linux-firecracker")),
        (
            "a = host:1 ; token-file = /t ; ca=/c; cert=/d;key=/e;server-name=vm.example;",
            Target(
                name="a", address="host:1", token_file="/t", ca="/c", cert="/d", key="/e", server_name="vm.example"
            ),
        ),
    ],
)  # fmt: skip
def test_a_machine(text: str, target: Target) -> None:
    """Without a port ephemerd's; without a runtime it is a virtual machine with Linux."""
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text, sentence",
    [
        (
            "10.0.0.2:10001",
            "'10.0.0.2:10001' has no name and no address; accepted is NAME=HOST:PORT, with ;runtime=",
        ),
        ("a=", "a: '' is not accepted: it is empty"),
        ("a=:10001", "a: ':10001' has no host"),
        ("a=host:99999", "a: 'host:99999' is not accepted: a port is at most 65535"),
        ("a=host;insecure", "a: 'insecure' is not accepted; accepted is NAME=HOST:PORT"),
        ("a=host;runtime=two words", "a: 'two words' is no runtime; it is written as linux-vm"),
    ],
)
def test_what_is_no_machine(text: str, sentence: str) -> None:
    """It is said in one sentence, with the machine's name where it has one."""
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert sentence in str(caught.value)
