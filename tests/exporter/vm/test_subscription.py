"""What a host shows of a machine that it subscribes to: also of a peer of ephemerd, a broken stream, a hostile one."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from msgspec.structs import replace

from jobmeter.config.options import secret_file
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of
from jobmeter.exporter.vm import subscription
from jobmeter.exporter.vm.credentials import Keys, keys_of, server_credentials
from jobmeter.exporter.vm.subscription import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, BackOff
from jobmeter.exporter.vm.target import Target
from jobmeter.model.account import Account
from jobmeter.model.errors import UsageError
from jobmeter.ops.tls import Certificate
from tests.exporter.rows import BUILD, ENDED, WITHIN
from tests.exporter.vm import ephemerd
from tests.exporter.vm.rig import Guest, Host, Notes, until
from tests.support.certificates import Authority, authority

SOON = 0.05


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are tried again soon."""
    monkeypatch.setattr(subscription, "FIRST_PAUSE_SECONDS", SOON)
    monkeypatch.setattr(subscription, "LONGEST_PAUSE_SECONDS", 2 * SOON)


def used(seconds: float) -> object:
    return replace(BUILD, account=Account(cpu_seconds=seconds, memory_usage_bytes=1))


# --- Our own peer


def test_what_a_machine_tells_is_shown() -> None:
    """With its name and the runtime that the host gives it."""
    guest, host = Guest(BUILD, WITHIN, ENDED), None
    try:
        host = Host(guest.port, runtime="linux-firecracker")
        with host.following():
            until(lambda: len(host.rows()) == 3)
            row = host.rows()["4f0c"]
            assert (row.machine, row.runtime, row.path) == ("vm-1", "linux-firecracker", "vm-1/4f0c")
            assert (row.identity, row.account.cpu_seconds) == (BUILD.identity, 12.75)
            assert host.machine.up
    finally:
        guest.close()


@pytest.mark.usefixtures("impatient")
def test_a_machine_that_comes_back_goes_on(tmp_path: Path) -> None:
    """What it showed stays meanwhile; counters do not begin anew, and nothing is counted twice."""
    guest = Guest(replace(BUILD, account=Account(cpu_seconds=5.0), started=time.time() + 60))
    host = Host(guest.port)
    with host.following():
        until(lambda: host.used() == 5.0)
        guest.close()
        until(lambda: not host.machine.up)
        assert host.used() == 5.0
        until(lambda: host.machine.reconnects >= 2)
        guest = Guest(
            replace(BUILD, account=Account(cpu_seconds=7.0), started=time.time() + 60), port=guest.port
        )
        until(lambda: host.used() == 7.0)
        assert host.rows()["4f0c"].ended is None
        guest.rows = (replace(guest.rows[0], ended=time.time()),)
        until(lambda: host.rows()["4f0c"].ended is not None)
        guest.rows = ()
        until(lambda: not host.rows())
        host.shown.tick()
        totals = dict(host.totals.shown_to(Asking("someone")))
        assert totals[Of("acme/engine", "ci.yml", "build")].cpu_seconds == 7.0
    guest.close()
    assert [note.partition(" {")[0] for note in host.notes.said if "reason" not in note] == [
        "a machine tells of its containers",
        "a machine tells of its containers again",
    ]


def test_a_machine_that_is_not_there() -> None:
    """It is said once, in words."""
    host = Host(1)
    with host.following():
        until(lambda: host.machine.reconnects >= 1)
    assert host.said("it cannot be reached (Connection refused)")
    assert len(host.notes.said) == 1


def test_a_token_that_is_not_taken() -> None:
    """It is said, without the token."""
    guest = Guest(BUILD, token="right")
    host = Host(guest.port, lambda: Keys(token="wr0ng"))
    with host.following():
        until(lambda: host.said("it does not take our token"))
    guest.close()
    assert not host.said("wr0ng")
    assert not host.rows()


def test_a_token_that_is_not_given() -> None:
    """What is asked for is said, in the words of the flags."""
    guest = Guest(BUILD, token="right")
    host = Host(guest.port, Keys)
    with host.following():
        until(lambda: host.said("it asks for a token, and none is given for it: say ;token_file="))
    guest.close()


# --- A peer of ephemerd


def entry(**values: int | str) -> bytes:
    told: dict[str, int | str] = {"id": "calm_wright", "repo": "engine", "cpu_usage_nanos": 10**9}
    return ephemerd.entry(**{**told, **values})


@pytest.fixture
def old() -> Iterator[list[ephemerd.Server]]:
    servers: list[ephemerd.Server] = []
    yield servers
    for one in servers:
        one.close()


def test_what_a_peer_of_ephemerd_is_asked(old: list[ephemerd.Server]) -> None:
    """The interval, and the token under its name."""
    old.append(ephemerd.Server([ephemerd.batch(1)]))
    with Host(old[0].port, lambda: Keys(token="abc")).following():
        until(lambda: old[0].asked)
    request, metadata = old[0].asked[0]
    assert (request.hex(), metadata[ephemerd.TOKEN]) == ("0801", "abc")


def test_what_a_peer_of_ephemerd_leaves_out_is_gone(old: list[ephemerd.Server]) -> None:
    """As its own host takes it; when it is told again it goes on where it was."""
    batches = [
        ephemerd.batch(1, entry(), entry(id="b")),
        ephemerd.batch(2, entry(id="b")),
        ephemerd.batch(3),
        ephemerd.batch(4, entry(cpu_usage_nanos=3 * 10**9)),
    ]
    old.append(ephemerd.Server(batches, pause=0.5))
    old[0].ends = False
    host = Host(old[0].port)
    seen: list[dict[str, bool]] = []
    with host.following():
        while host.machine.batches < 4:
            ended = {row.id: row.ended is not None for row in host.shown.rows}
            if not seen or seen[-1] != ended:
                seen.append(ended)
            time.sleep(0.01)
        until(lambda: host.used("calm_wright") == 3.0)
        assert host.rows()["calm_wright"].ended is None
    assert [one for one in seen if one] == [
        {"calm_wright": False, "b": False},
        {"calm_wright": True, "b": False},
        {"calm_wright": True, "b": True},
    ]


# --- TLS


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def test_both_ends_show_certificates(issued: Authority) -> None:
    """Who shows none, or whose authority is another, is not let in; a certificate of another name is not taken."""
    pair, ours = issued.issue("vm.example"), issued.issue("host.example")
    certificate = Certificate(str(pair[0]), str(pair[1]), Notes())
    credentials = server_credentials(certificate, str(issued.certificate))
    guest = Guest(BUILD, credentials=credentials)
    known = Target(name="vm-1", address="x", ca=str(issued.certificate), cert=str(ours[0]), key=str(ours[1]))
    whole = keys_of(known, "abc", str, Notes())
    assert whole.token == "abc"

    def is_taken(keys: Keys, name: str | None) -> bool:
        host = Host(guest.port, lambda: keys, server_name=name)
        with host.following():
            until(lambda: host.machine.up or host.notes.said)
            return host.machine.up

    assert is_taken(whole, "vm.example")
    assert not is_taken(whole, "other.example")
    assert not is_taken(Keys(ca=whole.ca), "vm.example")
    assert not is_taken(Keys(), None)
    guest.close()


@pytest.mark.parametrize("serves, asks, hint", [
    (True, False, "Socket closed; perhaps it speaks TLS: then say ;ca="),
    (False, True, "WRONG_VERSION_NUMBER; perhaps it speaks no TLS: then leave ;ca= out"),
])  # fmt: skip
def test_tls_at_one_end_alone(issued: Authority, serves: bool, asks: bool, hint: str) -> None:
    """What gRPC says of it is no help, so a hint stands behind it."""
    pair = issued.issue("vm.example")
    certificate = Certificate(str(pair[0]), str(pair[1]), Notes())
    guest = Guest(BUILD, credentials=server_credentials(certificate, None) if serves else None)
    host = Host(guest.port, lambda: Keys(ca=issued.certificate.read_bytes() if asks else None))
    with host.following():
        until(lambda: host.said(f"it cannot be reached ({hint})"))
    guest.close()


def test_an_authority_that_is_another(issued: Authority, tmp_path: Path) -> None:
    """What the operator has set is named."""
    pair = issued.issue("vm.example")
    guest = Guest(
        BUILD, credentials=server_credentials(Certificate(str(pair[0]), str(pair[1]), Notes()), None)
    )
    other = authority(tmp_path).certificate.read_bytes()
    host = Host(guest.port, lambda: Keys(ca=other), server_name="vm.example")
    with host.following():
        until(lambda: host.notes.said)
    assert host.said("it cannot be reached (CERTIFICATE_VERIFY_FAILED; look at ;ca= and ;server_name=)")
    guest.close()


def test_a_certificate_that_is_renewed_is_taken(issued: Authority, tmp_path: Path) -> None:
    """By the next connection."""
    files = tmp_path / "cert", tmp_path / "key"

    def put(name: str) -> None:
        for file, made in zip(files, issued.issue(name), strict=True):
            file.write_bytes(made.read_bytes())

    put("old.example")
    certificate = Certificate(str(files[0]), str(files[1]), Notes(), look_seconds=0.0)
    guest = Guest(BUILD, credentials=server_credentials(certificate, None))
    ca = issued.certificate.read_bytes()
    put("new.example")
    host = Host(guest.port, lambda: Keys(ca=ca), server_name="new.example")
    with host.following():
        until(lambda: host.machine.up or host.notes.said)
        assert host.machine.up
    guest.close()


@pytest.mark.parametrize(
    "key, file", [("ca", "nonesuch"), ("cert", "nonesuch"), ("ca", "key"), ("cert", "key")]
)
def test_files_that_cannot_be_used(issued: Authority, key: str, file: str) -> None:
    """With the machine's name and the file's."""
    issued.issue("host.example")
    ours = {"ca": str(issued.certificate), "cert": str(issued.folder / "host.example.pem")}
    files = {"nonesuch": "/nonesuch", "key": str(issued.folder / "host.example.key")}
    given = ours | {"key": files["key"], key: files[file]}
    with pytest.raises(UsageError, match=rf"^--subscribe: vm-1: {key}: .*(nonesuch|host.example.key)"):
        keys_of(Target(name="vm-1", address="x", **given), None, str, Notes())


def test_a_token_file_that_cannot_be_used() -> None:
    """With the machine's name and the key's, and what is wrong with it."""
    target = Target(name="vm-1", address="x", token_file="/nonesuch")
    with pytest.raises(UsageError, match=r"^--subscribe: vm-1: token_file: .*/nonesuch"):
        keys_of(target, None, secret_file, Notes())


# --- A hostile peer, and a bad link


def test_a_flood_of_batches_is_read_slowly(old: list[ephemerd.Server]) -> None:
    """However many a machine sends: its rest is longer than what it costs."""
    old.append(ephemerd.Server([ephemerd.batch(1, entry())] * 1000))
    host = Host(old[0].port)
    with host.following():
        until(lambda: host.machine.up)
        before = host.machine.batches
        time.sleep(1.0)
        assert host.machine.batches - before <= 6


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "body, said",
    [
        pytest.param(b"\xff", "is no ephemerd.v1.ContainerStatsBatch", id="no batch"),
        pytest.param(b"\x12\x02\x0a\x00" * 1_500_000, "is larger than 4 MiB", id="too large"),
        pytest.param(b"\x12\x00" * 2_000_000, None, id="millions of nothing"),
    ],
)
def test_what_makes_no_sense_is_counted(old: list[ephemerd.Server], body: bytes, said: str | None) -> None:
    """And said; the stream is tried again."""
    old.append(ephemerd.Server([body]))
    host = Host(old[0].port)
    with host.following():
        until(lambda: host.machine.reconnects >= 2)
    assert said is None or host.said(said)
    assert host.machine.refused >= 1
    assert not host.rows()


@pytest.mark.usefixtures("impatient")
def test_what_is_compressed_is_not_read(old: list[ephemerd.Server]) -> None:
    """Four kilobytes may become four megabytes, and these may become more than there is."""
    many = ephemerd.batch(1, *(entry(id=f"{number}") for number in range(1000)))
    assert len(gzip.compress(many)) < len(many) / 2
    old.append(ephemerd.Server([many], options=(("grpc.default_compression_algorithm", 2),)))
    host = Host(old[0].port)
    with host.following():
        until(lambda: host.machine.reconnects >= 2)
    assert host.said("is no ephemerd.v1.ContainerStatsBatch")


@pytest.mark.usefixtures("impatient")
def test_a_machine_that_says_nothing_is_tried_again(
    old: list[ephemerd.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that is cut does not end a stream."""
    monkeypatch.setattr(subscription, "_SILENT_SECONDS", -2.5)
    old.append(ephemerd.Server([ephemerd.batch(1, entry())]))
    old[0].ends = False
    host = Host(old[0].port)
    with host.following():
        until(lambda: host.said("nothing came for too long"))
        assert host.used("calm_wright") == 1.0
        until(lambda: len(old[0].asked) >= 2)


@pytest.mark.usefixtures("impatient")
def test_words_of_a_peer_in_the_log(old: list[ephemerd.Server]) -> None:
    """They are on one line, and cut."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.abort(grpc.StatusCode.INTERNAL, "a\nb" + "x" * 5000)
        yield b""

    server = ephemerd.Server([])
    old.append(server)
    server._stream = refuse  # type: ignore[method-assign]
    host = Host(server.port)
    with host.following():
        until(lambda: host.notes.said)
    assert all("\n" not in note and len(note) < 500 for note in host.notes.said)


# --- Its life


def test_pauses_double_until_a_stream_has_delivered() -> None:
    """From one second to thirty, each a little longer or shorter; opening alone does not count."""
    pauses = BackOff(lambda: 0.5)
    assert [pauses.pause() for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    pauses.delivered()
    assert pauses.pause() == FIRST_PAUSE_SECONDS
    assert (BackOff(lambda: 0.0).pause(), BackOff(lambda: 1.0).pause()) == (0.8, 1.2)
    assert LONGEST_PAUSE_SECONDS == 30.0


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_ends_at_once_is_not_opened_in_a_loop(old: list[ephemerd.Server]) -> None:
    """Each one that brings nothing is waited for longer."""
    old.append(ephemerd.Server([]))
    with Host(old[0].port).following():
        time.sleep(1.0)
    assert 3 <= len(old[0].asked) <= 1.0 / SOON


@pytest.mark.usefixtures("impatient")
def test_a_fault_of_ours_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and the stream is opened again, after the shortest pause where one had delivered."""
    guest = Guest(BUILD)
    host = Host(guest.port)
    tell, pauses = host.shown.tell, []

    def fails_once(*told: object) -> None:
        if not host.notes.said:
            raise ZeroDivisionError("no rows")
        tell(*told)  # type: ignore[arg-type]

    monkeypatch.setattr(host.shown, "tell", fails_once)
    monkeypatch.setattr(host.machine._back_off, "delivered", lambda: pauses.append(host.machine.batches))
    with host.following():
        until(lambda: host.used() is not None)
    guest.close()
    assert host.said("ZeroDivisionError: no rows")
    assert pauses == [1]


def test_nothing_is_left_of_it() -> None:
    """No thread, also where a batch is just being read."""
    before = threading.active_count()
    guest = Guest(BUILD)
    host = Host(guest.port)
    with host.following():
        until(lambda: host.machine.up)
    guest.close()
    until(lambda: threading.active_count() <= before)
