"""What `[referee]` of a configuration file says, or `[runners.referees.metrics]` of a gitlab-runner's config.toml."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jobmeter.config.file import table_values
from jobmeter.config.forges import count, readable_file, size
from jobmeter.config.options import Option, duration, secret, secret_file, web_address
from jobmeter.model.errors import UsageError
from jobmeter.referee.default_queries import DEFAULT_QUERIES
from jobmeter.referee.options import PrometheusOptions, RefereeOptions
from jobmeter.referee.queries import NamedQuery, named, parse_query
from jobmeter.referee.selectors import (
    EXECUTORS,
    Executor,
    Labelled,
    bare,
    check_label,
    check_placeholders,
    check_template,
)
from jobmeter.referee.spans import MAX_POINTS

CUSTOM = "custom"
EXECUTOR_NAMES = (*EXECUTORS, CUSTOM)
_ON_THIS_HOST = frozenset({"docker", "shell"})
_USUAL_QUERIES = {"kubernetes": "cadvisor", "container": "jobmeter"}
"""Which exporter's are asked where none are named; else node_exporter's."""
_ALIKE = {"docker-autoscaler": "docker+machine", "instance": "docker+machine", "docker-windows": "docker"}
"""Executors of a gitlab-runner whose jobs are found by the host that they are on, as those of others."""
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_PARALLEL = 64
_LEAST_SPACING_SECONDS, _MOST_SPACING_SECONDS = 0.001, 86_400.0
_CLIENT_FIELDS = frozenset(PrometheusOptions.__struct_fields__)
_OWN_FIELDS = frozenset(RefereeOptions.__struct_fields__) - {"prometheus", "queries", "executors"}


def _points(text: str) -> int:
    number = count(text)
    if not 2 <= number <= MAX_POINTS:
        raise UsageError(f"{text!r} is not accepted; accepted are 2 to {MAX_POINTS} points")
    return number


def spacing(text: str) -> float:
    """How far points, or scrapes, are apart, in seconds."""
    seconds = duration(text)
    if not _LEAST_SPACING_SECONDS <= seconds <= _MOST_SPACING_SECONDS:
        raise UsageError(f"{text!r} is not accepted; accepted are durations from 1ms to 24h")
    return seconds


def _series(text: str) -> int:
    number = count(text)
    if number > 1000:
        raise UsageError(f"{text!r} is too many; accepted are 1 to 1000 series")
    return number


def _parallel(text: str) -> int:
    number = count(text)
    if number > _PARALLEL:
        raise UsageError(f"{text!r} is too many; accepted are 1 to {_PARALLEL} queries at once")
    return number


def prometheus_address(text: str) -> str:
    """Where a Prometheus is; its API is below."""
    address = web_address(text, "http://prometheus.example:9090")
    if "/api/v1" in address:
        raise UsageError(
            "accepted is the address of Prometheus without /api/v1, as http://prometheus.example:9090"
        )
    return address


def template(text: str) -> str:
    """Matchers of PromQL, with or without the braces around them."""
    selector = bare(text)
    check_template(selector)
    return selector


def one_line(text: str) -> str:
    """What is sent as a header."""
    if not text or not text.isprintable():
        raise UsageError(f"{text[:60]!r} is not accepted; accepted is a text on one line")
    return text


def label(text: str) -> str:
    """The name of a label."""
    check_label(text)
    return text


def label_value(text: str) -> str:
    """Its value, which may have placeholders."""
    check_placeholders(text)
    if not text:
        raise UsageError("it is empty; without a value it is left out")
    return text


ADDRESS_OPTION = Option(
    "prometheus-address", "JOBMETER_PROMETHEUS_ADDRESS", "where Prometheus is, or VictoriaMetrics, Mimir, Thanos",
    prometheus_address, "URL",
)  # fmt: skip
SELECTOR_OPTIONS = (
    Option("selector", "JOBMETER_REFEREE_SELECTOR", "which series are the job's: matchers of PromQL, as "
           '\'instance="runner-1"\'', template, "MATCHERS"),
    Option("executor", "JOBMETER_REFEREE_EXECUTOR", "or what ran it, which says the label", metavar="NAME",
           choices=EXECUTOR_NAMES),
    Option("label-value", "JOBMETER_REFEREE_LABEL_VALUE", "the host, the pod, the container's id, or what a custom "
           "label is; docker and shell: this machine's name", label_value, "TEXT"),
    Option("label-name", "JOBMETER_REFEREE_LABEL_NAME", "the label of a custom executor", label, "LABEL"),
    Option("namespace", "JOBMETER_REFEREE_NAMESPACE", "the namespace of a pod", label_value, "NAME"),
)  # fmt: skip
INTERVAL_OPTIONS = (
    Option("interval", "JOBMETER_REFEREE_INTERVAL", "time between two points", spacing, "DURATION", default="10s"),
    Option("scrape-interval", "JOBMETER_REFEREE_SCRAPE_INTERVAL", "how often Prometheus scrapes", spacing, "DURATION",
           default="15s"),
)  # fmt: skip

REFEREE_KEYS = (
    ADDRESS_OPTION,
    *SELECTOR_OPTIONS,
    *INTERVAL_OPTIONS,
    Option("default-queries", "", "whose queries are asked, beside those of `[referee.queries]`: `node` is "
           "node_exporter", metavar="NAMES", choices=tuple(DEFAULT_QUERIES), many=True,
           default="those of the executor, where there is no `[referee.queries]`"),
    Option("timeout", "", "how long one question may take", duration, "DURATION", default="10s"),
    Option("token", "", "sent as Bearer", secret, "TOKEN"),
    Option("token-file", "", "the file it is in", secret_file, "FILE"),
    Option("user", "", "sent with the password as Basic", one_line, "NAME"),
    Option("password", "", "the password", secret, "TOKEN"),
    Option("password-file", "", "the file it is in", secret_file, "FILE"),
    Option("tenant", "", "sent as X-Scope-OrgID, for Mimir and Cortex", one_line, "NAME"),
    Option("ca-cert", "", "the authorities that its certificate must be of, PEM", readable_file, "FILE"),
    Option("client-cert", "", "what is shown of us, PEM", readable_file, "FILE"),
    Option("client-key", "", "its key, PEM", readable_file, "FILE"),
    Option("max-points", "", "of one series; the interval grows where a job is long", _points, "N",
           default=str(MAX_POINTS)),
    Option("max-range", "", "the longest time of one question; longer jobs are asked for in parts", duration,
           "DURATION", default="24h"),
    Option("max-series", "", "of one query", _series, "N", default="100"),
    Option("max-answer-bytes", "", "of one answer", size, "SIZE", default="16Mi"),
    Option("max-bytes", "", "of all answers together", size, "SIZE", default="64Mi"),
    Option("parallel", "", "so many questions at once", _parallel, "N", default="8"),
)  # fmt: skip
"""Of ``[referee]``."""

REFEREE_TABLES = (
    Option("queries", "", "a table: queries by their names; or a list of `name:query`", metavar="TABLE"),
    Option("headers", "", "a table: headers that are sent too", metavar="TABLE"),
)
"""And those that are no single value."""

_GITLABS_WORD = "metric_queries"
_TABLES = {name: repr(name) for name in (*(option.field for option in REFEREE_TABLES), _GITLABS_WORD)}


def referee_values(table: Any, place: str, mistakes: list[str]) -> dict[str, Any]:
    """What ``[referee]`` says, by fields; what is not accepted is a sentence more among the mistakes."""
    if not isinstance(table, dict):
        mistakes.append(f"{place}: it is no table; accepted is one, as [referee]")
        return {}
    values = table_values(table, REFEREE_KEYS, place, mistakes, tables=_TABLES)
    for field in ("token", "password"):
        found = values.pop(f"{field}_file", None)
        if found is not None and field in values:
            mistakes.append(f"{place}: {field}_file: {field} says it too; one of them is enough")
        elif found is not None:
            values[field] = found
    values["headers"] = _headers(table.get("headers", {}), place, mistakes)
    values["queries"] = _queries(table.get("queries") or table.get(_GITLABS_WORD, {}), place, mistakes)
    return values


def gitlab_values(tables: Mapping[str, Any], path: str, runner: str | None) -> dict[str, Any]:
    """What a gitlab-runner's ``config.toml`` says; all that is not the referee's is left alone. Raises UsageError.

    ``runner`` is the name of one of ``[[runners]]``, needed where several of them have a referee.
    """
    runners = tables.get("runners", [])
    found = [one for one in (runners if isinstance(runners, list) else [runners]) if _metrics(one)]
    if runner is not None:
        found = [one for one in found if one.get("name") == runner]
    if len(found) != 1:
        names = ", ".join(repr(one.get("name")) for one in found)
        raise UsageError(
            f"{path}: there is no [referee], and no [runners.referees.metrics]"
            + (f" of a runner {runner!r}" if runner is not None else "")
            if not found
            else f"{path}: several runners have a referee, {names}; --runner says which"
            if runner is None
            else f"{path}: {len(found)} runners with a referee are called {runner!r}: give them names that differ"
        )
    metrics, place = _metrics(found[0]), f"{path}: [runners.referees.metrics]"
    mistakes: list[str] = []
    values: dict[str, Any] = {
        "queries": _queries(metrics.get("queries") or metrics.get(_GITLABS_WORD, []), place, mistakes)
    }
    address, interval = metrics.get("prometheus_address"), metrics.get("query_interval")
    if address is not None and not isinstance(address, str):
        mistakes.append(f"{place}: prometheus_address: accepted is a text in quotes")
    elif address is not None:
        try:
            values["prometheus_address"] = prometheus_address(address)
        except UsageError as error:
            mistakes.append(f"{place}: prometheus_address: {error}")
    if interval is not None and (type(interval) is not int or not 0 <= interval <= _MOST_SPACING_SECONDS):
        mistakes.append(
            f"{place}: query_interval: accepted is a whole number of seconds, as 10, 86400 at most"
        )
    elif interval:
        values["interval"] = float(interval)
    if mistakes:
        raise UsageError(mistakes[0])
    executor = found[0].get("executor")
    known = _ALIKE.get(executor, executor) if isinstance(executor, str) else None
    values["executor" if known in EXECUTORS else "executor_unknown"] = known
    return values


def _metrics(runner: Any) -> dict[str, Any]:
    for key in ("referees", "metrics"):
        runner = runner.get(key) if isinstance(runner, dict) else None
    return runner if isinstance(runner, dict) else {}


def referee_options(values: Mapping[str, Any], place: str | None) -> RefereeOptions:
    """The options that these values make; ``place`` is their file, None where all of them are flags.

    Raises UsageError for what is missing, or does not go together.
    """
    for sentence in _missing(values, str if place is not None else _flag):
        raise UsageError(f"{place}: {sentence}" if place is not None else sentence)
    executor = values.get("executor")
    queries: Sequence[NamedQuery] = values.get("queries", ())
    sets = values.get("default_queries")
    if sets is None:
        sets = () if queries else (_USUAL_QUERIES.get(executor or "", "node"),)
    asked = (*queries, *(query for name in dict.fromkeys(sets) for query in DEFAULT_QUERIES[name]))
    client = {field: value for field, value in values.items() if field in _CLIENT_FIELDS}
    more = {field: value for field, value in values.items() if field in _OWN_FIELDS}
    return RefereeOptions(
        prometheus=PrometheusOptions(
            address=values["prometheus_address"], place=place or "the referee", **client
        ),
        queries=asked,
        executors=tuple(_executors(executor, values)),
        **more,
    )


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _missing(values: Mapping[str, Any], called: Callable[[str], str]) -> Iterator[str]:
    """A sentence each; ``called`` is how a field is called where it would be said."""
    executor, value, name = values.get("executor"), called("label_value"), called("label_name")
    if "prometheus_address" not in values:
        yield (
            f"{called('prometheus_address')} is missing: where Prometheus is, as http://prometheus.example:9090"
        )
    if executor is None and "selector" not in values and values.get("executor_unknown") is not None:
        yield (
            f"of the executor {values['executor_unknown'][:60]!r} it is not known which series are those of a job; "
            "--selector says it"
        )
    if executor is None and "selector" not in values:
        yield f"{called('selector')} is missing, or {called('executor')}: which series are those of a job"
    if executor == CUSTOM and "label_name" not in values:
        yield f"{name} is missing: the label of a custom executor"
    if executor not in (None, *_ON_THIS_HOST) and "label_value" not in values:
        yield f"{value} is missing: what the label of {executor} is for a job"
    if "label_name" in values and executor != CUSTOM:
        yield f"{name} is for a custom executor; others have a label of their own"
    if "label_value" in values and executor is None:
        yield f"{value} is for an executor, which is missing"
    if "namespace" in values and executor != "kubernetes":
        yield f"{called('namespace')} is for the executor kubernetes"
    if ("client_cert" in values) != ("client_key" in values):
        yield "client_cert and client_key are needed both"
    if "token" in values and "user" in values:
        yield "token and user are two ways to say who asks; one of them is enough"
    if "password" in values and "user" not in values:
        yield "user is missing: whose password it is"


def _executors(name: str | None, values: Mapping[str, Any]) -> Iterator[Executor]:
    if name is None:
        return
    value = values.get("label_value") or os.uname().nodename
    yield Labelled(values["label_name"], value) if name == CUSTOM else EXECUTORS[name](value)
    if "namespace" in values:
        yield Labelled("namespace", values["namespace"])


def _queries(told: Any, place: str, mistakes: list[str]) -> tuple[NamedQuery, ...]:
    """Of a table of names and queries, or a list of ``name:query``."""
    found: list[NamedQuery] = []
    items = list(told.items()) if isinstance(told, dict) else told
    if not isinstance(items, list):
        mistakes.append(
            f"{place}: queries: accepted is a table, as [referee.queries], or a list of 'name:query'"
        )
        return ()
    for item in items:
        texts = item if isinstance(item, tuple) else (item,)
        if not all(isinstance(text, str) for text in texts):
            mistakes.append(f"{place}: queries: {str(texts[0])[:60]!r}: accepted is a text in quotes")
            continue
        try:
            found.append(named(*texts) if isinstance(item, tuple) else parse_query(item))
        except UsageError as error:
            mistakes.append(f"{place}: queries: {error}")
    return tuple(found)


def _headers(told: Any, place: str, mistakes: list[str]) -> tuple[tuple[str, str], ...]:
    """Their values may be secrets, and are never said again."""
    if not isinstance(told, dict):
        mistakes.append(f'{place}: headers: it is no table; accepted is one, as {{ X-Key = "…" }}')
        return ()
    for name, value in told.items():
        if not _HEADER.fullmatch(name):
            mistakes.append(f"{place}: headers: {name[:60]!r} is no name of a header")
        elif not isinstance(value, str) or not value.isprintable():
            mistakes.append(f"{place}: headers: {name}: accepted is a text in quotes, on one line")
    return tuple((name, value) for name, value in told.items() if isinstance(value, str))
