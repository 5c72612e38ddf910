"""`[referee]` of the gateway's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.config.gateway import GatewaySettings, gateway_settings

FORGE = '[[forge]]\nname = "one"\nkind = "{kind}"\nurl = "http://127.0.0.1:9/"\nlisten = "127.0.0.1:8090"\n'
REFEREE = '[referee]\nprometheus_address = "http://p:9090"\nselector = \'runner="{runner_name}"\'\n'
RECEIVER = 'receiver = "http://r:8077"\n'


def settings(tmp_path: Path, text: str) -> GatewaySettings:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return gateway_settings([f"--config={file}"], {})


def about_referee(found: GatewaySettings) -> list[str]:
    """Warnings that concern it; others are of the forge that is the same everywhere here."""
    return [warning for warning in found.warnings if "[referee]" in warning]


def test_without_it_nobody_is_asked(tmp_path: Path) -> None:
    """As before."""
    assert settings(tmp_path, FORGE.format(kind="forgejo")).referee is None


def test_what_it_says(tmp_path: Path) -> None:
    """All that the command knows, and what becomes of the evidence."""
    more = (
        f'budget = "1s"\nupload = ["actions", "{tmp_path}", "actions"]\nformat = "compat"\nmax_series = 7\n'
    )
    found = settings(tmp_path, RECEIVER + FORGE.format(kind="gitea") + REFEREE + more)
    assert (found.mistakes, about_referee(found)) == ((), [])
    assert found.referee is not None
    assert (found.referee.budget, found.referee.format) == (1.0, "compat")
    assert found.referee.upload == ("actions", str(tmp_path))
    assert found.referee.options.prometheus.address == "http://p:9090"
    assert (found.referee.options.selector, found.referee.options.max_series) == ('runner="{runner_name}"', 7)


def test_its_defaults(tmp_path: Path) -> None:
    """Two seconds, and node_exporter's queries."""
    found = settings(tmp_path, RECEIVER + FORGE.format(kind="gitlab") + REFEREE).referee
    assert found is not None
    assert (found.budget, found.upload, found.format) == (2.0, (), "full")
    assert found.options.queries


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[referee]\n", "[referee]: prometheus_address is missing"),
        ('[referee]\nprometheus_address = "http://p"\nselector = "instance=runner-1"\n',
         "[referee]: selector: 'instance=runner-1' is none; accepted are matchers of PromQL"),
        (REFEREE + "queries = { cpu = 'rate(a{{selecter}}[1m])' }\n",
         "[referee]: queries: the query 'cpu' has {selecter}, which is not known; accepted are {selector}, {interval}"),
        ("[[referee]]\n", "[referee]: it is no table; accepted is one, as [referee]"),
        (REFEREE + 'budget = "11s"\n', "[referee]: budget: '11s' is too long; accepted are durations up to 10s"),
        (REFEREE + "budget = 2\n", "[referee]: budget: "),
        (REFEREE + 'upload = "/nonesuch"\n', "upload: '/nonesuch' is none of them; accepted are gitlab, actions"),
        (REFEREE + 'upload = "https://a/?sig=s3cret"\n',
         "upload: a URL is for one file; accepted are gitlab, actions and a directory"),
        (REFEREE + 'format = "xml"\n', "format: 'xml' is not accepted"),
        (REFEREE + "nonesuch = 1\n", "[referee]: nonesuch: there is no such key"),
        (REFEREE + "executor = 5\n", "[referee]: executor: "),
        ('[referee]\nprometheus_address = "http://p"\nselector = \'a="{nonesuch}"\'\n', "[referee]: selector: "),
    ],
)  # fmt: skip
def test_what_is_not_accepted(tmp_path: Path, text: str, sentence: str) -> None:
    """A sentence that says where, and no secret."""
    (found,) = settings(tmp_path, RECEIVER + FORGE.format(kind="forgejo") + text).mistakes
    assert sentence in found
    assert "s3cret" not in found


def test_a_key_above_its_table(tmp_path: Path) -> None:
    """Is told where it belongs."""
    text = 'prometheus_address = "http://p"\n' + RECEIVER + FORGE.format(kind="forgejo")
    (found,) = settings(tmp_path, text).mistakes
    assert found.endswith("prometheus_address: there is no such key here; it belongs in [referee]")


@pytest.mark.parametrize(
    "kind, text, note",
    [
        ("forgejo", REFEREE, "[referee]: what it finds goes nowhere: receiver, or upload in [referee], says where"),
        ("forgejo", REFEREE + 'upload = "gitlab"\n',
         "[referee]: upload: 'gitlab' does nothing: no forge is of the kind gitlab"),
        ("gitlab", REFEREE.replace("selector = 'runner=\"{runner_name}\"'", 'executor = "shell"') + "upload = '/tmp'\n",
         f"[referee]: label_value: without one every job is asked for as one of this machine, {os.uname().nodename!r}"),
        ("gitlab", REFEREE + "upload = '/tmp'\nqueries = { all = 'up' }\n",
         "[referee]: queries: 'all' has no {selector}: its series are the same for every job"),
        ("gitlab", REFEREE + 'upload = "actions"\n',
         "[referee]: upload: 'actions' does nothing: no forge is of the kind forgejo or gitea"),
    ],
)  # fmt: skip
def test_what_is_seldom_meant(tmp_path: Path, kind: str, text: str, note: str) -> None:
    """It works, and does nothing."""
    found = settings(tmp_path, FORGE.format(kind=kind) + text)
    assert found.mistakes == ()
    (told,) = about_referee(found)
    assert told.endswith(note)


def test_a_receiver_is_for_it_too(tmp_path: Path) -> None:
    """Where no runner is launched."""
    (note,) = about_referee(settings(tmp_path, RECEIVER + FORGE.format(kind="gitlab")))
    assert note.endswith("it does nothing: no forge has mode = 'launch', and there is no [referee]")
    assert about_referee(settings(tmp_path, RECEIVER + FORGE.format(kind="gitlab") + REFEREE)) == []
