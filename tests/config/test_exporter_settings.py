"""Options of `jobmeter exporter`: flags over variables over its configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.config.exporter import exporter_settings
from jobmeter.exporter.vm.target import Target
from jobmeter.exporter.windows.address import Engine
from jobmeter.model.errors import UsageError


def test_the_defaults() -> None:
    """For this machine alone, every ten seconds, our own names, all engines."""
    found = exporter_settings([], {})
    assert (found.listen, found.interval, found.linger) == ("127.0.0.1:9925", 10.0, 120.0)
    assert (found.dialect, found.engine_socket, found.read_token) == (("jobmeter",), None, None)
    assert (found.proc_path, found.cgroup_path) == ("/proc", "/sys/fs/cgroup")


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "exporter.toml"
    file.write_text(text)
    return str(file)


def test_each_place_is_stronger_than_the_one_before(tmp_path: Path) -> None:
    """File, variable, flag."""
    config = written(tmp_path, 'interval = "3s"\nlinger = "4s"\nlisten = ":1"\n')
    environ = {"JOBMETER_CONFIG": config, "JOBMETER_LINGER": "5s", "JOBMETER_LISTEN": ":2"}
    found = exporter_settings(["--listen=:3"], environ)
    assert (found.interval, found.linger, found.listen, found.listen_place) == (3.0, 5.0, ":3", "--listen")
    assert exporter_settings([], environ).listen_place == "JOBMETER_LISTEN"
    assert exporter_settings([f"--config={config}"], {}).listen_place == f"{config}: listen"


@pytest.mark.parametrize(
    "text, field, value",
    [
        ('container_stats_interval = "2s"', "interval", 2.0),
        ('dialect = "cadvisor"', "dialect", ("cadvisor",)),
        ('dialects = ["jobmeter", "cadvisor"]', "dialect", ("jobmeter", "cadvisor")),
        ('engine-sockets = ["/run/a.sock", "docker=/run/b.sock"]', "engine_socket",
         ("/run/a.sock", "docker=/run/b.sock")),
        ('engine_socket = "none"', "engine_socket", ()),
        ('read_token = "abc"', "read_token", "abc"),
        ('stats_token = "abc"', "stats_token", "abc"),
        ('subscribe = ["a=h:1", "b=i"]', "subscribe",
         (Target(name="a", address="h:1"), Target(name="b", address="i:10001"))),
        ('windows_engines = ["a=tcp://h:1", "b=tcp://i"]', "windows_engine", (Engine("a", "h", 1), Engine("b", "i"))),
        ('log-level = "debug"', "log_level", "debug"),
    ],
)  # fmt: skip
def test_a_key_of_the_file_is_a_flag(tmp_path: Path, text: str, field: str, value: object) -> None:
    """With `-` or `_`; those with several values take a list, and the seed's name for the interval holds."""
    assert getattr(exporter_settings(["--config", written(tmp_path, text)], {}), field) == value


@pytest.mark.parametrize(
    "argv, environ, expected",
    [
        (["--dialect=ephemerd", "--dialect", "jobmeter", "--dialect=ephemerd"], {}, ("ephemerd", "jobmeter")),
        ([], {"JOBMETER_DIALECT": "jobmeter, cadvisor"}, ("jobmeter", "cadvisor")),
        (["--dialect=cadvisor"], {"JOBMETER_DIALECT": "jobmeter"}, ("cadvisor",)),
        (["--dialect="], {}, ("jobmeter",)),
    ],
)
def test_several_dialects_each_once(argv: list[str], environ: dict[str, str], expected: object) -> None:
    """By repeating the flag, with commas in a variable."""
    assert exporter_settings(argv, environ).dialect == expected


def test_a_token_from_a_variables_file_is_stronger_than_one_in_the_configuration(tmp_path: Path) -> None:
    """The weaker of two files does not open the door."""
    config = written(tmp_path, 'read_token = "weak"')
    token = tmp_path / "token"
    token.write_text("strong\n")
    environ = {"JOBMETER_CONFIG": config, "JOBMETER_READ_TOKEN_FILE": str(token)}
    assert exporter_settings([], environ).read_token == "strong"


@pytest.mark.parametrize(
    "argv, sentence",
    [
        (
            ["--dialect=other"],
            "--dialect: 'other' is not accepted; accepted are jobmeter, ephemerd, cadvisor",
        ),
        (["--interval=1ms"], "--interval: '1ms' is not accepted; an interval is from 50ms to 1h"),
        (["--tls-cert=a"], "--tls-cert needs --tls-key too"),
        (["--tls-key=a"], "--tls-key needs --tls-cert too"),
        (["word"], "'word' is not accepted: the exporter takes only flags"),
        (["--engine-socket=none", "--engine-socket=/a"], "none is said together with a socket"),
        (["--runtime=two words"], "--runtime: 'two words' is no runtime; it is one word, as linux-native"),
        (["--subscribe=a"], "--subscribe: 'a' has no name and no address; accepted is NAME=HOST:PORT"),
        (["--subscribe=a=h", "--subscribe=a=i"], "--subscribe: two machines are called 'a'"),
        (
            ["--windows-engine=a=h"],
            "--windows-engine: a: 'h' is no address of an engine; accepted is NAME=tcp://HOST",
        ),
        (["--subscribe=a=h", "--windows-engine=a=tcp://i"], "two machines are called 'a'"),
        (["--subscribe-interval=1500ms"], "--subscribe-interval: '1500ms' is not accepted"),
        (["--stats-client-ca=/a", "--serve-stats=:1"], "--stats-client-ca needs --tls-cert too"),
        (["--stats-client-ca=/a"], "--stats-client-ca needs --serve-stats too"),
        (
            ["--stats-token=a", "--stats-token-file=/dev/null"],
            "--stats-token-file: /dev/null: this is no token",
        ),
        (["--config=/nonesuch"], "/nonesuch cannot be read: No such file or directory"),
    ],
)
def test_what_is_not_accepted_is_said(argv: list[str], sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(UsageError) as caught:
        exporter_settings(argv, {})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("interval = ", "at its end: this is not TOML: there is no value here"),
        ("a = " + "[" * 3000, "is nested too deeply"),
        ('intervall = "1s"', "intervall: there is no such key; 'interval' is meant?"),
        ('zzz = "1s"', "zzz: there is no such key; accepted are cgroup_path, container_stats_interval, "),
        ("interval = 5", "interval: the number 5 is not accepted; accepted is a duration in quotes"),
        ("listen = true", "listen: true is not accepted; accepted is a text in quotes"),
        ("[interval]\na = 1", "interval: a table is not accepted; accepted is a duration in quotes"),
        ('dialect = [["a"]]', "dialect: a list is not accepted"),
        (
            'interval = "1s"\ncontainer_stats_interval = "2s"',
            "it is the same as interval; one of them is enough",
        ),
        ('read_token = "two words"', "read_token: this is no token"),
        ("x = 'a'\nx = 'b'", "this is not TOML: this key is written twice"),
    ],
)
def test_a_file_that_is_not_accepted(tmp_path: Path, text: str, sentence: str) -> None:
    """With the place in it."""
    config = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        exporter_settings(["--config", config], {})
    assert config in str(caught.value)
    assert sentence in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Nor one of a gigabyte."""
    file = tmp_path / "exporter.toml"
    for data, sentence in ((b"a = '\xff'", "is not UTF-8"), (b"#" * 1_048_577, "is too large")):
        file.write_bytes(data)
        with pytest.raises(UsageError, match=sentence):
            exporter_settings(["--config", str(file)], {})


def test_a_variable_that_is_not_accepted_is_refused() -> None:
    """A daemon that starts with other settings than it was given is worse than none."""
    with pytest.raises(UsageError, match=r"JOBMETER_INTERVAL: 'x' is not a duration.*1h$"):
        exporter_settings([], {"JOBMETER_INTERVAL": "x"})


def test_hooks(tmp_path: Path) -> None:
    """A socket, and where it was said."""
    config = written(tmp_path, 'hooks = "/run/a"\n')
    found = [
        exporter_settings([f"--config={config}"], {}),
        exporter_settings([f"--config={config}"], {"JOBMETER_HOOKS": "/run/b"}),
        exporter_settings(["--hooks=/run/c"], {"JOBMETER_HOOKS": "/run/b"}),
    ]
    assert [(one.hooks, one.hooks_place) for one in found] == [
        ("/run/a", f"{config}: hooks"), ("/run/b", "JOBMETER_HOOKS"), ("/run/c", "--hooks"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="--hooks: '' is no path of a socket"):
        exporter_settings(["--hooks="], {})
