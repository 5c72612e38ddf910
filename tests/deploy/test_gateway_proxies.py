"""The snippets for reverse proxies send to the gateway what the page says, and ask the forge itself when it is down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from jobmeter.config.gateway import METRICS_PORT

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/gateway"
PAGE = (ROOT / "docs/gateway.md").read_text()
GATEWAY, FORGE = "127.0.0.1:8090", "127.0.0.1:3000"


def code(name: str) -> str:
    """The file without what is only said about it."""
    return re.sub(r"^\s*#.*\n", "", (FOLDER / name).read_text(), flags=re.MULTILINE)


def test_the_page_names_all_of_them() -> None:
    """And no other, and their addresses are those of its example."""
    assert {path.name for path in FOLDER.iterdir()} == set(re.findall(r"\.\./deploy/gateway/([\w.]+)", PAGE))
    assert f'url = "http://{FORGE}/"' in PAGE
    assert f'listen = "{GATEWAY}"' in PAGE


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile", "traefik.yaml"])
def test_paths(name: str) -> None:
    """Those of the page's table; GitLab's are said in a comment."""
    told = re.findall(r"^\| (?:Forgejo, Gitea|GitLab) \| (.*) \|$", PAGE, re.MULTILINE)[:2]
    actions, gitlab = (re.findall(r"`([^`]+)`", cell) for cell in told)
    assert actions == ["/api/actions/"]
    assert all(path in code(name) for path in actions)
    said = (FOLDER / name).read_text().replace("(jobs|runners)/", "jobs/ /api/v4/runners/")
    assert all(path in said for path in gitlab)
    assert not any(path in code(name) for path in gitlab)


def test_nginx_asks_the_forge_when_the_gateway_is_down() -> None:
    """As a backup; bodies are not bounded, and each brace has its other."""
    text = code("nginx.conf")
    assert re.search(rf"server {GATEWAY} .*;\s*server {FORGE} backup;", text)
    assert "client_max_body_size 0;" in text
    assert text.count("{") == text.count("}")


def test_caddy_asks_the_forge_when_the_gateway_is_down() -> None:
    """In this order."""
    text = code("Caddyfile")
    assert f"reverse_proxy {GATEWAY} {FORGE} {{" in text
    assert "lb_policy first" in text
    assert text.count("{") == text.count("}")


def test_traefik_asks_the_forge_when_the_gateway_is_down() -> None:
    """By the gateway's health, which is at the metrics."""
    found = yaml.safe_load(code("traefik.yaml"))["http"]
    services, routers = found["services"], found["routers"]
    assert services[routers["runners"]["service"]]["failover"] == {"service": "gateway", "fallback": "forge"}
    assert services["gateway"]["loadBalancer"]["servers"] == [{"url": f"http://{GATEWAY}"}]
    assert services["gateway"]["loadBalancer"]["healthCheck"]["port"] == METRICS_PORT
    assert services["forge"]["loadBalancer"]["servers"] == [{"url": f"http://{FORGE}"}]
    assert routers["forge"]["rule"] in routers["runners"]["rule"]
