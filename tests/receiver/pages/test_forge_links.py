"""Links to forges: only https, only out of parts that cannot change what an address means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.job import Job
from jobmeter.receiver.pages.forge_links import forge_links, host_of

SHA = "8910ac60ba6759fc8910ac60ba6759fc8910ac60"


def job(**known: object) -> Job:
    """A job of GitHub, unless something else is said."""
    facts = {
        "forge": "github", "server_url": "https://github.com", "organization": "acme", "repository": "acme/engine",
        "run_id": "42", "sha": SHA,
    }  # fmt: skip
    return Job(**(facts | known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "known, links",
    [
        ({}, ["/acme/engine/actions/runs/42", f"/acme/engine/commit/{SHA}", "/acme/engine"]),
        ({"attempt": 2, "sha": None}, ["/acme/engine/actions/runs/42/attempts/2", "/acme/engine"]),
        ({"forge": "forgejo"}, [f"/acme/engine/commit/{SHA}", "/acme/engine"]),
        ({"forge": "gitea", "repository": "engine", "sha": None}, ["/acme/engine"]),
        (
            {"forge": "gitlab", "repository": "acme/tools/engine"},
            [
                "/acme/tools/engine/-/pipelines/42",
                f"/acme/tools/engine/-/commit/{SHA}",
                "/acme/tools/engine",
            ],
        ),
        ({"run_id": None, "sha": "main"}, ["/acme/engine"]),
        ({"run_id": "4?2", "sha": "../../x"}, ["/acme/engine"]),
        ({"repository": "acme/a b?c#d", "run_id": None, "sha": None}, ["/acme/a%20b%3Fc%23d"]),
        ({"forge": "sourcehut"}, []),
        ({"forge": None}, []),
        ({"repository": None, "organization": None}, []),
        ({"repository": "acme/../admin"}, []),
        ({"repository": "acme//engine"}, []),
    ],
)
def test_each_forge_has_its_addresses(known: dict[str, object], links: list[str]) -> None:
    """As far as the facts of the run go, and no further."""
    assert [link.address for link in forge_links(job(**known))] == [f"https://github.com{at}" for at in links]


@pytest.mark.parametrize(
    "server",
    [
        "", "javascript:alert(1)", "JavaScript://github.com/%0aalert(1)", "http://forge.example", "//forge.example",
        "data:text/html,x", "https://", "https:///x", "https://user@forge.example", "https://a:b@forge.example",
        "https://forge.example?x=1", "https://forge.example#x", "https://forge.example\\@evil.example",
        "https://forge.exa mple", "https://forge.example\n.evil", "https://fòrge.example", "https://[::1",
        "https://forge.example/../x", "https://-x", 'https://forge.example"onclick=x',
    ],
)  # fmt: skip
def test_what_is_not_plainly_https_is_no_link(server: str) -> None:
    """Whoever sends a run may send any text as its forge's address."""
    assert forge_links(job(server_url=server)) == []


def test_a_forge_may_lie_on_a_port_and_below_a_path() -> None:
    """People are told the machine that a link leads to."""
    one = job(server_url="https://git.example:8443/forge/", run_id=None, sha=None)
    assert [link.address for link in forge_links(one)] == ["https://git.example:8443/forge/acme/engine"]
    assert host_of(one) == "git.example:8443"


@given(
    server=st.text(max_size=40),
    prefix=st.sampled_from(["", "https://", "https://a.b/"]),
    name=st.text(max_size=20),
)
def test_whatever_is_sent_makes_https_addresses_of_harmless_characters_alone(
    server: str, prefix: str, name: str
) -> None:
    """Nothing that ends an attribute, and no way out of the path."""
    for link in forge_links(
        job(server_url=prefix + server, organization=name, repository=f"{name}/{server}")
    ):
        assert link.address.startswith("https://")
        assert link.address.isascii()
        assert link.address.isprintable()
        assert not set(link.address) & set(" \"'<>\\?#@")
        assert "/../" not in f"{link.address}/"
