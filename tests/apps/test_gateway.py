"""`jobmeter gateway`: what it says of its configuration, and its way from start to end."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

import pytest

from jobmeter.apps.gateway import gateway
from jobmeter.apps.gateway_wiring import options_of
from jobmeter.config.forges import ForgeSettings
from jobmeter.config.gateway import GatewaySettings, gateway_settings
from jobmeter.gateway.relay.options import ForgeOptions
from jobmeter.model.errors import JobmeterError, UsageError
from tests.apps.gateways import running
from tests.support.certificates import authority

FORGE = '[[forge]]\nname = "one"\nkind = "forgejo"\nurl = "http://127.0.0.1:9/"\nlisten = "{listen}"\n'


def settings(tmp_path: Path, text: str, *argv: str) -> GatewaySettings:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return gateway_settings([f"--config={file}", *argv], {})


def checked(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of --check-config."""
    code = gateway(settings(tmp_path, text, "--check-config"))
    told = capsys.readouterr()
    return code, told.out.replace(f"{tmp_path}/", ""), told.err.replace(f"{tmp_path}/", "")


def test_a_file_that_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says so, and what is seldom meant."""
    text = FORGE.format(listen=":8090")
    assert checked(tmp_path, text, capsys) == (0, "gateway.toml is fine: 1 forge, one\n", "")
    other = text.replace("one", "two").replace(":8090", "127.0.0.1:8091")
    code, out, err = checked(tmp_path, text + other, capsys)
    assert (code, out) == (0, "gateway.toml is fine: 2 forges, one, two\n")
    assert err.startswith(
        "jobmeter gateway: note: gateway.toml: [[forge]] 2 'two': listen: jobs reach the forge"
    )


def test_all_that_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each."""
    text = "nonesuch = 1\n" + FORGE.format(listen="8090") + "capacity = 0\n"
    code, out, err = checked(tmp_path, text, capsys)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("jobmeter gateway: gateway.toml: ") for line in lines)


def test_certificates_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that the gateway shows, and those that it believes."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no PEM\n")
    tls = f'tls_cert = "{rubbish}"\ntls_key = "{rubbish}"\n'
    text = tls + FORGE.format(listen=":8090").replace("http:", "https:") + tls + f'ca_cert = "{rubbish}"\n'
    code, _, err = checked(tmp_path, text, capsys)
    assert code == 2
    first, second, third = err.splitlines()
    assert first.startswith("jobmeter gateway: gateway.toml: tls_")
    assert second.startswith("jobmeter gateway: gateway.toml: [[forge]] 1 'one': tls_")
    assert third == (
        "jobmeter gateway: gateway.toml: [[forge]] 1 'one': ca_cert: rubbish.pem has no certificate in PEM "
        "(-----BEGIN …)"
    )


def test_a_file_with_mistakes_starts_nothing(tmp_path: Path) -> None:
    """The first is told, and how to learn of the others."""
    with pytest.raises(UsageError) as caught:
        gateway(settings(tmp_path, FORGE.format(listen="8090") + "capacity = 0\n"))
    assert "listen: '8090' is not accepted" in str(caught.value)
    assert str(caught.value).endswith("(and 1 more: --check-config tells all)")


def test_the_relay_is_told_all_that_it_can_be_told() -> None:
    """What a file has no key for keeps its default."""
    forge = ForgeSettings(
        name="lab", kind="gitlab", url="https://lab.example/", listen=":1", fetch_interval=1.0, fetch_interval_max=9.0,
        fetch_timeout=7.0, capacity=3, lost_after=60.0, ca_cert="a", client_cert="b", client_key="c", insecure=True,
    )  # fmt: skip
    made = options_of(forge)
    told = {name for name in ForgeOptions.__struct_fields__ if hasattr(forge, name)}
    assert {name: getattr(made, name) for name in told} == {name: getattr(forge, name) for name in told}
    assert told >= {"name", "kind", "url", "capacity", "fetch_interval", "lost_after", "client_key"}


def get(address: str, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def test_from_start_to_end(tmp_path: Path) -> None:
    """Its pages are there, what the forge cannot be asked is refused, and SIGTERM ends it."""
    text = f"""
metrics_server = "127.0.0.1:0"
{FORGE.format(listen="127.0.0.1:0")}
[health_check]
min_free_disk_space = "1Gi"
disk_paths = ["/proc"]
script = "/bin/false"
max_memory_pressure = 100
"""
    with running(tmp_path, text) as (process, places):
        page = get(places["metrics"], "/metrics")
        assert 'jobmeter_gateway_runners{forge="one",standing="ready"} 0.0' in page
        assert 'jobmeter_gateway_gate_closed{check="pressure"} 0.0' in page
        assert get(places["metrics"], "/readyz").startswith("503 nothing is fetched: /proc has 0 B free")
        assert get(places["one"], "/api/v1/version").startswith("503 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize("given, warnings", [("", 1), ('public_url = "http://gateway.example:8090/"\n', 0)])
def test_an_address_that_no_container_reaches_is_warned_of(tmp_path: Path, given: str, warnings: int) -> None:
    """When it starts; not where runners were given another one."""
    text = 'metrics_server = ""\n' + FORGE.format(listen="127.0.0.1:0") + given
    with running(tmp_path, text) as (process, _):
        process.terminate()
        assert process.stderr is not None
        said = [json.loads(line) for line in process.stderr]
    warned = [one["msg"] for one in said if one["level"] == "warn"]
    assert len(warned) == warnings
    assert all("in a container 127.0.0.1 is the container itself" in one for one in warned)


def test_without_a_metrics_listener(tmp_path: Path) -> None:
    """An empty address is none."""
    with running(tmp_path, 'metrics_server = ""\n' + FORGE.format(listen="127.0.0.1:0")) as (process, places):
        assert not places["metrics"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_https_for_runners_and_for_operators(tmp_path: Path) -> None:
    """Each with its own certificate."""
    own = authority(tmp_path)
    keys = ["tls_cert = '{}'\ntls_key = '{}'\n".format(*own.issue(name)) for name in ("localhost", "runners")]
    text = f'metrics_server = "127.0.0.1:0"\n{keys[0]}{FORGE.format(listen="127.0.0.1:0")}{keys[1]}'
    with running(tmp_path, text) as (_, places):
        for name, place in (("localhost", places["metrics"]), ("runners", places["one"])):
            context = ssl.create_default_context(cafile=str(own.certificate))
            address = (place.rpartition(":")[0], int(place.rpartition(":")[2]))
            with (
                socket.create_connection(address, timeout=10) as line,
                context.wrap_socket(line, server_hostname=name) as shown,
            ):
                assert shown.version() == "TLSv1.3"


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    """Ends it with one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = 'metrics_server = ""\n' + FORGE.format(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(
            JobmeterError,
            match=r"toml: \[\[forge\]\] 1 'one': listen: 127.0.0.1:\d+ cannot be listened on: Address already",
        ):
            gateway(settings(tmp_path, text, f"--state-dir={tmp_path / 'state'}"))


def test_state_is_one_gateways_alone(tmp_path: Path) -> None:
    """A second one does not start; the folder is nobody else's to read."""
    text = 'metrics_server = ""\n' + FORGE.format(listen="127.0.0.1:0")
    state = tmp_path / "state"
    with (
        running(tmp_path, text),
        pytest.raises(
            JobmeterError,
            match=rf"another gateway keeps its state in {state}, which may still be stopping; each has its own",
        ),
    ):
        gateway(settings(tmp_path, text, f"--state-dir={state}"))
    assert state.stat().st_mode & 0o777 == 0o700


def test_state_that_cannot_be_kept(tmp_path: Path) -> None:
    """Is said before anything is passed."""
    (tmp_path / "file").touch()
    with pytest.raises(
        JobmeterError,
        match=r"nothing can be kept in .*/file/state: Not a directory; name another with --state-dir",
    ):
        gateway(settings(tmp_path, FORGE.format(listen=":0"), f"--state-dir={tmp_path / 'file/state'}"))


@pytest.mark.parametrize(
    "mode, uid, said", [("launch", 1000, True), ("launch", 0, False), ("relay", 1000, False)]
)
def test_launch_mode_is_root_s(
    mode: Literal["launch", "relay"],
    uid: int,
    said: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who looks at the file may be another account than the one that runs it."""
    monkeypatch.setattr("os.geteuid", lambda: uid)
    forge = ForgeSettings(
        name="one", kind="gitea", url="http://forge.example", listen="127.0.0.1:8090", mode=mode
    )
    gateway(GatewaySettings(config="gateway.toml", check_config=True, forges=(forge,)))
    assert ("note: it needs root where mode = 'launch'" in capsys.readouterr().err) is said
