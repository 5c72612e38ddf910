"""The OpenAPI 3.1 document, generated from the route table and the types of the code."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jobmeter import __version__
from jobmeter.ops.problems import MEDIA_TYPE, ProblemDetails
from jobmeter.ops.routing import Content, Parameter, Route, endpoint

Json = dict[str, Any]

_TOKENS = {"read": "readToken", "push": "pushToken", "mint": "mintToken", "debug": "readToken"}
_SCHEMES: Json = {
    "readToken": {"type": "http", "scheme": "bearer", "description": "The read token, where one is set."},
    "pushToken": {"type": "http", "scheme": "bearer", "description": "The push token, where one is set."},
    "mintToken": {"type": "http", "scheme": "bearer", "description": "A token that makes tokens of jobs."},
    "readPassword": {
        "type": "http",
        "scheme": "basic",
        "description": "The read token as the password, with any user name: for pages.",
    },
}
_HEADERS_OF_PROBLEMS = {
    401: "WWW-Authenticate",
    405: "Allow",
    429: "Retry-After",
    503: "Retry-After",
}


def with_document(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The routes and one more, that of the document, which is in the document too."""
    table: list[Route] = []

    async def answer(_: Request) -> Response:
        return Response(encoded, media_type="application/json")

    table += [
        *routes,
        Route(
            "GET", "/openapi.json", endpoint(answer), "open", "This document",
            answers={200: Content(Json, "OpenAPI 3.1.")},
        ),
    ]  # fmt: skip
    encoded = msgspec.json.encode(document(table))
    return tuple(table)


def document(routes: Iterable[Route]) -> Json:
    """The document of a route table."""
    table = tuple(routes)
    types = _types(table)
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = {id(each): schema for each, schema in zip(types, schemas, strict=True)}
    paths: Json = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    tidied: Json = _tidy(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "jobmeter receiver",
                "version": __version__,
                "description": "Keeps what CI jobs used and answers questions about it.",
            },
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": _SCHEMES},
        }
    )
    return tidied


def _types(routes: Iterable[Route]) -> list[Any]:
    """Every type of the table, the problem's last."""
    found: list[Any] = []
    for route in routes:
        found += [parameter.type for parameter in route.parameters]
        contents = [route.request, *route.answers.values()]
        found += [each for content in contents if content for each in _types_of(content)]
    return [*found, ProblemDetails]


def _types_of(content: Content) -> list[Any]:
    return [each for each in (content.type, content.or_type) if each is not None]


def _operation(route: Route, schema_of: Mapping[int, Json]) -> Json:
    operation: Json = {
        "summary": route.summary,
        "operationId": _name(route),
        "responses": _responses(route, schema_of),
    }
    if route.parameters:
        operation["parameters"] = [_parameter(each, schema_of) for each in route.parameters]
    if route.request is not None:
        # Bytes may be none at all; what has a type must be there.
        required = route.request.type is not None
        operation["requestBody"] = {"required": required, **_content(route.request, schema_of)}
    if route.access != "open":
        scheme = "readPassword" if route.challenge == "Basic" else _TOKENS[route.access]
        operation["security"] = [{scheme: []}]
    return operation


def _name(route: Route) -> str:
    """`get_api_v1_runs_by_run_uid` of `GET /api/v1/runs/{run_uid}`."""
    words = [f"by_{word[1:-1]}" if word.startswith("{") else word for word in route.path.split("/") if word]
    return "_".join([route.method.lower(), *words]).replace(".", "_")


def _parameter(parameter: Parameter, schema_of: Mapping[int, Json]) -> Json:
    found: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.help,
        "schema": schema_of[id(parameter.type)],
    }
    if parameter.required or parameter.place == "path":
        found["required"] = True
    return found


def _content(content: Content, schema_of: Mapping[int, Json]) -> Json:
    schemas = [schema_of[id(each)] for each in _types_of(content)]
    schema = {"anyOf": schemas} if len(schemas) > 1 else schemas[0] if schemas else {}
    return {"description": content.help, "content": {content.media_type: {"schema": schema}}}


def _responses(route: Route, schema_of: Mapping[int, Json]) -> Json:
    found = {str(status): _content(answer, schema_of) for status, answer in route.answers.items()}
    problems = set(route.problems) | ({401, 429} if route.access != "open" else set())
    for status in sorted(problems):
        problem = _problem(status)
        # What a page answers for a name that it does not know, a path without the name is refused as a problem.
        problem["content"] |= found.get(str(status), {}).get("content", {})
        found[str(status)] = problem
    return found


def _problem(status: int) -> Json:
    reference = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    found: Json = {
        "description": f"{HTTPStatus(status).phrase}: the detail says why.",
        "content": {MEDIA_TYPE: {"schema": reference}},
    }
    header = _HEADERS_OF_PROBLEMS.get(status)
    if header:
        found["headers"] = {header: {"schema": {"type": "string"}}}
    return found


def _tidy(value: Any) -> Any:
    """The document with the indentation of docstrings taken out of its descriptions."""
    if isinstance(value, dict):
        return {
            key: cleandoc(each) if key == "description" and isinstance(each, str) else _tidy(each)
            for key, each in value.items()
        }
    return [_tidy(each) for each in value] if isinstance(value, list) else value
