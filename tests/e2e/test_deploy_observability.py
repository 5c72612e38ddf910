"""The rig of `deploy/observability` as its programs see it: the shell, docker-compose, Prometheus and its promtool."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from scripts.dashboards.__main__ import DASHBOARDS
from scripts.dashboards.asking import Span, filled
from tests.e2e.support.components import require_command
from tests.e2e.support.prometheus import RIG, configure

HERE = Path(__file__).parent
DEFAULT = ["127.0.0.1:9925"]
SHELLS = (["busybox", "sh"], ["sh"])
TARGETS: tuple[tuple[str | None, str | None, list[str], list[str]], ...] = (
    # JOBMETER_TARGET, EPHEMERD_TARGET, what is scraped of each
    (None, None, DEFAULT, []),
    ("", "", DEFAULT, []),
    ("ci-1:9925", None, ["ci-1:9925"], []),
    (None, "node:9090", [], ["node:9090"]),
    ("", "node:9090", [], ["node:9090"]),
    ("ci-1:9925", "node:9090", ["ci-1:9925"], ["node:9090"]),
    ("a:1,b:2", None, ["a:1", "b:2"], []),
    (" a:1 ,\tb:2\t, c:3", None, ["a:1", "b:2", "c:3"], []),
    (",a:1,,b:2,", None, ["a:1", "b:2"], []),
    (",", None, [], []),
    (" , \t,, ", " ", [], []),
    (" ", None, [], []),
    (None, " , ", [], []),
    ("a:1,a:1", None, ["a:1", "a:1"], []),
    ("a:1,\nb:2\n", None, ["a:1", "b:2"], []),
    ("[::1]:9925", None, ["[::1]:9925"], []),
    ("https://a:1,http://b", None, ["https://a:1", "http://b"], []),
    ('a\t1,it\'s,"b",\\c,$HOME,*', None, ["a 1", "it's", '"b"', "\\c", "$HOME", "*"], []),
)


def start(directory: Path, *command: str, shell: list[str], environ: Mapping[str, str | None]) -> str:
    """What `command` prints when the rig starts it in place of Prometheus."""
    variables = {name: value for name, value in environ.items() if value is not None}
    done = subprocess.run(
        [*shell, str(RIG / "prometheus/start"), str(directory), *command],
        env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def targets(directory: Path, name: str) -> list[str]:
    (group,) = json.loads((directory / f"{name}.json").read_text())
    return list(group["targets"])


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("ours, ephemerds, expected, expected_ephemerds", TARGETS)
def test_targets_are_read_as_the_seed_does(tmp_path, shell, ours, ephemerds, expected, expected_ephemerds):
    """Split at commas, without the blanks around, without what is empty; the default only if nothing is said."""
    require_command(shell[0])
    start(tmp_path, "true", shell=shell, environ={"JOBMETER_TARGET": ours, "EPHEMERD_TARGET": ephemerds})

    assert targets(tmp_path, "jobmeter") == expected
    assert targets(tmp_path, "ephemerd") == expected_ephemerds


def test_token_is_for_prometheus_alone(tmp_path: Path) -> None:
    """It lies in a file that only its owner reads, and is not in the environment of what is started."""
    seen = start(tmp_path, "env", shell=["sh"], environ={"JOBMETER_READ_TOKEN": "s3cret$'\""})

    assert (tmp_path / "read-token").read_text() == "s3cret$'\""
    assert (tmp_path / "read-token").stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in seen


def test_flags_arrive_as_they_are(tmp_path: Path) -> None:
    """Prometheus gets the command of the compose file, word for word."""
    assert (
        start(tmp_path, "printf", "<%s>", "a b", "", "*", shell=["busybox", "sh"], environ={}) == "<a b><><*>"
    )


def promtool(*words: str | Path) -> None:
    done = subprocess.run([require_command("promtool"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    """And the rules that it names."""
    start(tmp_path, "true", shell=["sh"], environ={})
    promtool("check", "config", configure(tmp_path, scrape_seconds=10))


def test_rules_do_what_they_say() -> None:
    """Each alert fires in its case and is silent beside it."""
    promtool("test", "rules", HERE.parent / "deploy/rules_test.yaml")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_is_promql(tmp_path: Path, name: str) -> None:
    """Of all panels, with the variables filled in."""
    page = DASHBOARDS[name]()
    chosen = {one["name"]: "a" for one in page["templating"]["list"]}
    span = Span(0, 3600, 15)
    queries = [target["expr"] for panel in page["panels"] for target in panel.get("targets", ())]
    rules = [
        {"record": f"query:{number}", "expr": filled(query, chosen, span, 10)}
        for number, query in enumerate(queries)
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": name, "rules": rules}]}))

    assert len(rules) >= 12
    promtool("check", "rules", tmp_path / "rules.yaml")


def compose(*words: str, environ: Mapping[str, str]) -> str:
    done = subprocess.run(
        [require_command("docker-compose"), f"--file={RIG / 'compose.yaml'}", *words],
        env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_compose_puts_the_variables_where_they_belong() -> None:
    """docker-compose reads the file; without a variable everything stays on the loopback interface."""
    by_default = yaml.safe_load(compose("config", environ={}))["services"]
    environ = {
        "PROMETHEUS_LISTEN": ":9099",
        "GRAFANA_ADDRESS": "::",
        "GRAFANA_PORT": "80",
        "GRAFANA_ROLE": "Admin",
    }
    changed = yaml.safe_load(compose("config", environ=environ))["services"]

    assert "--web.listen-address=127.0.0.1:9091" in by_default["prometheus"]["command"]
    assert by_default["grafana"]["environment"]["PROMETHEUS_URL"] == "http://127.0.0.1:9091"
    assert by_default["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert by_default["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert "--web.listen-address=:9099" in changed["prometheus"]["command"]
    assert changed["grafana"]["environment"]["PROMETHEUS_URL"] == "http://:9099"
    assert changed["grafana"]["environment"]["GF_SERVER_HTTP_PORT"] == "80"
    assert changed["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Admin"
