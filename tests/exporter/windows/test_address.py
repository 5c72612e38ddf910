"""Where an engine is asked: the words that are taken, and the certificates that Docker's clients would use."""

from __future__ import annotations

import shutil

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
    ],
)
def test_an_engine_is_a_name_and_an_address(text, engine):
    """The port may be left out."""
    assert parse_engine(text) == engine


def test_without_a_port_it_is_dockers_own():
    """2376 with TLS, 2375 without."""
    engine = Engine("b", "fd00::7")
    assert engine.url(tls=True) == "https://[fd00::7]:2376"
    assert engine.url(tls=False) == "http://[fd00::7]:2375"
    assert engine.shown(tls=True) == "tcp://[fd00::7]:2376"
    assert Engine("b", "win", 9).shown(tls=False) == "tcp://win:9"


@pytest.mark.parametrize(
    "text",
    [
        "", "build-3", "tcp://10.0.0.7:2376", "=tcp://10.0.0.7", "a b=tcp://10.0.0.7", "-b=tcp://10.0.0.7",
        "b=10.0.0.7:2376", "b=npipe:////./pipe/docker_engine", "b=unix:///var/run/docker.sock", "b=https://win:2376",
        "b=tcp://", "b=tcp://win:port", "b=tcp://win:0", "b=tcp://win:70000", "b=tcp://me@win", "b=tcp://win/v1.41",
        "b=tcp://win?x", "b=tcp://wi n", "b=tcp://[::1", f"{'b' * 65}=tcp://win",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    """With what is accepted."""
    with pytest.raises(
        UsageError, match=r"accepted is NAME=tcp://HOST:PORT, as build-3=tcp://10\.0\.0\.7:2376"
    ):
        parse_engine(text)


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """A directory as `DOCKER_CERT_PATH` names it, and the key of another certificate."""
    folder = tmp_path_factory.mktemp("issued")
    found = authority(folder)
    certificate, key = found.issue("client")
    certificate.rename(folder / "cert.pem")
    key.rename(folder / "key.pem")
    found.issue("other")
    return folder


@pytest.fixture
def certificates(issued, tmp_path):
    """A copy that a test may change."""
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(issued / name, tmp_path / name)
    return tmp_path


def test_the_certificates_of_a_directory_are_used(certificates):
    """The authority alone will do where the engine asks for no certificate."""
    assert client_context(str(certificates), "b").cert_store_stats()["x509_ca"] == 1
    (certificates / "cert.pem").unlink()
    (certificates / "key.pem").unlink()
    assert client_context(str(certificates), "b").check_hostname


def test_an_engine_may_have_certificates_of_its_own(certificates):
    """In a directory of its name."""
    own = certificates / "b"
    own.mkdir()
    with pytest.raises(UsageError, match=f"{own}/ca.pem cannot be used: No such file or directory"):
        client_context(str(certificates), "b")
    assert client_context(str(certificates), "c")


def test_certificates_that_cannot_be_used_are_refused(certificates, issued):
    """Each with its reason."""
    shutil.copy(issued / "other.key", certificates / "key.pem")
    with pytest.raises(UsageError, match=r"cert.pem cannot be used: OpenSSL says KEY_VALUES_MISMATCH"):
        client_context(str(certificates), "b")
    (certificates / "key.pem").unlink()
    with pytest.raises(UsageError, match=r"has only one of cert.pem and key.pem; both are needed, or none"):
        client_context(str(certificates), "b")
    (certificates / "ca.pem").write_text("no certificate")
    (certificates / "cert.pem").unlink()
    with pytest.raises(UsageError, match=r"ca.pem cannot be used: OpenSSL says"):
        client_context(str(certificates), "b")
