"""What `jobmeter doctor` says of machines that the exporter is to follow: each answer, and each reason for none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from jobmeter.apps import doctor_machines
from jobmeter.apps.doctor_exporter import exporter_findings, exporter_verdict
from jobmeter.apps.doctor_machines import NO_START, machine_findings
from jobmeter.apps.findings import Finding
from jobmeter.config.exporter import exporter_settings
from jobmeter.config.settings import DoctorSettings
from jobmeter.exporter.windows.address import Engine
from tests.exporter.vm.rig import BUILD, Guest
from tests.exporter.windows.engine import WindowsEngine, listening, says, silent
from tests.support.forges.raw import Answer


def ask(**environ: str) -> list[Finding]:
    return machine_findings(
        exporter_settings((), {f"JOBMETER_{name}": text for name, text in environ.items()})
    )


def ask_engine(answer: Answer, more: str = "") -> list[Finding]:
    """The one that answers so."""

    async def main() -> list[Finding]:
        async with listening(answer) as (engine, _):
            return await asyncio.to_thread(ask, WINDOWS_ENGINE=f"{engine.name}={engine.address}{more}")

    return asyncio.run(main())


@pytest.fixture
def guest() -> Iterator[Guest]:
    with closing(Guest(BUILD, token="secret")) as guest:
        yield guest


def test_without_any_nothing_is_said() -> None:
    """Most exporters follow none."""
    assert ask() == []


def test_a_machine_that_tells(guest: Guest) -> None:
    """With the token that the exporter would send."""
    (found,) = ask(SUBSCRIBE=f"vm-1=127.0.0.1:{guest.port}", STATS_TOKEN="secret")
    assert found == Finding(
        "machine vm-1", True, f"it tells of its containers at 127.0.0.1:{guest.port}, now of 1.",
        "containers of this machine are not shown.",
    )  # fmt: skip


@pytest.mark.parametrize(
    "more, reason, cost",
    [
        ("", "it does not take our token", "containers of this machine are not shown."),
        (";token_file=/nowhere", "/nowhere", NO_START),
        (";ca=/nowhere", "--subscribe: vm-1: ca", NO_START),
    ],
)
def test_a_machine_that_is_not_heard(guest: Guest, more: str, reason: str, cost: str) -> None:
    """The reason is the exporter's; what keeps it from starting is said as such."""
    (found,) = ask(SUBSCRIBE=f"vm-1=127.0.0.1:{guest.port}{more}", STATS_TOKEN="wrong")
    assert (found.available, found.cost) == (False, cost)
    assert reason in found.detail


def test_machines_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is waited for, but not for ever."""
    monkeypatch.setattr(doctor_machines, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        place = f"127.0.0.1:{mute.getsockname()[1]}"
        found = ask(
            SUBSCRIBE=",".join(f"vm-{number}={place}" for number in range(5)),
            WINDOWS_ENGINE=f"b=tcp://{place}",
        )
    assert [one.source for one in found] == [*(f"machine vm-{number}" for number in range(5)), "machine b"]
    assert {one.detail.rpartition(": ")[2] for one in found} == {
        "nothing came within 0.5 s.", "it has not answered within 0.5 s."
    }  # fmt: skip


def test_an_engine_that_answers() -> None:
    """It is asked for its list alone."""
    engine = WindowsEngine()
    (found,) = ask_engine(engine)
    assert found.available
    assert found.detail.endswith("now of containers: 1.")
    assert not [target for target in engine.asked if "stats" in target]


@pytest.mark.parametrize(
    "answer, more, reason, cost",
    [
        (says(500), "", "tells nothing: ", "containers of this machine are not shown."),
        (silent, ";ca=/nowhere", "build-3: /nowhere cannot be used", NO_START),
    ],
)
def test_an_engine_that_does_not(answer: Answer, more: str, reason: str, cost: str) -> None:
    """With the exporter's reason."""
    (found,) = ask_engine(answer, more)
    assert (found.available, found.cost) == (False, cost)
    assert reason in found.detail


def test_they_are_among_the_findings_of_the_exporter() -> None:
    """And what one costs is in the verdict."""
    unused = Engine("b", "127.0.0.1", 1)
    found = exporter_findings(
        DoctorSettings(),
        {"JOBMETER_ENGINE_SOCKET": "none", "JOBMETER_WINDOWS_ENGINE": f"b={unused.address};ca=/nowhere"},
    )
    assert found[-1].source == "machine b"
    assert exporter_verdict(found) == "cannot run here."
