"""Options of `jobmeter receiver`."""

from __future__ import annotations

import pytest

from jobmeter.config.receiver import receiver_settings
from jobmeter.model.errors import UsageError


def test_the_defaults_are_those_of_seed_000():
    """Port 8080 on all addresses, metrics.db here, no tokens."""
    found = receiver_settings([], {})
    assert (found.listen, found.db, found.read_token, found.push_token) == (":8080", "metrics.db", None, None)
    assert found.lost_after == 300.0


@pytest.mark.parametrize(
    "argv, environ, listen, place",
    [
        ([], {}, ":8080", "--listen"),
        (["--addr=:1"], {}, ":1", "--addr"),
        (["--listen", ":1"], {}, ":1", "--listen"),
        (["--addr", ":1"], {"JOBMETER_LISTEN": ":2"}, ":1", "--addr"),
        ([], {"JOBMETER_LISTEN": ":2"}, ":2", "JOBMETER_LISTEN"),
    ],
)
def test_where_to_listen_has_two_names(argv, environ, listen, place):
    """The seed's and ours; a flag is stronger than a variable. A refusal names the one that was used."""
    found = receiver_settings(argv, environ)
    assert (found.listen, found.listen_place) == (listen, place)


def test_tokens_come_from_flags_variables_and_files(tmp_path):
    """The seed's variables; each also as a file."""
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environ = {"RECEIVER_READ_TOKEN": "from-variable", "RECEIVER_PUSH_TOKEN_FILE": str(file)}
    found = receiver_settings([], environ)
    assert (found.read_token, found.push_token) == ("from-variable", "from-file")
    assert receiver_settings(["--read-token=from-flag"], environ).read_token == "from-flag"
    assert receiver_settings([f"--read-token-file={file}"], environ).read_token == "from-file"


@pytest.mark.parametrize(
    "argv, environ, sentence",
    [
        ([], {"RECEIVER_READ_TOKEN": "two words"}, "RECEIVER_READ_TOKEN"),
        ([], {"RECEIVER_PUSH_TOKEN_FILE": "/nonesuch"}, "/nonesuch cannot be read"),
        (["--lost-after=0s"], {}, "--lost-after"),
        (["--keep-runs=1y"], {}, "--keep-runs: '1y' is no age; accepted are forms such as 90d"),
        (["--keep-runs-per-job=0"], {}, "--keep-runs-per-job: 0 would keep nothing"),
        (["--listen=:1", "--addr=:1"], {}, "are the same"),
        (["word"], {}, "'word' is not accepted"),
        (
            ["--db=mysql://u:two words@h/d"],
            {},
            "--db: mysql:// is not accepted; accepted are the name of a file",
        ),
        ([], {"JOBMETER_DB": "POSTGRESQL://h/d"}, "JOBMETER_DB: POSTGRESQL:// is not accepted"),
        (["--read-token="], {}, "--read-token: this is no token"),
        (["--read-token=x", "--read-token-file={file}"], {}, "--read-token and --read-token-file both"),
        (["--push-token=x", "--push-token-file={file}"], {}, "--push-token and --push-token-file both"),
        (["--hmac-key=0123456789abcde"], {}, "--hmac-key: this key has 15 characters; accepted are 16"),
        (["--hmac-key-file={file}"], {}, "token: this key has 9 characters"),
        ([], {"RECEIVER_HMAC_KEY": "two words"}, "RECEIVER_HMAC_KEY"),
        (["--job-token-lifetime=59s"], {}, "--job-token-lifetime: '59s' is too short"),
        (["--tls-cert=c.pem"], {}, "--tls-cert needs --tls-key too"),
        (["--user-header=X-User"], {}, "--user-header needs --trusted-proxy too"),
        (["--organizations-header=X"], {}, "--organizations-header needs --user-header too"),
        (["--oidc-issuer=https://id.example"], {}, "--oidc-issuer needs --oidc-client-id too"),
        (
            ["--oidc-issuer=https://id.example", "--oidc-client-id=x"],
            {},
            "--oidc-issuer needs --public-url too",
        ),
        (
            ["--oidc-group=a"],
            {},
            "--oidc-group: 'a' is not accepted; accepted are forms such as developers=acme",
        ),
        (["--oidc-group=a=b"], {}, "--oidc-group needs --oidc-organizations-claim too"),
        (
            ["--trusted-proxy=host"],
            {},
            "--trusted-proxy: 'host' is no address; accepted are forms such as 10.0.0.7",
        ),
        (["--user-header=X User"], {}, "--user-header: 'X User' is no name of a header"),
        ([], {"JOBMETER_TLS_KEY": "k.pem"}, "--tls-key needs --tls-cert too"),
    ],
)
def test_a_receiver_does_not_start_without_what_it_was_told(argv, environ, sentence, tmp_path):
    """A token that cannot be read must not leave it open to everyone."""
    file = tmp_path / "token"
    file.write_text("from-file\n")
    with pytest.raises(UsageError, match=sentence) as raised:
        receiver_settings([word.format(file=file) for word in argv], environ)
    assert "two words" not in str(raised.value)


@pytest.mark.parametrize("place", ["postgresql://u:p@h/d", "postgres://h", "a/b.db", "./a://b", "C:\\x", ""])
def test_a_database_is_a_file_or_an_address(place):
    """Whether there is one there is not looked at here."""
    assert receiver_settings([f"--db={place}"], {}).db == place
