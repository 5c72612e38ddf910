"""What `[[forge.runner]]` says: runners that the gateway starts itself."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from jobmeter.config.gateway import GatewaySettings, gateway_settings
from jobmeter.gateway.launcher.options import RunnerOptions
from jobmeter.gateway.launcher.templates import COMMANDS
from jobmeter.supervise.keeper.spec import Limits

FORGE = """
receiver = "http://127.0.0.1:8080"

[[forge]]
name = "forgejo"
kind = "forgejo"
url = "https://forge.example/"
listen = "127.0.0.1:8090"
mode = "launch"
"""
RUNNER = """
[[forge.runner]]
name = "builder-1"
registration_file = "{folder}/builder-1.runner"
command = ["/bin/true", "{{config}}"]
user = "nobody"
work_dir = "/srv/w"
"""
"""The least that a runner needs on a machine without the official ones."""


@pytest.fixture(autouse=True)
def registration(tmp_path: Path) -> Path:
    """One that only this account can read."""
    file = tmp_path / "builder-1.runner"
    file.write_text(json.dumps({"uuid": "u-1", "token": "planted-token", "labels": ["host:host"]}))
    file.chmod(0o600)
    return file


def settings(folder: Path, text: str, *argv: str, **environ: str) -> GatewaySettings:
    """Those that the file makes."""
    file = folder / "gateway.toml"
    file.write_text(text.replace("{folder}", str(folder)).replace("{{", "{").replace("}}", "}"))
    return gateway_settings([f"--config={file}", *argv], environ)


def mistakes(folder: Path, text: str) -> str:
    """Those of the file, a line each, without its directory."""
    return "\n".join(settings(folder, text).mistakes).replace(f"{folder}/", "")


def runner_of(folder: Path, more: str = "") -> RunnerOptions:
    """The one runner, with these keys too."""
    found = settings(folder, FORGE + RUNNER + more)
    assert found.mistakes == ()
    (runner,) = found.forges[0].runners
    return runner


def test_the_least(tmp_path: Path) -> None:
    """One task at a time, without limits, nothing kept."""
    runner = runner_of(tmp_path)
    assert (runner.name, runner.user, runner.work_dir) == ("builder-1", "nobody", "/srv/w")
    assert runner.command == ("/bin/true", "{config}")
    assert (runner.capacity, runner.labels, runner.limits) == (1, (), Limits())
    assert (runner.environment, runner.keep_failed, runner.registration_token) == ({}, False, None)
    found = settings(tmp_path, FORGE + RUNNER)
    assert (found.receiver, found.warnings) == ("http://127.0.0.1:8080", ())


def test_everything(tmp_path: Path) -> None:
    """The keys of the documentation."""
    runner = runner_of(
        tmp_path,
        """
labels = ["host:host", "deb:docker://node:22"]
capacity = 4
limits = { cpu = "2", memory = "4Gi", pids = 2000, timeout = "1h" }
environment = { DOCKER_HOST = "unix:///run/x.sock", EMPTY = "" }
keep_failed = true
""",
    )
    assert (runner.capacity, runner.labels) == (4, ("host:host", "deb:docker://node:22"))
    assert runner.limits == Limits(cpu_cores=2.0, memory_bytes=2**32, pids=2000, timeout_seconds=3600.0)
    assert runner.environment == {"DOCKER_HOST": "unix:///run/x.sock", "EMPTY": ""}
    assert runner.keep_failed


def test_a_runner_that_is_registered_at_first_start(tmp_path: Path) -> None:
    """By a token in a file, which is shown nowhere."""
    token = tmp_path / "token"
    token.write_text("planted-registration\n")
    token.chmod(0o600)
    text = RUNNER.replace("registration_file", "registration_token_file").replace("builder-1.runner", "token")
    found = settings(tmp_path, FORGE + text + "labels = ['host:host']")
    assert found.mistakes == ()
    (runner,) = found.forges[0].runners
    assert runner.registration_token == "planted-registration"
    assert "planted" not in repr(found)


@pytest.mark.parametrize("kind", ["forgejo", "gitea", "gitlab"])
def test_each_kind_of_forge_has_a_command(tmp_path: Path, kind: str) -> None:
    """That of its official runner, which is looked for."""
    text = (FORGE + RUNNER).replace('kind = "forgejo"', f'kind = "{kind}"')
    text = text.replace("command", "environment.PATH = '/nonesuch' #")
    found = mistakes(tmp_path, text)
    assert f"command: {COMMANDS[kind][0]!r} is not found in /nonesuch, or is no program" in found  # type: ignore[index]


def test_a_command_that_isolates_by_itself(tmp_path: Path) -> None:
    """It needs no account."""
    found = settings(tmp_path, FORGE + RUNNER.replace('user = "nobody"', "isolated = true"))
    assert found.mistakes == ()
    assert found.forges[0].runners[0].user is None


@pytest.mark.parametrize(
    "before, after, sentence",
    [
        ('name = "builder-1"\n', "", "[[forge.runner]] 1: name: this key is missing: what the runner is called"),
        ('name = "builder-1"', 'name = "a b"', "[[forge.runner]] 1 'a b': name: 'a b' is no name"),
        ("registration_file", "#",
         "registration_file: this key is missing, or registration_token_file: who the runner is at the forge"),
        ("registration_file =", 'registration_token_file = "{folder}/builder-1.runner"\nregistration_file =',
         "registration_token_file: registration_file says who the runner is; one of them is enough"),
        ("registration_file", "registration_token_file",
         "labels: this key is missing: a runner that is registered here needs them, as ['host:host']"),
        ("builder-1.runner", "nonesuch", "registration_file: '{folder}nonesuch' cannot be read: No such file"),
        ("{folder}/builder-1.runner", "/dev/null", "/dev/null is no registration of a runner: accepted is the file"),
        ("builder-1.runner", "gateway.toml", "gateway.toml is no registration of a runner"),
        ('user = "nobody"', "", "user: this key is missing: the account of its jobs; a command that keeps them"),
        ('user = "nobody"', 'user = "nobody-here"', "user: there is no account 'nobody-here' on this machine"),
        ('user = "nobody"', 'user = "root"', "user: 'root' could read and end everything here"),
        ('"/bin/true"', '"true-nonesuch"',
         "command: 'true-nonesuch' is not found in /usr/local/sbin:/usr/local/bin:"),
        ('"/bin/true"', '"/nonesuch"', "command: '/nonesuch' is not found, or is no program"),
        ("{{config}}", "{{confg}}", "command: '{confg}' is not known; accepted are {config}, {url}, {token}"),
        ("{{config}}", "{{config", "command: '{' stands alone in '{config'; {{ is a brace"),
        ("{{config}}", "config}}", "command: '}' stands alone in 'config}'; }} is a brace"),
        ('["/bin/true", "{{config}}"]', '"/bin/true"', "command: accepted is a list of words, as ['forgejo-runner'"),
        ('["/bin/true", "{{config}}"]', "[]", "command: accepted is a list of words"),
        ('["/bin/true", "{{config}}"]', '[""]', "command: its first word is empty"),
        ('work_dir = "/srv/w"', 'work_dir = "tmp"', "work_dir: 'tmp' is not accepted; accepted is a directory by its"),
        ('work_dir = "/srv/w"', 'work_dir = "{folder}/work"',
         "work_dir: the account 'nobody' cannot reach what is in "),
        ('work_dir = "/srv/w"', 'work_dir = "/tmp"',
         "work_dir: others can write to /tmp (owner 'root', mode 1777), and so could swap the directory of a task; "
         "accepted is a directory that, as all above it, only root or the gateway's account can write to"),
        ('user = "nobody"\nwork_dir = "/srv/w"', 'isolated = true\nwork_dir = "/tmp"', "work_dir: others can write"),
        ('work_dir = "/srv/w"', 'work_dir = "/proc/self/work"',
         "work_dir: /proc/self is a link, or no directory; accepted is a directory by its real name"),
        ('work_dir = "/srv/w"', 'work_dir = "/dev/null/work"', "work_dir: /dev/null is a link, or no directory"),
        ('work_dir = "/srv/w"', 'work_dir = "/proc/x"', "work_dir: /proc/x is of the kernel's own; accepted is a"),
        ('user = "nobody"', 'user = "nobody"\nisolated = true',
         "isolated: its jobs have the account that user names; one of them is enough"),
        ('user = "nobody"', 'user = "nobody"\ncapacity = 0', "capacity: '0' is not accepted; accepted are whole"),
        ('user = "nobody"', 'user = "nobody"\nlabels = ["two words"]', "labels: 'two words' is no label"),
        ('user = "nobody"', 'user = "nobody"\nlabels = ["x:vm://y"]', "labels: 'x:vm://y' is no label; accepted are"),
        ('user = "nobody"', 'user = "nobody"\nkeep_failed = 1', "keep_failed: the number 1 is not accepted"),
        ('user = "nobody"', 'user = "nobody"\nlimit = 1', "limit: there is no such key; 'limits' is meant?"),
        ('user = "nobody"', 'user = "nobody"\nlimits = 1', "limits: it is no table; accepted is one, as { cpu = "),
        ('user = "nobody"', 'user = "nobody"\nlimits.cpus = 1', "limits: cpus: there is no such key; 'cpu' is meant?"),
        ('user = "nobody"', 'user = "nobody"\nlimits.cpu = "2 cores"', "limits: cpu: '2 cores' is not a CPU quantity"),
        ('user = "nobody"', 'user = "nobody"\nlimits.cpu = 0', "limits: cpu: '0' is too little"),
        ('user = "nobody"', 'user = "nobody"\nlimits.cpu = true',
         "limits: cpu: true is not accepted; accepted is a number of cores, as \"2\", 0.5 or \"500m\""),
        ('user = "nobody"', 'user = "nobody"\nlimits.memory = 4', "limits: memory: '4' is no such size"),
        ('user = "nobody"', 'user = "nobody"\nlimits.memory = "1Mi"',
         "limits: memory: '1Mi' is too little for a runner alone; accepted are 16Mi and more"),
        ('user = "nobody"', 'user = "nobody"\nlimits.pids = 4', "limits: pids: '4' is too few for a runner alone"),
        ('user = "nobody"', 'user = "nobody"\nlimits.timeout = "0s"', "limits: timeout: '0s' is not a duration above"),
        ('user = "nobody"', 'user = "nobody"\nenvironment = []', "environment: it is no table; accepted is one, as"),
        ('user = "nobody"', 'user = "nobody"\nenvironment = {{ A = 1 }}',
         "environment: A: accepted is a text in quotes"),
        ('user = "nobody"', 'user = "nobody"\nenvironment = {{ "A=B" = "" }}', "environment: 'A=B' is no name of a"),
        ('user = "nobody"', 'user = "nobody"\nenvironment = {{ PATH = "/x" }}',
         "environment: PATH: there is no 'sh' in '/x', which steps of jobs need"),
        ('mode = "launch"', 'mode = "launch"\npublic_url = "https://forge.example"',
         "public_url: it is url: the forge itself does not know the tokens of launched runners"),
        ("[[forge.runner]]", "[forge.runner]",
         "runner: accepted is [[forge.runner]], with two brackets, once for each"),
        ("[[forge.runner]]", "[[forge.runners]]", "[[runners]]: there is no such key; [[forge.runner]] is meant?"),
        ("[[forge.runner]]", "capacity = 4\n[[forge.runner]]", "capacity: of launched runners each has its own, in"),
        ("[[forge.runner]]", 'user = "x"\n[[forge.runner]]',
         "user: there is no such key here; it belongs in [[forge.runner]]"),
        ('mode = "launch"', "", "[[forge.runner]]: it is for runners that are launched: mode = 'launch' is missing"),
        ('mode = "launch"', 'mode = "lunch"', "mode: 'lunch' is not accepted; accepted are relay, launch"),
        ('kind = "forgejo"', 'kind = "github"', "kind: 'github' is not accepted"),
    ],
)  # fmt: skip
def test_a_runner_that_is_not_accepted(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    """One sentence each, with the forge, the runner, the key and what is accepted; no secret."""
    text = FORGE + RUNNER
    assert before in text
    found = mistakes(tmp_path, text.replace(before, after))
    assert sentence.replace("{folder}", "") in found
    assert found.startswith("gateway.toml: [[forge]] 1 'forgejo': ")
    assert "planted" not in found


def test_a_launching_forge_without_runners(tmp_path: Path) -> None:
    """Nobody would ask there."""
    assert "[[forge.runner]]: there is none; each runner that is launched is a table" in mistakes(
        tmp_path, FORGE
    )


def test_two_runners_that_are_one(tmp_path: Path) -> None:
    """Neither by name nor by registration."""
    found = mistakes(tmp_path, FORGE + 2 * RUNNER).splitlines()
    place = "gateway.toml: [[forge]] 1 'forgejo': [[forge.runner]] 2 'builder-1': "
    assert found == [
        f"{place}name: it is that of [[forge.runner]] 1 'builder-1' too; each runner has its own",
        f"{place}registration_file: it is that of [[forge.runner]] 1 'builder-1' too; each runner has its own",
    ]


def _let_in(tmp_path: Path) -> None:
    """Other accounts reach what is there."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("test_", "pytest-", "popen-")):
            folder.chmod(0o755)


def test_a_registration_that_jobs_could_read(tmp_path: Path, registration: Path) -> None:
    """Who checks the file is told."""
    _let_in(tmp_path)
    registration.chmod(0o644)
    found = mistakes(tmp_path, FORGE + RUNNER)
    assert (
        "registration_file: builder-1.runner can be read by the account 'nobody', and so by every job"
        in found
    )


def test_a_registration_that_jobs_of_another_runner_could_read(tmp_path: Path, registration: Path) -> None:
    """Its own runner's cannot."""
    _let_in(tmp_path)
    other = tmp_path / "builder-2.runner"
    other.write_bytes(registration.read_bytes())
    other.chmod(0o600)
    os.chown(registration, pwd.getpwnam("nobody").pw_uid, 0)
    registration.chmod(0o004)  # Its owner cannot read it, all others can.
    second = RUNNER.replace("builder-1", "builder-2").replace('"nobody"', '"daemon"')
    found = mistakes(tmp_path, FORGE + RUNNER + second)
    assert found.count("can be read by the account") == 1
    assert "[[forge.runner]] 1 'builder-1': registration_file: " in found
    assert "can be read by the account 'daemon'" in found


@pytest.mark.parametrize(
    "top, key",
    [
        ('receiver_token = "s3cret"\n', "receiver_token: gateway.toml"),
        ('receiver_token_file = "{folder}/token"\n', "receiver_token_file: token"),
    ],
)
def test_other_secrets_that_jobs_could_read(tmp_path: Path, registration: Path, top: str, key: str) -> None:
    """Those of the gateway itself, be they in the file or in another one; it is never said again."""
    _let_in(tmp_path)
    registration.chmod(0o600)
    token = tmp_path / "token"
    token.write_text("s3cret-token")
    token.chmod(0o644)
    found = mistakes(tmp_path, top.format(folder=tmp_path) + FORGE + RUNNER)
    assert f"gateway.toml: {key} can be read by the account 'nobody', and so by every job" in found
    assert "s3cret" not in found


@pytest.mark.parametrize(
    "before, after, sentence",
    [
        ('receiver = "http://127.0.0.1:8080"\n', "",
         "receiver: this key is missing: summaries of launched jobs are sent nowhere"),
        ('work_dir = "/srv/w"', 'work_dir = "/srv/w"\nlabels = ["deb:docker://node:22"]',
         "listen: in a container 127.0.0.1 is the container itself, so that jobs of 'builder-1' do not reach"),
        ('receiver = "', 'hooks = "/nonesuch/h.sock"\nreceiver = "',
         "hooks: the directory /nonesuch is not there; it must be when the gateway starts"),
    ],
)  # fmt: skip
def test_what_is_accepted_but_seldom_meant(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    """It starts, and says so."""
    found = settings(tmp_path, (FORGE + RUNNER).replace(before, after))
    assert found.mistakes == ()
    (warning,) = found.warnings
    assert sentence in warning


def test_a_receiver_that_is_not_accepted(tmp_path: Path) -> None:
    """It is not said to be missing too."""
    found = settings(tmp_path, (FORGE + RUNNER).replace("http://127.0.0.1:8080", "127.0.0.1:8080"))
    (mistake,) = found.mistakes
    assert "receiver: '127.0.0.1:8080'" in mistake
    assert found.warnings == ()


def test_a_receiver_without_launched_runners(tmp_path: Path) -> None:
    """In the file it is a mistake; a variable may be there for others."""
    relay = FORGE.replace('"launch"', '"relay"').replace("127.0.0.1:8090", "10.0.0.1:8090")
    (warning,) = settings(tmp_path, relay).warnings
    assert warning.endswith(
        "receiver: it does nothing: no forge has mode = 'launch', and there is no [referee]"
    )
    without = relay.replace("receiver", "#")
    assert settings(tmp_path, without, JOBMETER_RECEIVER="http://127.0.0.1:1").warnings == ()


@pytest.mark.parametrize(
    "keys, url",
    [
        ('listen = "10.0.0.1:8090"', "http://10.0.0.1:8090/"),
        ('listen = ":8090"', "http://127.0.0.1:8090/"),
        ('listen = "[::]:8090"', "http://127.0.0.1:8090/"),
        ('listen = "[fd00::1]:8090"', "http://[fd00::1]:8090/"),
        ('listen = ":1"\npublic_url = "https://gateway.example"', "https://gateway.example"),
    ],
)
def test_the_address_that_runners_are_given(tmp_path: Path, keys: str, url: str) -> None:
    """Where the gateway listens, unless another one is told."""
    (forge,) = settings(tmp_path, (FORGE + RUNNER).replace('listen = "127.0.0.1:8090"', keys)).forges
    assert forge.given_url == url


def test_the_receivers_token(tmp_path: Path) -> None:
    """From the file, from its own file, from the variables of all that send."""
    file = tmp_path / "token"
    file.write_text("planted-push\n")
    text = FORGE + RUNNER
    assert settings(tmp_path, 'receiver_token = "planted-push"' + text).receiver_token == "planted-push"
    assert settings(tmp_path, f'receiver_token_file = "{file}"' + text).receiver_token == "planted-push"
    found = settings(tmp_path, text, JOBMETER_PUSH_TOKEN_FILE=str(file))
    assert found.receiver_token == "planted-push"
