"""The OpenAPI document: all routes, valid, and true to the code's types."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
import requests

from jobmeter.model.summary import Summary
from jobmeter.ops.problems import ProblemDetails
from jobmeter.ops.routing import Content, Parameter, Route
from jobmeter.receiver.openapi import document
from tests.conftest import TESTS
from tests.receiver.api.running import RunningReceiver

METHODS = {"get", "post", "put", "delete", "patch"}


async def nothing(*_: Any) -> None:
    """A handler that is never called."""


@pytest.fixture(scope="module")
def spec(receiver: RunningReceiver) -> dict[str, Any]:
    """The document as it is served: to everyone, since it holds no data."""
    answer = requests.get(f"{receiver.url}/openapi.json", timeout=30)
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def operations(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_routes_of_the_seed_and_ours_are_in_it(spec: dict[str, Any]) -> None:
    """Both endpoints of the seed, the runs, the stream, the pages, what operators scrape, and itself."""
    assert {name for name, _ in operations(spec)} >= {
        "POST /api/v1/metrics",
        "GET /api/v1/metrics/repo/{org}/{repo}/{workflow}/{job}",
        "GET /api/v1/sizing/repo/{org}/{repo}/{workflow}/{job}",
        "GET /api/v1/runs",
        "GET /api/v1/runs/{run_uid}",
        "GET /api/v1/runs/{run_uid}/timeline",
        "GET /api/v1/runs/{run_uid}/records",
        "POST /api/v1/runs/{run_uid}/parts",
        "GET /",
        "GET /runs/{run_uid}",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    }


def test_every_operation_is_in_the_documentation(spec: dict[str, Any]) -> None:
    """The page about the receiver names each address and each filter."""
    page = (TESTS.parent / "docs/receiver.md").read_text()
    assert [name for name, _ in operations(spec) if f"`{name}`" not in page] == []
    told = spec["paths"]["/api/v1/runs"]["get"]["parameters"]
    assert [each["name"] for each in told if each["name"] not in page] == []


def test_every_operation_is_described(spec: dict[str, Any]) -> None:
    """It has a name of its own, a sentence, a success, and for each variable of its path a parameter."""
    names = []
    for name, operation in operations(spec):
        names.append(operation["operationId"])
        assert operation["summary"], name
        assert any(status.startswith("2") for status in operation["responses"]), name
        told = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert told == {word[1:-1] for word in name.split("/") if word.startswith("{")}, name
    assert len(names) == len(set(names))


def test_every_schema_of_the_document_is_one(spec: dict[str, Any]) -> None:
    """All are JSON Schema of the version of OpenAPI 3.1, and every reference leads somewhere."""
    schemas = spec["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not jsonschema_rs.meta.is_valid(schema)] == []

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    assert {reference.removeprefix("#/components/schemas/") for reference in references(spec)} <= set(schemas)


def test_every_schema_and_each_of_its_properties_is_described(spec: dict[str, Any]) -> None:
    """Nobody has to read the code to know what a number is."""
    schemas = spec["components"]["schemas"]
    bare = [name for name, schema in schemas.items() if not schema.get("description")]
    bare += [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]
    assert bare == []
    assert "end of each bucket" in schemas["RunTimeline"]["properties"]["elapsed_seconds"]["description"]


def test_schemas_are_those_of_the_code(spec: dict[str, Any]) -> None:
    """Fields with their meaning, as in the reference page."""
    summary = spec["components"]["schemas"]["Summary"]
    assert set(summary["properties"]) == set(Summary.__struct_fields__)
    assert summary["properties"]["cpu_complete"]["description"].startswith("False: CPU time may")
    assert "    " not in spec["components"]["schemas"]["Statistic"]["description"]


def test_an_operation_is_made_of_its_route() -> None:
    """Parameters with bounds, the body, answers by status, problems, and the token it needs."""
    route = Route(
        "POST", "/things/{name}", nothing, "push", "Store a thing",
        parameters=(Parameter("name", "path", str, "Its name."), Parameter("n", "query", int, "How many.")),
        request=Content(Summary, "A thing."),
        answers={201: Content(list[int], "Stored.")},
        problems=(404, 503),
    )  # fmt: skip
    page = Route("GET", "/page", nothing, "read", "A page", challenge="Basic")
    spec = document([route, page])
    operation = spec["paths"]["/things/{name}"]["post"]

    assert operation["operationId"] == "post_things_by_name"
    assert [each.get("required", False) for each in operation["parameters"]] == [
        True,
        False,
    ]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Summary"
    }
    assert operation["responses"]["201"]["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"type": "integer"},
    }
    assert set(operation["responses"]) == {"201", "401", "404", "429", "503"}
    problem = operation["responses"]["503"]
    assert problem["content"] == {
        "application/problem+json": {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}
    }
    assert list(problem["headers"]) == ["Retry-After"]
    assert operation["security"] == [{"pushToken": []}]
    assert spec["paths"]["/page"]["get"]["security"] == [{"readPassword": []}]
