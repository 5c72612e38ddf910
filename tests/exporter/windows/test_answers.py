"""The Engine API's answers on Windows: units, what is absent, what the API fills with zeros, limits, other systems."""

from __future__ import annotations

from typing import Any

import pytest

from jobmeter.exporter.windows.answers import (
    MAX_NETWORKS,
    About,
    Made,
    parse_info,
    parse_inspect,
    parse_list,
    parse_stats,
)
from jobmeter.model.account import Account, Interface
from jobmeter.model.errors import SourceUnavailable
from tests.exporter.windows.told import (
    FIRST,
    HYPERV_STATS,
    INFO,
    LISTED,
    NEVER,
    NOT_RUNNING,
    SECOND,
    STATS,
    UNREADABLE,
    changed,
    inspected,
    text,
    without,
)

ABOUT = About("process", 8)


def account(stats: object) -> Account:
    usage = parse_stats(text(stats))
    assert usage is not None
    return usage.account


def test_every_number_of_a_container_has_its_unit():
    """CPU time comes in units of 100 ns; endpoints are summed, and each is there too, without errors."""
    usage = parse_stats(text(STATS))
    assert usage is not None
    assert usage.cpus == 8
    assert usage.account == Account(
        cpu_seconds=12.3456789, cpu_user_seconds=9.84375, cpu_system_seconds=2.34375, memory_usage_bytes=505036800,
        memory_charged_peak_bytes=545357824, memory_private_working_set_bytes=129720320, io_read_bytes=262144,
        io_written_bytes=65536, io_reads=41, io_writes=7, network_received_bytes=1024, network_sent_bytes=512,
        interfaces=(
            Interface("3ae5cf15-4b8f", 1000, 10, None, 1, 500, 5, None, 0),
            Interface("a01d6c2e-9f00", 24, 1, None, 0, 12, 1, None, 2),
        ),
    )  # fmt: skip


def test_the_working_set_is_the_private_one():
    """It is told by Windows, not made of usage and page cache."""
    assert account(STATS).memory_working_set_bytes == 129720320


ABSENT: list[tuple[dict[str, Any], list[str]]] = [
    (without(STATS, "memory_stats"), ["memory_usage_bytes", "memory_charged_peak_bytes", "memory_working_set_bytes"]),
    (changed(STATS, "memory_stats", to={"commitbytes": 1}), ["memory_charged_peak_bytes", "memory_working_set_bytes"]),
    (changed(STATS, "memory_stats", to=None), ["memory_usage_bytes"]),
    (without(STATS, "storage_stats"), ["io_read_bytes", "io_written_bytes", "io_reads", "io_writes"]),
    (changed(STATS, "storage_stats", to={"read_size_bytes": 1}), ["io_written_bytes", "io_reads", "io_writes"]),
    (without(STATS, "networks"), ["network_received_bytes", "network_sent_bytes", "interfaces"]),
    (changed(STATS, "networks", to={}), ["network_received_bytes", "interfaces"]),
    (changed(STATS, "networks", to=None), ["network_sent_bytes", "interfaces"]),
    (without(STATS, "cpu_stats"), ["cpu_seconds", "cpu_user_seconds", "cpu_system_seconds"]),
    (HYPERV_STATS, ["cpu_user_seconds", "cpu_system_seconds"]),
    (UNREADABLE, ["cpu_seconds", "cpu_user_seconds", "memory_usage_bytes", "io_read_bytes", "interfaces"]),
    (STATS, ["memory_anon_bytes", "memory_file_bytes", "cpu_throttled_seconds", "cpu_waiting_seconds", "oom_kills",
             "memory_limit_hits", "processes", "process_count"]),
]  # fmt: skip


@pytest.mark.parametrize("stats, missing", ABSENT)
def test_what_is_not_told_is_missing(stats, missing):
    """And no 0: also CPU times that the API writes as 0 because it does not know them."""
    told = account(stats)
    assert {name: getattr(told, name) for name in missing} == dict.fromkeys(missing)


def test_what_hyper_v_tells_of_cpu_time_is_the_whole():
    """The two modes are not filled there."""
    assert account(HYPERV_STATS).cpu_seconds == 12.3456789


@pytest.mark.parametrize(
    "stats",
    [NOT_RUNNING, without(STATS, "read"), changed(STATS, "read", to=NEVER), changed(STATS, "read", to="now")],
)
def test_a_container_that_does_not_run_has_no_sample(stats):
    """The engine answers with zeros, and a time that never was."""
    assert parse_stats(text(stats)) is None


@pytest.mark.parametrize("preread", [NEVER, "", None, STATS["read"]])
def test_the_previous_sample_is_not_needed(preread):
    """Of one sample alone there is none; all that is read is counted from the beginning."""
    assert account(changed(STATS, "preread", to=preread)) == account(without(STATS, "preread"))


def test_the_largest_counter_is_whole():
    """They have 64 bits."""
    stats = changed(STATS, "memory_stats", "commitbytes", to=2**64 - 1)
    assert account(stats).memory_usage_bytes == 2**64 - 1


def test_the_number_of_endpoints_is_bounded():
    """However many an engine tells."""
    many = {f"{number:05}": {"rx_bytes": 1} for number in range(MAX_NETWORKS + 5)}
    assert account(changed(STATS, "networks", to=many)).network_received_bytes == MAX_NETWORKS


GARBAGE = [
    (b"", "Input data was truncated"),
    (b"<html>", "JSON is malformed"),
    (b"\xff\xfe", "malformed"),
    (b'{"later":' + b"[" * 100_000, "recursion"),
    (b"[]", "Expected `object`, got `array`"),
    (
        text(changed(STATS, "cpu_stats", "cpu_usage", "total_usage", to="1")),
        "$.cpu_stats.cpu_usage.total_usage",
    ),
    (text(changed(STATS, "memory_stats", "commitbytes", to=-1)), "$.memory_stats.commitbytes"),
    (text(changed(STATS, "memory_stats", "commitbytes", to=1.5)), "$.memory_stats.commitbytes"),
    (text(changed(STATS, "networks", to=[])), "$.networks"),
    (b'{"num_procs": NaN}', "malformed"),
]


@pytest.mark.parametrize("answer, reason", GARBAGE)
def test_an_answer_of_another_form_is_refused(answer, reason):
    """With a short reason that names the field."""
    with pytest.raises(SourceUnavailable) as refused:
        parse_stats(answer)
    sentence = str(refused.value)
    assert sentence.startswith("its answer has not the form of the Docker Engine API: ")
    assert reason in sentence
    assert len(sentence) < 250


def test_an_engine_tells_how_containers_run_unless_they_say():
    """Its default isolation, and the CPUs of the machine."""
    assert parse_info(text(INFO)) == About("process", 8)
    assert parse_info(text({"OSType": "windows"})) == About(None, None)


@pytest.mark.parametrize(
    "parse, answer", [(parse_info, {**INFO, "OSType": "linux"}), (parse_stats, {**STATS, "os_type": "linux"})]
)
def test_an_engine_that_runs_containers_of_linux_is_refused(parse, answer):
    """Their numbers have other units and other meanings."""
    with pytest.raises(SourceUnavailable) as refused:
        parse(text(answer))
    assert str(refused.value) == (
        "it runs containers of 'linux', and here only those of Windows are asked for: an exporter on that host "
        "shows them"
    )


def test_an_engine_that_names_no_system_is_refused():
    """Whatever it is."""
    with pytest.raises(SourceUnavailable, match="does not say that it runs containers of Windows"):
        parse_info(b"{}")


def test_containers_are_listed_as_those_of_other_hosts():
    """The name is the container's own, not that of a link; what has no full id is left out, the same comes once."""
    entries = [LISTED, LISTED, {"Id": "../info"}, {"Id": SECOND, "Names": None, "Labels": None}]
    first, second = parse_list(text(entries))
    assert (first.id, first.name, first.image) == (
        FIRST, "runner-x1-project-7-concurrent-0-build", "mcr.microsoft.com/windows/servercore:ltsc2022",
    )  # fmt: skip
    assert first.labels == LISTED["Labels"]
    assert (second.id, second.name, second.labels, second.created) == (SECOND, None, {}, None)


@pytest.mark.parametrize("created, known", [(0, None), (-(10**300), None), (17.5, 17.5)])
def test_a_container_is_not_older_than_any_date(created: float, known: float | None) -> None:
    """What cannot be has no date."""
    (found,) = parse_list(text([LISTED | {"Created": created}]))
    assert found.created == known


ISOLATIONS = [("process", "process"), ("hyperv", "hyperv"), ("HyperV", "hyperv"), ("default", "hyperv"),
              ("", "hyperv"), (None, "hyperv"), ("other", "hyperv")]  # fmt: skip


@pytest.mark.parametrize("word, isolation", ISOLATIONS)
def test_a_container_says_how_it_is_isolated_or_it_is_as_the_engine_does(word, isolation):
    """Here the engine isolates by Hyper-V."""
    made = parse_inspect(text(inspected(Isolation=word)), About("hyperv", 8))
    assert made.isolation == isolation


def test_a_container_tells_when_it_was_started():
    """In seconds since 1970; one that was not started has no time."""
    assert parse_inspect(text(inspected()), ABOUT).started == 1795297601.5
    assert parse_inspect(text(changed(inspected(), "State", "StartedAt", to=NEVER)), ABOUT).started is None
    assert parse_inspect(b"{}", ABOUT) == Made(isolation="process")


LIMITS: list[tuple[dict[str, object], float | str | None]] = [
    ({"NanoCpus": 2_500_000_000}, 2.5),
    ({"NanoCpus": 2_500_000_000, "Isolation": "hyperv"}, 2.5),
    ({"CpuCount": 2}, 2.0),
    ({"CpuCount": 2, "CpuPercent": 50}, 2.0),
    ({"CpuCount": 2, "CpuPercent": 50, "Isolation": "hyperv"}, 1.0),
    ({"CpuPercent": 25}, 2.0),
    ({"CpuPercent": 25, "Isolation": "hyperv"}, None),
    ({"CpuShares": 5000}, "unlimited"),
    ({}, "unlimited"),
    ({"Isolation": "hyperv"}, None),
]


@pytest.mark.parametrize("config, cores", LIMITS)
def test_the_cpu_limit_is_in_cores(config, cores):
    """Of eight. A share is no limit, and a virtual machine has one that is not told."""
    made = parse_inspect(text(inspected(**config)), About(None, 8))
    assert made.bounds(8).cpu_cores == cores


def test_a_share_of_cpus_that_are_not_known_is_not_known():
    """Neither is a limit of a container of which nobody says how it is isolated."""
    assert parse_inspect(text(inspected(CpuPercent=25)), ABOUT).bounds(None).cpu_cores is None
    assert parse_inspect(text(inspected(Isolation="")), About(None, 8)).bounds(8).cpu_cores is None


@pytest.mark.parametrize(
    "memory, isolation, limit",
    [
        (4 << 30, "process", 4 << 30),
        (4 << 30, "hyperv", 4 << 30),
        (0, "process", "unlimited"),
        (0, "hyperv", None),
        (0, "default", None),
    ],
)
def test_the_memory_limit(memory, isolation, limit):
    """A virtual machine has one also where none was asked for; the API does not tell which."""
    made = parse_inspect(text(inspected(Memory=memory, Isolation=isolation)), About(None, 8))
    assert made.bounds(8).memory_bytes == limit
