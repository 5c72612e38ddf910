"""Options of `jobmeter gateway`: flags over variables over its configuration file, which names the forges."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.config.gateway import GatewaySettings, gateway_settings
from jobmeter.model.errors import UsageError

FORGE = '[[forge]]\nname = "one"\nkind = "forgejo"\nurl = "https://forge.example/git/"\nlisten = "10.0.0.1:8090"\n'
WHOLE = """
metrics_server = "127.0.0.1:9252"
shutdown_timeout = "10m"
state_dir = "/var/lib/jobmeter/gateway"
dialects = ["jobmeter", "act_runner"]

[[forge]]
name = "forgejo"
kind = "forgejo"
url = "https://forge.example/"
listen = "127.0.0.1:8090"
mode = "relay"
fetch_interval = "2s"
capacity = 60
"""


def settings(tmp_path: Path, text: str, *argv: str, **environ: str) -> GatewaySettings:
    """Those that the file and these flags and variables make."""
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return gateway_settings([f"--config={file}", *argv], environ)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    """Those of the file, without its directory."""
    return [one.replace(f"{tmp_path}/", "") for one in settings(tmp_path, text).mistakes]


def test_the_file_of_the_documentation(tmp_path: Path) -> None:
    """Its keys are literal."""
    found = settings(tmp_path, WHOLE)
    assert found.mistakes == ()
    assert (found.listen, found.shutdown_timeout) == ("127.0.0.1:9252", 600.0)
    assert found.listen_place == f"{tmp_path}/gateway.toml: metrics_server"
    assert (found.state_dir, found.dialect) == ("/var/lib/jobmeter/gateway", ("jobmeter", "act_runner"))
    (forge,) = found.forges
    assert (forge.name, forge.kind, forge.url) == ("forgejo", "forgejo", "https://forge.example/")
    assert (forge.listen, forge.mode, forge.capacity) == ("127.0.0.1:8090", "relay", 60)
    assert (forge.fetch_interval, forge.fetch_interval_max, forge.fetch_timeout) == (2.0, 5.0, 5.0)
    assert (forge.lost_after, forge.insecure) == (900.0, False)


def test_the_defaults(tmp_path: Path) -> None:
    """For this machine alone, nothing gated."""
    found = settings(tmp_path, FORGE)
    assert (found.listen, found.dialect, found.shutdown_timeout) == ("127.0.0.1:9252", ("jobmeter",), 600.0)
    assert (found.read_token, found.push_token, found.warnings) == (None, None, ())
    assert (found.listen_place, found.tls_places) == ("--listen", ("--tls-cert", "--tls-key"))
    assert found.forges[0].capacity is None
    health = found.health_check
    assert (health.min_free_disk_space, health.script, health.interval, health.timeout) == (
        None,
        None,
        30.0,
        10.0,
    )


def test_gitlab_holds_a_request(tmp_path: Path) -> None:
    """So one for a job may take longer there, and there is no queue of a whole instance."""
    (forge,) = settings(tmp_path, FORGE.replace("forgejo", "gitlab")).forges
    assert (forge.fetch_timeout, forge.queue) == (60.0, ())


@pytest.mark.parametrize(
    "argv, environ, listen, place",
    [
        (["--listen=:3"], {"JOBMETER_LISTEN": ":2", "METRICS_SERVER": ":1"}, ":3", "--listen"),
        (["--addr=:3"], {"JOBMETER_LISTEN": ":2"}, ":3", "--addr"),
        (["--metrics-server", "localhost"], {}, "localhost", "--metrics-server"),
        ([], {"JOBMETER_LISTEN": ":2", "METRICS_SERVER": ":1"}, ":2", "JOBMETER_LISTEN"),
        ([], {"METRICS_SERVER": ":1"}, ":1", "METRICS_SERVER"),
        (["--metrics-server="], {"METRICS_SERVER": ":1"}, "", "--metrics-server"),
    ],
)
def test_an_address_has_three_names(
    tmp_path: Path, argv: list[str], environ: dict[str, str], listen: str, place: str
) -> None:
    """Ours and those of the seeds; a flag is stronger than a variable, and all are stronger than the file."""
    found = settings(tmp_path, 'metrics_server = ":9"\n' + FORGE, *argv, **environ)
    assert (found.listen, found.listen_place) == (listen, place)


@pytest.mark.parametrize(
    "text, field, value",
    [
        ('listen = ":1"', "listen", ":1"),
        ('addr = ":1"', "listen", ":1"),
        ('metrics_server = ""', "listen", ""),
        ('dialect = "ci_runner"', "dialect", ("ci_runner",)),
        ('shutdown_timeout = "0s"', "shutdown_timeout", 0.0),
        ('shutdown_tasks = "cancel"', "shutdown_tasks", "cancel"),
        ('read_token = "abc"', "read_token", "abc"),
        ('push-token = "abc"', "push_token", "abc"),
        ('log_level = "debug"', "log_level", "debug"),
    ],
)
def test_a_key_of_the_file_is_a_flag(tmp_path: Path, text: str, field: str, value: object) -> None:
    """With `-` or `_`, and the names of the seeds."""
    found = settings(tmp_path, f"{text}\n{FORGE}")
    assert found.mistakes == ()
    assert getattr(found, field) == value


@pytest.mark.parametrize(
    "argv, environ, sentence",
    [
        (["--tls-cert=/dev/null"], {}, "--tls-cert: it needs tls_key too"),
        ([], {"JOBMETER_TLS_KEY": "/dev/null"}, "JOBMETER_TLS_KEY: it needs tls_cert too"),
        (["--state-dir="], {}, "--state-dir: it is empty; accepted is the name of a directory"),
        (["--listen=8080"], {}, "--listen: '8080' is not accepted: a port alone is written with a colon, :8080"),
        (["--listen=:8090"], {}, "gateway.toml: [[forge]] 1 'one': listen: '10.0.0.1:8090' is taken by the metrics "
         "(--listen: ':8090'); each has its own"),
    ],
)  # fmt: skip
def test_a_mistake_is_where_it_was_given(
    tmp_path: Path, argv: list[str], environ: dict[str, str], sentence: str
) -> None:
    """By a flag, or a variable, that the file does not go with."""
    (found,) = settings(tmp_path, FORGE, *argv, **environ).mistakes
    assert found.replace(f"{tmp_path}/", "").startswith(sentence)


def test_a_token_is_in_a_file(tmp_path: Path) -> None:
    """That of the pages, that of draining, that of the forge."""
    token = tmp_path / "token"
    token.write_text("a-token\n")
    text = f'read_token_file = "{token}"\npush_token_file = "{token}"\n{FORGE}api_token_file = "{token}"\n'
    found = settings(tmp_path, text)
    assert found.mistakes == ()
    assert (found.read_token, found.push_token, found.forges[0].api_token) == ("a-token",) * 3
    assert "a-token" not in repr(found.forges[0])


def test_health(tmp_path: Path) -> None:
    """Sizes, shares and a program; megabytes as the runner has them."""
    text = f"""
{FORGE}
[health_check]
min_free_disk_space_mb = 1024
min_available_memory = "1.5Gi"
max_memory_pressure = 20
disk_paths = ["/", "/tmp"]
script = "/bin/true"
interval = "10s"
timeout = "1s"
"""
    found = settings(tmp_path, text)
    assert found.mistakes == ()
    health = found.health_check
    assert (health.min_free_disk_space, health.min_available_memory) == (2**30, 3 * 2**29)
    assert (health.max_memory_pressure, health.disk_paths) == (20.0, ("/", "/tmp"))
    assert (health.script, health.interval, health.timeout) == ("/bin/true", 10.0, 1.0)


@pytest.mark.parametrize(
    "line, sentence",
    [
        ('fetch_intervall = "1s"', "fetch_intervall: there is no such key; 'fetch_interval' is meant?"),
        ('zzz = "1s"', "zzz: there is no such key; accepted are api_token, api_token_file, ca_cert, "),
        ("fetch_interval = 5",
         "fetch_interval: the number 5 is not accepted; accepted is a duration in quotes, as \"30s\" or \"5m\""),
        ('fetch_interval = "5"', "fetch_interval: '5' is not a duration; accepted are forms such as 500ms"),
        ('fetch_interval = "0s"', "fetch_interval: '0s' is not accepted; an interval is from 50ms to 1h"),
        ('fetch_timeout = "61s"', "fetch_timeout: '61s' is too long; accepted are durations up to 60s"),
        ("capacity = 0", "capacity: '0' is not accepted; accepted are whole numbers from 1 to 999999999"),
        ("capacity = 4.5", "capacity: '4.5' is not accepted; accepted are whole numbers from 1 to 999999999"),
        ("capacity = -1", "capacity: '-1' is not accepted; accepted are whole numbers from 1"),
        ('capacity = "4"',
         "capacity: the text '4' is not accepted; accepted is a whole number without quotes, as 4"),
        ("capacity = [1]", "capacity: a list is not accepted; accepted is a whole number without quotes"),
        ("capacity = true", "capacity: true is not accepted; accepted is a whole number without quotes"),
        ("capacity.most = 1", "capacity: a table is not accepted; accepted is a whole number without quotes"),
        ('mode = "other"', "mode: 'other' is not accepted; accepted are relay, launch"),
        ('insecure = "yes"', "insecure: the text 'yes' is not accepted; accepted are true and false, without quotes"),
        ("insecure = 1", "insecure: the number 1 is not accepted; accepted are true and false"),
        ('public_url = "forge"', "public_url: 'forge' is no address; accepted is http:// or https:// with a host, as https://forge.example/"),
        ('public_url = "https://me:two words@forge.example"', "public_url: the address of 'forge.example' has "),
        ('tls_cert = ""', "tls_cert: it is empty; without a file the key is left out"),
        ('tls_cert = "/nonesuch"', "tls_cert: '/nonesuch' cannot be read: No such file or directory"),
        ('tls_cert = "/dev/null"', "tls_cert: it needs tls_key too"),
        ('client_key = "/dev/null"', "client_key: it needs client_cert too"),
        ('queue = ["everything"]', "queue: 'everything' is not accepted; accepted are admin, user, orgs/NAME"),
        ('queue = "projects/7"\napi_token = "a"',
         "queue: 'projects/7' is not for forgejo; accepted are admin, user, orgs/NAME and repos/OWNER/NAME"),
        ('queue = "admin"', "queue: it needs api_token_file or api_token too"),
        ('api_token = "a"\napi_token_file = "/dev/null"', "api_token_file: /dev/null: this is no token"),
        ('api_token = "two words"', "api_token: this is no token"),
        ('api_token = ["two words"]', "api_token: a list is not accepted; accepted is a text in quotes"),
        ("api_token = 12345", "api_token: a number is not accepted; accepted is a text in quotes"),
        ('shutdown_timeout = "1m"',
         "shutdown_timeout: there is no such key here; it belongs at the top of the file, above all tables"),
        ('shutdown_timout = "1m"', "shutdown_timout: there is no such key; 'shutdown_timeout' is meant? It belongs at"),
        ("max_memory_pressure = 5", "max_memory_pressure: there is no such key here; it belongs in [health_check]"),
        ("[forge.health_check]", "[health_check]: there is no such key here; it belongs at the top of the file"),
    ],
)  # fmt: skip
def test_a_forge_that_is_not_accepted(tmp_path: Path, line: str, sentence: str) -> None:
    """One sentence each, with the file, the forge, the key and what is accepted."""
    found = mistakes(tmp_path, f"{FORGE}{line}\n")
    assert found[0].startswith("gateway.toml: [[forge]] 1 'one': ")
    assert sentence in "\n".join(found)
    assert "two words" not in "".join(found)


@pytest.mark.parametrize(
    "before, after, sentence",
    [
        ('name = "one"\n', "", "[[forge]] 1: name: this key is missing: what it is called"),
        ('name = "one"', 'name = "a b"', "[[forge]] 1 'a b': name: 'a b' is no name; accepted are up to 63"),
        ("name = ", "name = [] #", "[[forge]] 1: name: a list is not accepted; accepted is a text in quotes"),
        ('kind = "forgejo"', 'kind = "github"',
         "kind: 'github' is not accepted; accepted are forgejo, gitea, gitlab"),
        ("https://forge.example/git/", "ftp://forge.example", "url: 'ftp://forge.example' is no address"),
        ("https://forge.", "https://me:s3cret@forge.",
         "url: the address of 'forge.example' has a user name; accepted is one without"),
        ("10.0.0.1:8090", "8090", "listen: '8090' is not accepted: a port alone is written with a colon, :8090"),
        ("[[forge]]", "[forge]", "gateway.toml: forge: accepted is [[forge]], with two brackets, once for each forge"),
        (FORGE, "", "gateway.toml: [[forge]]: there is no forge; each is a table that begins so"),
        (FORGE, FORGE * 2, "[[forge]] 2 'one': name: it is that of [[forge]] 1 too; each forge has its own"),
        ("10.0.0.1:8090", "http://10.0.0.1:8090",
         "listen: 'http://10.0.0.1:8090' is not accepted; an address to listen at is HOST:PORT without http://"),
        ("https://forge.example/git/", "https://forge.example/git/api/v4",
         "url: the path '/api/v4' is asked by runners themselves; accepted is the address of the forge without it"),
        ("[[forge]]", 'metrics_server = "8080"\n[[forge]]', "gateway.toml: metrics_server: '8080' is not accepted"),
        ("[[forge]]", 'metric_server = ":1"\n[[forge]]',
         "metric_server: there is no such key; 'metrics_server' is meant?"),
        ("[[forge]]", 'adress = ":1"\n[[forge]]', "adress: there is no such key; 'addr' is meant?"),
        ("[[forge]]", 'dialekts = "jobmeter"\n[[forge]]', "dialekts: there is no such key; 'dialects' is meant?"),
        ("[[forge]]", 'token = "s3cret"\n[[forge]]', "token: there is no such key; 'read_token' is meant?"),
        ("[[forge]]", "capacity = 4\n[[forge]]", "capacity: there is no such key here; it belongs in [[forge]]"),
        ("[[forge]]", "[[forges]]", "[[forges]]: there is no such key; [[forge]] is meant?"),
        ("[[forge]]", "[healthcheck]\n[[forge]]", "[healthcheck]: there is no such key; [health_check] is meant?"),
        ("[[forge]]", "[gateway]\n[[forge]]",
         "[gateway]: there is no such key; accepted are addr, announce, dialect, dialects, [[forge]], "),
        ("[[forge]]", '"a b" = 1\n[[forge]]', "'a b': there is no such key; accepted are addr"),
        ("[[forge]]", "state_dir = 5\n[[forge]]",
         "gateway.toml: state_dir: the number 5 is not accepted; accepted is a text in quotes"),
        ("[[forge]]", 'state_dir = ""\n[[forge]]', "state_dir: it is empty; accepted is the name of a directory"),
        ("[[forge]]", 'state_dir = "/dev/null"\n[[forge]]', "state_dir: '/dev/null' is no directory"),
        ("[[forge]]", "log_level = 2026-01-01\n[[forge]]", "log_level: a date or time is not accepted"),
        ("[[forge]]", "dialects = [5]\n[[forge]]", "dialects: the number 5 is not accepted"),
        ("[[forge]]", 'read_token = ["s3cret"]\n[[forge]]', "read_token: a list is not accepted"),
        ("[[forge]]", 'dialects = ["other"]\n[[forge]]', "dialects: 'other' is not accepted; accepted are jobmeter"),
        ("[[forge]]", 'metrics_server = ":1"\nlisten = ":2"\n[[forge]]',
         "gateway.toml: listen: it is the same as metrics_server; one of them is enough"),
        ("[[forge]]", 'tls_key = "k"\n[[forge]]', "gateway.toml: tls_key: it needs tls_cert too"),
        ("[[forge]]", 'tls_cert = ""\n[[forge]]',
         "gateway.toml: tls_cert: it is empty; accepted is the name of a file"),
        ("[[forge]]", 'read_token = "a"\nread_token_file = "/nonesuch"\n[[forge]]',
         "read_token_file: /nonesuch cannot be read"),
        ("[[forge]]", "health_check = 1\n[[forge]]",
         "health_check: it is no table; accepted is one, as [health_check]"),
        ("[[forge]]", '[health_check]\nscript = "true"\n[[forge]]',
         "[health_check]: script: 'true' is not accepted; accepted is a program by its whole name"),
        ("[[forge]]", '[health_check]\nscript = "/etc/passwd"\n[[forge]]',
         "[health_check]: script: '/etc/passwd' cannot be executed"),
        ("[[forge]]", '[health_check]\ndisk_paths = ["/nonesuch"]\n[[forge]]', "'/nonesuch' is no directory"),
        ("[[forge]]", '[health_check]\nmax_memory_pressure = "much"\n[[forge]]',
         "'much' is no percentage; accepted are numbers from 1 to 100"),
        ("[[forge]]", "[health_check]\nmax_memory_pressure = 0.5\n[[forge]]",
         "max_memory_pressure: '0.5' would be 0.5 %; 50 is meant, or '0.5%' as a text?"),
        ("[[forge]]", "[health_check]\nmax_memory_pressure = 120\n[[forge]]", "'120' is no percentage"),
        ("[[forge]]", "[health_check]\nmin_free_disk_space = 2\n[[forge]]",
         "min_free_disk_space: '2' is no such size; accepted are forms such as 512Mi, 1.5Gi or 2G, from 1Mi on"),
        ("[[forge]]", '[health_check]\nmin_available_memory = "0.2"\n[[forge]]', "'0.2' is no such size"),
        ("[[forge]]", '[health_check]\nmin_available_memory = "2GB"\n[[forge]]', "'2GB' is no such size"),
        ("[[forge]]", '[health_check]\ndisk_paths = "/"\n[[forge]]',
         "[health_check]: disk_paths: it needs min_free_disk_space too"),
        ("[[forge]]", '[health_check]\ndisk_paths = []\n[[forge]]', "disk_paths: the list is empty"),
        ("[[forge]]", '[health_check]\nmin_free_disk_space = "1G"\nmin_free_disk_space_mb = 5\n[[forge]]',
         "min_free_disk_space_mb: it is the same as min_free_disk_space; one of them is enough"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_accepted(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    """With the place in it."""
    found = mistakes(tmp_path, FORGE.replace(before, after))
    assert sentence in "\n".join(found)
    assert "s3cret" not in "".join(found)
    assert all(one.startswith("gateway.toml: ") for one in found)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """In the order of the file's parts."""
    text = 'nonesuch = 1\nshutdown_timeout = "x"\n[[forge]]\nname = "one"\nkind = "forgejo"\n[[forge]]\ncapacity = 0\n'
    found = mistakes(tmp_path, text)
    assert [one.split(": ")[1] for one in found] == [
        "nonesuch",
        "shutdown_timeout",
        *["[[forge]] 1 'one'"] * 2,
        *["[[forge]] 2"] * 5,
    ]


@pytest.mark.parametrize(
    "line, sentence",
    [
        ('fetch_interval_max = "1s"', "fetch_interval_max (1 s) is shorter than fetch_interval (2 s)"),
        ("insecure = true", "insecure: whoever is between here and https://forge.example/git/ can read"),
        (
            'public_url = "http://localhost:8090"',
            "public_url: in a container localhost is the container itself",
        ),
        (
            'public_url = "https://forge.example"',
            "url: it is the server of public_url too: if what runners ask there",
        ),
        (
            'lost_after = "1s"',
            "lost_after: a runner may say nothing of a job for a minute; one that is silent for 1 s",
        ),
    ],
)
def test_what_is_accepted_but_seldom_meant(tmp_path: Path, line: str, sentence: str) -> None:
    """It starts, and says so."""
    found = settings(tmp_path, f"{FORGE}{line}\n")
    assert found.mistakes == ()
    assert sentence in "\n".join(found.warnings)


@pytest.mark.parametrize("listen", ["127.0.0.1:8090", "[::1]:8090", "localhost"])
def test_a_loopback_address_is_no_address_in_a_container(tmp_path: Path, listen: str) -> None:
    """But where a proxy is before it, runners are given another one."""
    text = FORGE.replace("10.0.0.1:8090", listen)
    (sentence,) = settings(tmp_path, text).warnings
    assert "is the container itself: let a reverse proxy of the forge pass its runners' paths" in sentence
    assert settings(tmp_path, text + 'public_url = "https://runners.example/git/"\n').warnings == ()


@pytest.mark.parametrize(
    "argv, environ, sentence",
    [
        ([], {}, "--config is missing: the TOML file that names the forges, as --config gateway.toml"),
        (["--config=/nonesuch"], {}, "/nonesuch cannot be read: No such file or directory"),
        (["--config=a", "word"], {}, "'word' is not accepted: the gateway takes only flags"),
        (["--config=a", "--addr=:1", "--listen=:2"], {}, "--addr and --listen are the same"),
        (
            ["--config=a", "--dialect=other"],
            {},
            "--dialect: 'other' is not accepted; accepted are jobmeter, act",
        ),
        ([], {"JOBMETER_SHUTDOWN_TIMEOUT": "x"}, "JOBMETER_SHUTDOWN_TIMEOUT: 'x' is not a duration"),
    ],
)
def test_flags_and_variables_that_are_not_accepted(
    argv: list[str], environ: dict[str, str], sentence: str
) -> None:
    """The first of them is told."""
    with pytest.raises(UsageError) as caught:
        gateway_settings(argv, environ)
    assert sentence in str(caught.value)


def test_each_place_is_stronger_than_the_one_before(tmp_path: Path) -> None:
    """File, variable, flag."""
    text = f'state_dir = "/a"\nshutdown_timeout = "1s"\nlog_level = "debug"\n{FORGE}'
    environ = {"JOBMETER_STATE_DIR": "/b", "JOBMETER_SHUTDOWN_TIMEOUT": "2s"}
    found = settings(tmp_path, text, "--state-dir=/c", **environ)
    assert (found.state_dir, found.shutdown_timeout, found.log_level) == ("/c", 2.0, "debug")


def test_hooks(tmp_path: Path) -> None:
    """The gateway's own socket, and those that it announces to, each once."""
    found = settings(tmp_path, 'hooks = "/run/g.sock"\nannounce = ["/run/e.sock", "/run/e.sock"]\n' + FORGE)
    assert (found.mistakes, found.hooks, found.announce) == ((), "/run/g.sock", ("/run/e.sock",))
    assert found.hooks_place == f"{tmp_path}/gateway.toml: hooks"
    said = settings(tmp_path, FORGE, "--hooks=/run/h", JOBMETER_ANNOUNCE="/run/a,/run/b")
    assert (said.hooks, said.hooks_place, said.announce) == ("/run/h", "--hooks", ("/run/a", "/run/b"))
    assert mistakes(tmp_path, 'hooks = "/run/s"\nannounce = ["/run/s"]\n' + FORGE) == [
        "gateway.toml: announce: '/run/s' is the gateway's own hooks socket"
    ]
    (long,) = mistakes(tmp_path, f'hooks = "/{"x" * 107}"\n' + FORGE)
    assert long.endswith("is no path of a socket; accepted are 1 to 107 bytes")
