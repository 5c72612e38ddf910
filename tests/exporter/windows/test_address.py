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
    "address",
    [
        "", "10.0.0.7:2376", "npipe:////./pipe/docker_engine", "unix:///var/run/docker.sock", "https://win:2376",
        "tcp://", "tcp://win:port", "tcp://win:0", "tcp://win:70000", "tcp://me@win", "tcp://win/v1.41", "tcp://win?x",
        "tcp://wi n", "tcp://[::1",
    ],
)  # fmt: skip
def test_any_other_address_is_refused(address):
    """With what is accepted."""
    with pytest.raises(
        UsageError, match=r"^b: '.*' is no address of an engine; accepted is NAME=tcp://HOST:PORT"
    ):
        parse_engine(f"b={address}")


@pytest.mark.parametrize(
    "text, reason",
    [
        (
            "tcp://10.0.0.7:2376",
            "'tcp://10.0.0.7:2376' has no name and no address; accepted is NAME=tcp://HOST:PORT",
        ),
        ("b=tcp://win;token=x", "b: 'token=x' is not accepted; accepted is NAME=tcp://HOST:PORT"),
        ("b=tcp://win;runtime=a b", "b: 'a b' is no runtime; it is written as windows-hyperv"),
    ],
)
def test_what_is_no_engine(text, reason):
    """Is said in the words of an engine."""
    with pytest.raises(UsageError) as refused:
        parse_engine(text)
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
