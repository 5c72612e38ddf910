"""What of a command line is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.ops.pprof.arguments import masked


@pytest.mark.parametrize(
    "words, shown",
    [
        (["--push-token=hunter2"], ["--push-token=***"]),
        (["--push-token", "hunter2", "--db", "x"], ["--push-token", "***", "--db", "x"]),
        (["--push-token", "-hunter2"], ["--push-token", "***"]),
        (["--API_KEY=a=b c,d"], ["--API_KEY=***"]),
        (["--db-password", "hunter2"], ["--db-password", "***"]),
        (["-e", "CLIENT_SECRET=hunter2"], ["-e", "CLIENT_SECRET=***"]),
        (["--db=postgresql://u:hunter2@host/db"], ["--db=postgresql://***@host/db"]),
        (["https://host/?a=1&token=hunter2&b=2"], ["https://host/?a=1&token=***&b=2"]),
        (["--header=Authorization: Bearer hunter2"], ["--header=Authorization: Bearer ***"]),
        (["--read-token-file", "/run/token"], ["--read-token-file", "***"]),
        (["--token", "--db=x"], ["--token", "--db=x"]),
        (["jobmeter", "receiver", "--listen=:8080"], ["jobmeter", "receiver", "--listen=:8080"]),
    ],
)
def test_secrets_are_masked(words: list[str], shown: list[str]) -> None:
    """The rest is shown as it is."""
    assert masked(words) == shown


@given(
    st.lists(st.text(max_size=20)),
    st.sampled_from(["token", "x-password", "a_secret", "key.b", "Token", "apiKey"]),
    st.booleans(),
)
def test_the_value_of_a_secret_flag_is_never_shown(before: list[str], name: str, apart: bool) -> None:
    """Whatever is before it, and whichever way it is given."""
    value = "hunter2 & more"
    words = [f"--{name}", value] if apart else [f"--{name}={value}"]
    assert "hunter2" not in " ".join(masked([*before, *words]))


def test_a_long_word_is_cut() -> None:
    """So that looking for secrets takes no time."""
    assert len("".join(masked(["a" * 100_000, "-" * 100_000]))) == 2000
