"""What `deploy/observability` says by itself: dashboards are the generator's, Grafana knows every field, texts help."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.dashboards.__main__ import DASHBOARDS, DIRECTORY, text
from scripts.dashboards.ephemerd import NEEDS_GATEWAY
from scripts.dashboards.grafana import GRID_WIDTH, SOURCE
from tests.support.grafana_types import problems

ROOT = Path(__file__).parents[2]
RIG = ROOT / "deploy/observability"
PAGES = {name: json.loads(text(page())) for name, page in DASHBOARDS.items()}
COMPOSE = yaml.safe_load((RIG / "compose.yaml").read_text())
RULES = [
    rule
    for group in yaml.safe_load((RIG / "prometheus/rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
NEED_GATEWAY = {
    "Active jobs",
    "Concurrent capacity",
    "Draining",
    "Jobs completed (rate, 5m)",
    "Job duration (p95, 5m)",
    "Job startup (p95, 5m)",
}
"""The panels of the `ephemerd` dashboard whose series no exporter has, but the gateway."""
BUILT_IN = {"datasource", "__rate_interval", "__range"}


def panels(name: str) -> Iterator[dict[str, Any]]:
    """Those that show something."""
    return (panel for panel in PAGES[name]["panels"] if panel["type"] != "row")


EVERY_PANEL = [
    pytest.param(panel, id=f"{name}: {panel['title']}") for name in DASHBOARDS for panel in panels(name)
]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_file_is_what_the_generator_writes(name: str) -> None:
    """The dashboards that are checked in are those of `scripts/dashboards`; `make golden` rewrites them."""
    path, made = DIRECTORY / f"{name}.json", text(DASHBOARDS[name]())
    if os.environ.get("JOBMETER_GOLDEN") == "write":
        path.write_text(made)
    assert path.read_text() == made, "run `make golden` and read the change"


def test_every_file_is_a_dashboard_of_the_generator() -> None:
    """Nothing else is provisioned."""
    assert {path.stem for path in DIRECTORY.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_every_field(name: str) -> None:
    """By the types that Grafana publishes: no field is unknown, none has a value of another type."""
    assert problems(PAGES[name]) == []


def chart(page: dict[str, Any]) -> dict[str, Any]:
    """A panel with lines."""
    return next(panel for panel in page["panels"] if panel["type"] == "timeseries")


Change = Callable[[dict[str, Any]], object]
WRONG: dict[str, Change] = {
    "a field that is not known": lambda page: chart(page).update(descripton="x"),
    "an option that is not known": lambda page: chart(page)["options"].update(legends={}),
    "a word that is not one of those": lambda page: chart(page)["options"]["legend"].update(displayMode="x"),
    "text for a number": lambda page: chart(page)["gridPos"].update(x="5"),
    "text for a number of a plugin": lambda page: chart(page)["fieldConfig"]["defaults"]["custom"].update(
        fillOpacity="3"
    ),
    "a number out of its range": lambda page: page.update(graphTooltip=5),
    "a part of a query": lambda page: chart(page)["targets"][0].update(legend="x"),
    "an override": lambda page: chart(page)["fieldConfig"]["overrides"][0]["matcher"].update(ids="x"),
}  # fmt: skip


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_check_of_the_fields_finds_what_is_wrong(change: Change) -> None:
    """It would not pass anything."""
    page = copy.deepcopy(PAGES["host"])
    change(page)
    assert len(problems(page)) == 1


def test_addresses_and_titles_are_unique() -> None:
    """A dashboard is found by its uid; that of the seed is kept."""
    assert len({page["uid"] for page in PAGES.values()}) == len(PAGES)
    assert all(re.fullmatch(r"[a-z-]{8,40}", page["uid"]) for page in PAGES.values())
    assert PAGES["ephemerd"]["uid"] == "ephemerd-main"


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Each has a sentence, a unit, the chosen data source, and a legend for every query that draws lines."""
    assert re.search(r"[A-Z0-9].*\.$", panel["description"])
    assert panel["datasource"] == SOURCE
    assert all(target["datasource"] == SOURCE for target in panel["targets"])
    if panel["type"] == "table":
        assert all(
            override["properties"][0]["id"] == "unit" for override in panel["fieldConfig"]["overrides"]
        )
    else:
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_legend_names_labels_that_the_query_keeps(panel: dict[str, Any]) -> None:
    """A label that an aggregation drops would leave a hole."""
    for target in panel["targets"]:
        kept = re.match(
            r"(?:\d+ \* |histogram_quantile\([\d.]+, )?(?:sum|max|count) by \(([^)]*)\)", target["expr"]
        )
        if kept:
            assert set(re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))) <= set(kept[1].split(", "))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_that_are_used_are_there(name: str) -> None:
    """And none is there that no panel asks for."""
    page = PAGES[name]
    variables = page["templating"]["list"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([page["panels"], [one["query"] for one in variables]])))

    assert used - BUILT_IN == {one["name"] for one in variables} - BUILT_IN


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other(name: str) -> None:
    """None lies over another or beyond the edge; each has a number of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in PAGES[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < GRID_WIDTH
        taken |= cells
    numbers = [panel["id"] for panel in PAGES[name]["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_panels_that_no_exporter_fills_say_so() -> None:
    """The six of the seed's twelve that are about jobs name who has their series."""
    assert len(list(panels("ephemerd"))) == 12
    marked = {one["title"] for one in panels("ephemerd") if one["description"].endswith(NEEDS_GATEWAY)}
    assert marked == NEED_GATEWAY


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_images_are_pinned(service: str) -> None:
    """A version of three numbers, so that the rig of tomorrow is that of today."""
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", COMPOSE["services"][service]["image"])


@pytest.mark.parametrize("path", sorted(RIG.rglob("*.yaml")), ids=lambda path: path.name)
def test_files_of_the_rig_are_yaml(path: Path) -> None:
    """And not empty."""
    assert yaml.safe_load(path.read_text())


def test_provisioning_points_at_what_is_mounted() -> None:
    """Dashboards where Grafana looks for them, rules where Prometheus does, the home page among the dashboards."""
    services = COMPOSE["services"]
    grafana = dict(volume.removesuffix(":ro").split(":")[::-1] for volume in services["grafana"]["volumes"])
    (provider,) = yaml.safe_load((RIG / "grafana/provisioning/dashboards/jobmeter.yaml").read_text())[
        "providers"
    ]
    (source,) = yaml.safe_load((RIG / "grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    config = yaml.safe_load((RIG / "prometheus/prometheus.yaml").read_text())
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert (RIG / grafana[provider["options"]["path"]]).resolve() == DIRECTORY
    assert grafana["/etc/grafana/provisioning"] == "./grafana/provisioning"
    assert (RIG / grafana[str(home.parent)] / home.name).is_file()
    assert source["url"].lstrip("$") in services["grafana"]["environment"]
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    assert [(RIG / "prometheus" / name).is_file() for name in config["rule_files"]] == [True]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_says_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    """It has a severity, a summary, a description, and a paragraph in the documentation."""
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description"}
    assert f"| `{rule['alert']}` |" in (ROOT / "docs/observability.md").read_text()


def test_every_rule_is_tested() -> None:
    """Each alert has a case in which it fires and another rule or host on which it is silent, each record a value."""
    cases = yaml.safe_load((Path(__file__).parent / "rules_test.yaml").read_text())["tests"]
    fired = {
        case["alertname"] for test in cases for case in test.get("alert_rule_test", ()) if case["exp_alerts"]
    }
    asked = {case["expr"] for test in cases for case in test.get("promql_expr_test", ())}
    records = {rule["record"] for rule in RULES if "record" in rule}
    used = {name for name in records for rule in RULES if name in rule["expr"] and "alert" in rule}

    assert fired == {rule["alert"] for rule in ALERTS}
    assert asked | used >= records
