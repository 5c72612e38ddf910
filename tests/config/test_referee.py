"""Options of `jobmeter referee`, and its two kinds of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobmeter.config.options import Option, parse
from jobmeter.config.referee import REFEREE_OPTIONS, RefereeSettings, moment, referee_settings
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from jobmeter.referee.default_queries import DEFAULT_QUERIES
from jobmeter.referee.queries import NamedQuery

ADDRESS = "--prometheus-address=http://prometheus.example:9090"
WHICH = '--selector=instance="a"'
LEAST = [ADDRESS, WHICH, "--since=10m"]
HOST = os.uname().nodename

# The example of the page "The metrics runner referee" of GitLab Runner's documentation, with its other keys.
GITLAB = """
concurrent = 4
check_interval = 0

[session_server]
  session_timeout = 1800

[[runners]]
  name = "docker-machine-1"
  url = "https://gitlab.example"
  token = "glrt-s3cret"
  executor = "docker+machine"
  [runners.machine]
    MachineName = "auto-%s"
  [runners.docker]
    image = "ruby:3.3"
  [runners.referees]
    [runners.referees.metrics]
      prometheus_address = "http://localhost:9090"
      query_interval = 10
      metric_queries = [
        "arp_entries:rate(node_arp_entries{{selector}}[{interval}])",
        "context_switches:rate(node_context_switches_total{{selector}}[{interval}])",
        "recorded:job:cpu:rate5m{{selector}}",
      ]
"""
OURS = """
[referee]
prometheus_address = "https://prometheus.example/prom"
executor = "kubernetes"
label_value = "{runner_name}"
namespace = "ci"
interval = "30s"
scrape_interval = "1m"
timeout = "5s"
token_file = "token"
tenant = "team-a"
max_points = 500
max_range = "12h"
max_series = 7
max_answer_bytes = "2Mi"
parallel = 2

[referee.queries]
up = "up{{selector}}"
"five:minutes" = "job:cpu:rate5m"

[referee.headers]
X-Key = "k3y"
"""

# A value for each option, as it is written and as it is understood.
EXAMPLES: dict[str, tuple[str, object]] = {
    "config": ("referee.toml", "referee.toml"),
    "runner": ("docker-machine-1", "docker-machine-1"),
    "prometheus-address": ("http://[::1]:9090", "http://[::1]:9090"),
    "start": ("1795260188", 1795260188.0),
    "end": ("2026-11-21T12:00:00Z", 1795262400.0),
    "since": ("10m", 600.0),
    "selector": ('pod="a"', 'pod="a"'),
    "executor": ("shell", "shell"),
    "label-value": ("host", "host"),
    "label-name": ("node", "node"),
    "namespace": ("ci", "ci"),
    "interval": ("30s", 30.0),
    "budget": ("90s", 90.0),
    "scrape-interval": ("1m", 60.0),
    "wait": ("true", True),
    "out": ("evidence.json", "evidence.json"),
    "format": ("compat", "compat"),
    "upload": ("gitlab", "gitlab"),
    "receiver": ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    "run-uid": ("019aa6a4", "019aa6a4"),
    "push-token": ("s3cret", "s3cret"),
    "push-token-file": ("token", "s3cret"),
    "task": ("17", "17"),
}


@pytest.mark.parametrize("option", REFEREE_OPTIONS, ids=lambda option: option.name)
def test_every_option_in_each_form(file: Path, option: Option) -> None:
    """--name=value, --name value, one dash, and the variable; a flag beats the variable."""
    text, value = EXAMPLES[option.name]
    forms = [[f"{option.flag}={text}"], [f"-{option.name}={text}"]]
    forms += [[option.flag]] if option.parse is None else [[option.flag, text], [f"-{option.name}", text]]
    for argv in forms:
        assert parse(REFEREE_OPTIONS, argv, {}, stop_at_first=False).values == {option.field: value}
    if option.env:
        for argv, said in (([], text), (forms[0], "nonsense")):
            found = parse(REFEREE_OPTIONS, argv, {option.env: said}, stop_at_first=False)
            assert (found.values, found.problems) == ({option.field: value}, [])


def settings(*argv: str, **environ: str) -> RefereeSettings:
    return referee_settings(argv, environ)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a configuration; names of files in it are from there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("s3cret\n")
    return tmp_path / "referee.toml"


def test_a_config_toml_of_gitlab_runner_is_read_unchanged(file: Path) -> None:
    """With the key of its documentation; what is not the referee's is left alone."""
    file.write_text(GITLAB)
    options = settings(f"--config={file}", "--label-value=auto-7", "--since=1m").options
    assert options.prometheus.address == "http://localhost:9090"
    assert options.interval == 10
    assert [query.name for query in options.queries] == ["arp_entries", "context_switches", "recorded"]
    assert options.queries[2].text == "job:cpu:rate5m{{selector}}"
    assert options.selector_of(Job(), None) == 'instance=~"auto-7(:[0-9]+)?"'


@pytest.mark.parametrize(
    "change, queries",
    [
        (("metric_queries", "queries"), 3),
        (("metric_queries = [", 'queries = ["a:up"]\n      metric_queries = ['), 1),
        (("query_interval = 10", "query_interval = 0"), 3),
        (("[[runners]]", "[runners]"), 3),
    ],
    ids=["the key of the code", "both keys", "no interval", "no list"],
)
def test_forms_of_that_file_that_are_read_too(file: Path, change: tuple[str, str], queries: int) -> None:
    """An interval of 0, which its own referee has as the default, is ours."""
    file.write_text(GITLAB.replace(*change))
    options = settings(f"--config={file}", "--label-value=auto-7", "--since=1m").options
    assert (len(options.queries), options.interval) == (queries, 10)


def test_our_own_file_says_all_of_it(file: Path) -> None:
    """Queries by their names, who asks, which series, and how much."""
    file.write_text(OURS)
    options = settings(f"--config={file}", "--since=1m").options
    client = options.prometheus
    assert (client.address, client.token, client.tenant) == (
        "https://prometheus.example/prom",
        "s3cret",
        "team-a",
    )
    assert (client.headers, client.timeout, client.max_answer_bytes) == ((("X-Key", "k3y"),), 5, 2 * 2**20)
    assert options.queries == (
        NamedQuery("up", "up{{selector}}"),
        NamedQuery("five:minutes", "job:cpu:rate5m"),
    )
    assert (options.interval, options.scrape_interval, options.parallel) == (30, 60, 2)
    assert (options.max_points, options.max_range, options.max_series) == (500, 43_200, 7)
    assert options.selector_of(Job(runner="pod-1"), None) == 'pod="pod-1",namespace="ci"'


@pytest.mark.parametrize(
    "argv, selector",
    [
        (['--selector={a="b"}'], 'a="b"'),
        (['--selector=a="{task_id}"'], 'a="4711"'),
        (["--selector="], ""),
        (["--executor=docker"], f'instance=~"{HOST}(:[0-9]+)?"'),
        (["--executor=shell", "--label-value=a:9100"], 'instance="a:9100"'),
        (["--executor=container", "--label-value=0e43"], 'id="0e43"'),
        (["--executor=custom", "--label-name=vm", "--label-value=vm-7"], 'vm="vm-7"'),
        (["--executor=container", "--label-value=0e43", '--selector=a="b"'], 'id="0e43",a="b"'),
    ],
)
def test_flags_say_which_series_are_the_jobs(argv: list[str], selector: str) -> None:
    """By matchers, by an executor, or by both."""
    said = settings(ADDRESS, "--since=1m", "--task=4711", *argv)
    assert said.options.selector_of(Job(), said.task) == selector


def test_flags_win_over_the_file(file: Path) -> None:
    """Who says which series they are says all of it."""
    file.write_text(OURS)
    options = settings(f"--config={file}", *LEAST, "--interval=5s").options
    assert options.prometheus.address == "http://prometheus.example:9090"
    assert (options.selector_of(Job(), None), options.interval, options.scrape_interval) == (
        'instance="a"',
        5,
        60,
    )


@pytest.mark.parametrize(
    "argv, exporter",
    [
        (["--executor=docker"], "node"),
        (["--executor=kubernetes", "--label-value=a"], "cadvisor"),
        (["--executor=container", "--label-value=a"], "jobmeter"),
        ([WHICH], "node"),
    ],
)
def test_without_queries_those_of_an_exporter_are_asked(argv: list[str], exporter: str) -> None:
    """Of the one that knows the executor's label."""
    assert settings(ADDRESS, "--since=1m", *argv).options.queries == DEFAULT_QUERIES[exporter]


@pytest.mark.parametrize(
    "more, names",
    [
        ("", ["up", "five:minutes"]),
        ('default_queries = ["jobmeter"]', [query.name for query in DEFAULT_QUERIES["jobmeter"]]),
    ],
)
def test_default_queries_may_stand_beside_others(file: Path, more: str, names: list[str]) -> None:
    """They come last."""
    file.write_text(OURS.replace("parallel = 2", more))
    queries = settings(f"--config={file}", "--since=1m").options.queries
    assert [query.name for query in queries[-len(names) :]] == names
    assert [query.name for query in queries[:2]] == ["up", "five:minutes"]


@pytest.mark.parametrize(
    "argv, environ, times",
    [
        (["--start=2020-01-01T00:00:00Z", "--end=1577836860"], {}, (1577836800, 1577836860, None)),
        (["--start=2020-01-01T01:00:00.5+01:00"], {}, (1577836800.5, None, None)),
        (["--since=1d"], {}, (None, None, 86_400)),
        ([], {"CI_JOB_STARTED_AT": "2020-01-01T00:00:00Z"}, (1577836800, None, None)),
        ([], {"JOBMETER_JOB_START": "1577836801", "CI_JOB_STARTED_AT": "x"}, (1577836801, None, None)),
        (["--since=5s"], {"JOBMETER_JOB_START": "1577836801"}, (None, None, 5)),
    ],
)
def test_times_of_the_job(argv: list[str], environ: dict[str, str], times: tuple[float | None, ...]) -> None:
    """By flags, by variables, by what GitLab says."""
    said = settings(ADDRESS, WHICH, *argv, **environ)
    assert (said.start, said.end, said.since) == times


def test_what_the_forge_says_of_the_job_is_used() -> None:
    """Its number; a receiver of a whole fleet's variable is none without the run."""
    said = settings(*LEAST, CI_JOB_ID="4711", JOBMETER_RECEIVER="https://receiver.example")
    assert (said.task, said.receiver) == ("4711", None)
    said = settings(
        *LEAST, "--task=1", CI_JOB_ID="4711", JOBMETER_RECEIVER="https://r.example", JOBMETER_RUN_UID="u"
    )
    assert (said.task, said.receiver, said.run_uid) == ("1", "https://r.example", "u")


@pytest.mark.parametrize(
    "argv, sentence",
    [
        ([WHICH, "--since=1m"], "--prometheus-address is missing: where Prometheus is"),
        ([ADDRESS, "--since=1m"], "--selector is missing, or --executor: which series"),
        ([ADDRESS, WHICH], "--start is missing, or --since"),
        ([*LEAST, "--start=1577836800"], "--start and --since both say"),
        ([ADDRESS, WHICH, "--start=1577836800", "--end=1577836799"], "--end is before --start"),
        ([*LEAST, "--end=tomorrow"], "--end: 'tomorrow' is no time; accepted is RFC 3339, as 2026"),
        ([*LEAST, "--end=5"], "--end: '5' is no time in seconds since 1970"),
        ([*LEAST, "--receiver=https://r.example"], "--receiver needs --run-uid"),
        (
            [*LEAST, "--format=csv"],
            "--format: 'csv' is not accepted; accepted are full, compat, markdown, html",
        ),
        ([*LEAST, "up"], "'up' is not accepted: the referee takes only flags"),
        (
            ["--prometheus-address=http://p.example/api/v1"],
            "accepted is the address of Prometheus without /api/v1",
        ),
        (["--prometheus-address=p.example"], "--prometheus-address: 'p.example' is no address"),
        ([*LEAST, "--selector=a={job}"], "--selector: {job} stands outside of quotes"),
        ([*LEAST, "--label-name=my-label"], "--label-name: 'my-label' is no name of a label"),
        ([*LEAST, "--label-value=a"], "--label-value is for an executor, which is missing"),
        ([*LEAST, "--namespace=a"], "--namespace is for the executor kubernetes"),
        (
            [*LEAST, "--interval=25h"],
            "--interval: '25h' is not accepted; accepted are durations from 1ms to 24h",
        ),
        ([*LEAST, "--interval=0.1ms"], "--interval: '0.1ms' is not accepted"),
        ([*LEAST, "--scrape-interval=400000h"], "--scrape-interval: '400000h' is"),
        (
            [*LEAST, "--executor=kubernetes"],
            "--label-value is missing: what the label of kubernetes is for a job",
        ),
        ([*LEAST, "--executor=custom", "--label-value=a"], "--label-name is missing"),
        ([*LEAST, "--executor=docker", "--label-name=a"], "--label-name is for a custom executor"),
        (
            [*LEAST, "--executor=ssh"],
            "--executor: 'ssh' is not accepted; accepted are docker, docker+machine, shell",
        ),
    ],
)
def test_what_is_not_accepted_is_one_sentence(argv: list[str], sentence: str) -> None:
    """With what is missing, or what is accepted."""
    with pytest.raises(UsageError) as refused:
        settings(*argv)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "there is no [referee], and no [runners.referees.metrics]"),
        ("[referee]\nx = 1", "[referee]: x: there is no such key"),
        ("referee = 1", "[referee]: it is no table"),
        (OURS.replace('interval = "30s"', "interval = 30"), "[referee]: interval: the number 30 is not accepted"),
        (OURS.replace("max_points = 500", "max_points = 20000"), "accepted are 2 to 11000 points"),
        (OURS.replace("max_series = 7", "max_series = 2000"), "accepted are 1 to 1000 series"),
        (OURS.replace("parallel = 2", "parallel = 65"), "accepted are 1 to 64 queries at once"),
        (OURS.replace("parallel = 2", 'token = "a"'), "token_file: token says it too"),
        (OURS.replace("parallel = 2", 'user = "a"'), "token and user are two ways"),
        (OURS.replace("parallel = 2", 'password = "a"'), "user is missing: whose password it is"),
        (OURS.replace('"team-a"', '"team\\na"'), "tenant: 'team\\na' is not accepted; accepted is a text on one line"),
        (OURS.replace("parallel = 2", 'client_cert = "token"'), "client_cert and client_key are needed both"),
        (OURS.replace("parallel = 2", 'ca_cert = "none.pem"'), "ca_cert: 'none.pem' cannot be read"),
        (OURS.replace('"job:cpu:rate5m"', '""'), "queries: the query 'five:minutes' is empty"),
        (OURS.replace('"job:cpu:rate5m"', "5"), "queries: 'five:minutes': accepted is a text in quotes"),
        (OURS.replace("[referee.queries]", "[referee.queris]"), "[queris]: there is no such key; 'queries' is meant?"),
        ("[referee]\nqueries = ['up']", "queries: 'up' has no colon"),
        ("[referee]\nqueries = 5", "queries: accepted is a table, as [referee.queries], or a list"),
        ("[referee]\nheaders = 5", "headers: it is no table"),
        ('[referee.headers]\n"a b" = "x"', "headers: 'a b' is no name of a header"),
        ('[referee.headers]\na = "s3cret\\n"', "headers: a: accepted is a text in quotes, on one line"),
        (GITLAB.replace("query_interval = 10", 'query_interval = "10s"'), "query_interval: accepted is a whole number"),
        (GITLAB.replace("query_interval = 10", "query_interval = 86401"), "query_interval: accepted is a whole number"),
        (GITLAB.replace('"recorded:job:cpu:rate5m{{selector}}"', '"recorded"'), "'recorded' has no colon"),
        (GITLAB.replace("prometheus_address", "prometheus"), "prometheus_address is missing"),
        (GITLAB.replace('"http://localhost:9090"', "3"), "prometheus_address: accepted is a text in quotes"),
        (GITLAB.replace("http://", "ftp://"), "metrics]: prometheus_address: 'ftp://localhost:9090' is no address"),
        (GITLAB.replace('"docker+machine"', '"virtualbox"'),
         "of the executor 'virtualbox' it is not known which series are those of a job; --selector says it"),
        (GITLAB.replace('executor = "docker+machine"', ""), "selector is missing, or executor"),
        (GITLAB.replace("docker+machine", "docker-autoscaler"), "what the label of docker+machine"),
        (GITLAB.replace("docker+machine", "instance"), "label_value is missing: what the label of docker+machine"),
        (GITLAB, "label_value is missing: what the label of docker+machine is for a job"),
        (GITLAB + GITLAB[GITLAB.index("[[runners]]") :].replace("machine-1", "machine-2"),
         "several runners have a referee, 'docker-machine-1', 'docker-machine-2'; --runner says which"),
    ],
)  # fmt: skip
def test_what_a_file_says_wrongly_is_one_sentence(file: Path, text: str, sentence: str) -> None:
    """With the place in the file; nothing that may be a secret is said again."""
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        settings(f"--config={file}", "--since=1m")
    assert sentence in str(refused.value)
    assert str(file) in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "k3y" not in str(refused.value)


def test_one_of_several_runners_is_chosen(file: Path) -> None:
    """By its name."""
    other = GITLAB[GITLAB.index("[[runners]]") :].replace("machine-1", "machine-2").replace(":9090", ":9091")
    file.write_text(GITLAB + other)
    more = ["--label-value=a", "--since=1m", f"--config={file}"]
    assert settings("--runner=docker-machine-2", *more).options.prometheus.address == "http://localhost:9091"
    with pytest.raises(UsageError, match=r"no \[runners.referees.metrics\] of a runner 'x'"):
        settings("--runner=x", *more)
    file.write_text(GITLAB + other.replace("machine-2", "machine-1"))
    with pytest.raises(UsageError, match="2 runners with a referee are called 'docker-machine-1'"):
        settings("--runner=docker-machine-1", *more)


def test_an_executor_that_is_not_known_needs_a_selector(file: Path) -> None:
    """And no other; one that is like docker is found by this machine's name."""
    file.write_text(GITLAB.replace("docker+machine", "virtualbox"))
    assert settings(f"--config={file}", WHICH, "--since=1m").options.selector == 'instance="a"'
    file.write_text(GITLAB.replace("docker+machine", "docker-windows"))
    selector = settings(f"--config={file}", "--since=1m").options.selector_of(Job(), None)
    assert HOST in selector


@pytest.mark.parametrize(
    "text, seconds", [("1577836800.25", 1577836800.25), ("2020-01-01T00:00:00.250Z", 1577836800.25)]
)
def test_a_moment(text: str, seconds: float) -> None:
    """In either form."""
    assert moment(text) == seconds
