"""Marks: a job says where a section begins."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.supervise import marks
from jobmeter.supervise.marks import (
    MAX_MARKS,
    MAX_NAME_CHARACTERS,
    MarkListener,
    Sender,
    clean_name,
    send_mark,
)
from tests.support.fake_host import open_descriptors


@pytest.fixture(params=["abstract", "path"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MarkListener]:
    address = f"@jobmeter-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "socket")
    found = MarkListener(address)
    yield found
    found.close()


@pytest.mark.parametrize(
    "name, kept",
    [
        ("tests", "tests"),
        ("  unit \t tests\n", "unit tests"),
        ("a\x1b[31mb\x00c\u202e", "a [31mb c"),
        ("é 漢", "é 漢"),
        ("", ""),
        ("\n\x00", ""),
        ("x" * 500, "x" * MAX_NAME_CHARACTERS),
    ],
)
def test_names_are_one_printable_line(name, kept) -> None:
    """They are shown in terminals and pages, so nothing in them moves a cursor or breaks a line."""
    assert clean_name(name) == kept


@given(st.text(max_size=300))
def test_any_name_is_bounded_and_printable(name) -> None:
    """Whatever a job says; cleaning twice changes nothing."""
    kept = clean_name(name)
    assert len(kept) <= MAX_NAME_CHARACTERS
    assert kept.isprintable()
    assert clean_name(kept) == kept


def _answer_all(listener: MarkListener, names: list[str], count: int) -> None:
    while len(names) < count:
        for name, sender in listener.read():
            names.append(name)
            listener.answer(sender)


def test_a_mark_is_heard_and_answered(listener: MarkListener) -> None:
    """The sender waits until the sample of this moment was taken."""
    names: list[str] = []
    thread = threading.Thread(target=_answer_all, args=(listener, names, 2))
    thread.start()
    assert send_mark(listener.address, "configure")
    assert send_mark(listener.address, "make\ntest")
    thread.join()
    assert names == ["configure", "make test"]


def test_nobody_listens(tmp_path: Path) -> None:
    """The sender is told, and goes on."""
    assert not send_mark("@jobmeter-test-nobody", "x")
    assert not send_mark(str(tmp_path / "nothing"), "x")
    (tmp_path / "file").touch()
    assert not send_mark(str(tmp_path / "file"), "x")


def test_a_listener_that_does_not_answer_holds_nobody_up(
    listener: MarkListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark was sent; the job goes on after a moment."""
    monkeypatch.setattr(marks, "_ANSWER_SECONDS", 0.01)
    assert send_mark(listener.address, "x")
    assert [name for name, _ in listener.read()] == ["x"]


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"\n", b"x" * 10_000])
def test_hostile_datagrams(listener: MarkListener, data: bytes) -> None:
    """Nothing that arrives is a traceback; a sender without an address gets no answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        address: str | bytes = listener.address
        sender.sendto(data, "\0" + listener.address[1:] if listener.address.startswith("@") else address)
    for name, whom in listener.read():
        assert 0 < len(name) <= MAX_NAME_CHARACTERS
        listener.answer(whom)
    assert listener.read() == []


def test_marks_are_bounded(listener: MarkListener) -> None:
    """Each takes a sample, so a job that sets thousands does not meter itself to death."""
    heard = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        for _ in range(MAX_MARKS + 100):
            sender.sendto(
                b"x", "\0" + listener.address[1:] if listener.address.startswith("@") else listener.address
            )
            heard += len(listener.read())
    assert heard == MAX_MARKS


@pytest.mark.parametrize("admitted", [True, False])
def test_who_may_mark(tmp_path: Path, admitted: bool) -> None:
    """The kernel says who has sent each; whoever is not admitted is not heard."""
    senders: list[Sender] = []
    listener = MarkListener(str(tmp_path / "socket"), lambda sender: senders.append(sender) or admitted)  # type: ignore[func-returns-value]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", listener.address)
    assert [name for name, _ in listener.read()] == (["x"] if admitted else [])
    assert senders == [Sender(os.getpid(), os.geteuid())]
    listener.close()


def test_an_address_that_is_taken_is_an_error() -> None:
    """And leaves no descriptor behind."""
    first = MarkListener("@jobmeter-test-taken")
    before = open_descriptors()
    with pytest.raises(OSError, match="in use"):
        MarkListener("@jobmeter-test-taken")
    assert open_descriptors() == before
    first.close()
    MarkListener("@jobmeter-test-taken").close()


def test_a_socket_left_by_a_killed_meter_is_replaced(tmp_path: Path) -> None:
    """But what is no socket is not ours to remove."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    MarkListener(str(path)).close()
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        MarkListener(str(path))
    assert path.read_text() == "precious"
