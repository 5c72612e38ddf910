"""The address of a database: what libpq is given, what is shown, what is refused; no password is told."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from jobmeter.model.errors import UsageError
from jobmeter.receiver.store.place import is_address, shown
from jobmeter.receiver.store.postgresql.address import parse_address

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url, expected",
    [
        ("postgresql://u:hunter2@db.example:6432/runs", "postgresql://u@db.example:6432/runs"),
        ("postgres://db.example/runs?password=hunter2", "postgresql://db.example/runs"),
        ("postgresql://u:hunter2@[::1]:6432/runs", "postgresql://u@[::1]:6432/runs"),
        ("postgresql://u:%40%2Fhunter2@a,b:2/runs?sslmode=verify-full", "postgresql://u@a,b:2/runs"),
        ("postgresql://u:hunter2@a:1,b:2/runs", "postgresql://u@a:1,b:2/runs"),
        ("postgresql:///runs?host=/run/db", "postgresql://%2Frun%2Fdb/runs"),
        ("postgresql://", "postgresql://"),
    ],
)
def test_no_password_is_shown(url, expected):
    """Whatever form the address has; libpq still has it."""
    assert shown(url) == expected
    assert (SECRET in parse_address(url).conninfo) == (SECRET in url)


@pytest.mark.parametrize(
    "url, reason",
    [
        ("postgresql://u:%zzhunter2@h/d", "invalid percent-encoded token"),
        ("postgresql://u:a hunter2@h/d", "unexpected spaces found"),
        ("postgresql://u:x@hunter2@h/d", "there is an @ behind the one before the host"),
        ("postgresql://u:x/hunter2@h/d", "there is an @ behind the one before the host"),
        ("postgresql://u:1/hunter2@h/d", "there is an @ behind the one before the host"),
        ("postgresql://u:hunter2@h:port/d", "the port is no number"),
        ("postgresql://u:hunter2@[::1/d", "end of string reached"),
        ("postgresql://u@h/d?nonesuch=hunter2", "invalid URI query parameter"),
    ],
)
def test_an_address_that_is_none_is_one_sentence(url, reason):
    """Nothing of it is repeated: any of it may be a part of the password."""
    with pytest.raises(
        UsageError, match=f"--db: the address of the database is not accepted: {reason}"
    ) as raised:
        parse_address(url)
    assert "accepted is postgresql://USER@HOST:PORT/DATABASE" in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_the_address_or_the_environment_says_is_kept(monkeypatch):
    """Only what neither says has a value of ours."""
    monkeypatch.setenv("PGAPPNAME", "mine")
    said = conninfo_to_dict(parse_address("postgresql://h/d?connect_timeout=9&sslrootcert=ca.pem").conninfo)
    assert (said["connect_timeout"], said["sslrootcert"]) == ("9", "ca.pem")
    assert "application_name" not in said
    monkeypatch.delenv("PGAPPNAME")
    assert conninfo_to_dict(parse_address("postgresql://h/d").conninfo)["application_name"] == "jobmeter"


@pytest.mark.parametrize(
    "place, expected",
    [
        ("postgresql://h/d", True),
        ("postgres://", True),
        ("postgresql", False),
        ("./postgresql://h", False),
        ("metrics.db", False),
    ],
)
def test_a_file_is_no_address(place, expected):
    """And is shown as it is."""
    assert is_address(place) is expected
    assert expected or shown(place) == place
