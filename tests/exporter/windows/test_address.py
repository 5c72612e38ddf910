"""Where an engine is asked: the words that are taken, and the certificates that are used."""

from __future__ import annotations

import pytest

from jobmeter.exporter.windows.address import Engine, client_context, parse_engine
from jobmeter.model.errors import UsageError
from tests.support.certificates import authority


@pytest.mark.parametrize(
    "text, engine",
    [
        ("build-3=tcp://10.0.0.7:2376", Engine("build-3", "10.0.0.7", 2376)),
        (" b.3=tcp://win.example ", Engine("b.3", "win.example")),
        ("b=tcp://win.example:2376/", Engine("b", "win.example", 2376)),
        ("b=tcp://[fd00::7]:2376", Engine("b", "fd00::7", 2376)),
        ("b=tcp://win;runtime=windows-hyperv;", Engine("b", "win", runtime="windows-hyperv")),
        (
            "b=tcp://win; ca=/c/ca.pem; cert=/c/cert.pem; key=/c/key.pem; server-name=build",
            Engine("b", "win", None, "/c/ca.pem", "/c/cert.pem", "/c/key.pem", "build"),
        ),
    ],
)  # fmt: skip
def test_an_engine_is_a_name_and_an_address(text, engine):
    """The port may be left out, and more may be said."""
    assert parse_engine(text) == engine


def test_without_a_port_it_is_dockers_own():
    """2376 with TLS, 2375 without."""
    engine = Engine("b", "fd00::7")
    assert (engine.url, engine.address) == ("http://[fd00::7]:2375", "tcp://[fd00::7]:2375")
    assert engine._replace(ca="ca.pem").url == "https://[fd00::7]:2376"
    assert Engine("b", "win", 9).address == "tcp://win:9"


@pytest.mark.parametrize(
    "text",
    [
        "", "build-3", "tcp://10.0.0.7:2376", "=tcp://10.0.0.7", "a b=tcp://10.0.0.7", "-b=tcp://10.0.0.7",
        "b=10.0.0.7:2376", "b=npipe:////./pipe/docker_engine", "b=unix:///var/run/docker.sock", "b=https://win:2376",
        "b=tcp://", "b=tcp://win:port", "b=tcp://win:0", "b=tcp://win:70000", "b=tcp://me@win", "b=tcp://win/v1.41",
        "b=tcp://win?x", "b=tcp://wi n", "b=tcp://[::1", f"{'b' * 64}=tcp://win",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    """With what is accepted."""
    with pytest.raises(UsageError, match=r"is no engine; accepted is NAME=tcp://HOST:PORT, with ;ca="):
        parse_engine(text)


@pytest.mark.parametrize(
    "more, reason",
    [
        ("token=x", "b: 'token=x' is not accepted; accepted is NAME=tcp://HOST:PORT"),
        ("ca=", "b: 'ca=' is not accepted"),
        ("runtime=a b", "b: 'a b' is no runtime; it is written as windows-hyperv"),
        ("ca=x;cert=y", "b: cert and key go together"),
        ("cert=x;key=y", "b: cert needs ca: without it there is no TLS"),
        ("server_name=x", "b: server_name needs ca"),
    ],
)
def test_what_is_said_more_is_of_these(more, reason):
    """And some need others."""
    with pytest.raises(UsageError) as refused:
        parse_engine(f"b=tcp://win;{more}")
    assert str(refused.value).startswith(reason)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("certificates"))


def test_the_certificates_are_used(own):
    """The authority alone will do where the engine asks for none; without it there is no TLS."""
    cert, key = map(str, own.issue("client"))
    engine = Engine("b", "win", ca=str(own.certificate))
    for one in (engine, engine._replace(cert=cert, key=key)):
        context = client_context(one)
        assert context is not None
        assert context.check_hostname
        assert context.cert_store_stats()["x509_ca"] == 1
    assert client_context(Engine("b", "win")) is None


def test_certificates_that_cannot_be_used_are_refused(own, tmp_path):
    """Each with its reason."""
    cert, key = map(str, own.issue("client"))
    _, other = map(str, own.issue("other"))
    engine = Engine("b", "win", ca=str(own.certificate), cert=cert, key=other)
    with pytest.raises(
        UsageError, match=r"b: .*/client.pem cannot be used: OpenSSL says KEY_VALUES_MISMATCH"
    ):
        client_context(engine)
    with pytest.raises(UsageError, match=r"b: /nowhere cannot be used: No such file or directory"):
        client_context(engine._replace(ca="/nowhere"))
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=r"ca.pem cannot be used: OpenSSL says"):
        client_context(engine._replace(ca=str(tmp_path / "ca.pem"), key=key))
