"""What can go wrong around `jobmeter collector`: one sentence is said, and metering goes on."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.collectors import (
    container_of,
    cpuacct_seconds,
    descriptors,
    read_records,
    start_beside,
    start_on_host,
    unified_seconds,
    wait_until,
)
from tests.e2e.support.components import JOBMETER, jobmeter_environment
from tests.e2e.support.docker import HOST, Container, DockerEngine

WORK = "i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done"
BURN = "while :; do :; done"
AS_NOBODY = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]


@pytest.fixture
def job(docker_engine: DockerEngine) -> Iterator[Container]:
    """A container that sleeps."""
    with docker_engine.spawn(HOST, "sleep", "infinity") as container:
        yield container


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may write to."""
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-faults-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


# --- how it stops


def test_docker_stop_brings_the_whole_summary(
    docker_engine: DockerEngine, job: Container, tmp_path: Path
) -> None:
    """At `docker stop` the collector ends by itself, with a last sample, an end record and the summary."""
    collector = start_beside(docker_engine, job, tmp_path, "--interval=1h")
    before = unified_seconds(job)
    job.exec("sh", "-c", WORK)
    account = unified_seconds(job) - before
    summary = collector.stop()

    assert summary["sample_count"] == 2
    assert container_of(summary, job.id)["cpu_seconds"] == pytest.approx(account, rel=0.001, abs=0.02)
    assert collector.records()[-1]["kind"] == "end"
    assert summary["exit"] == {
        "reason": "unknown",
        "code": None,
        "signal": None,
        "detail": None,
        "certainty": None,
    }


@pytest.mark.parametrize("signals", [[signal.SIGTERM] * 5, [signal.SIGINT], [signal.SIGINT, signal.SIGTERM]])
def test_signals_stop_it_once(signals: list[signal.Signals], tmp_path: Path) -> None:
    """SIGTERM and SIGINT end the run in order, however often they come: one end record, one summary, exit code 0."""
    collector = start_on_host(tmp_path, "--interval=100ms")
    for one in signals:
        collector.process.send_signal(one)

    assert collector.process.wait(60) == 0
    assert [one["kind"] for one in collector.records()].count("end") == 1
    assert collector.summary()["sample_count"] == len(collector.records("sample"))
    assert "Traceback" not in collector.log()


@pytest.mark.parametrize("attempt", range(5))
def test_signal_while_it_starts_is_not_lost(attempt: int, tmp_path: Path) -> None:
    """SIGTERM before the first sample makes a run of one sample, with its end and its summary."""
    collector = start_on_host(tmp_path, "--interval=1h", wait=False)
    wait_until(collector.journal.exists, "the journal")
    collector.process.terminate()

    assert collector.process.wait(60) == 0, collector.log()
    assert collector.records()[-1]["kind"] == "end"
    assert collector.summary()["sample_count"] >= 1


@pytest.mark.parametrize(
    "redirection, said",
    [(">&-", []), (">/dev/full", ["The summary on stdout could not be written: No space left on device"])],
    ids=["closed", "full"],
)
def test_unwritable_stdout_loses_the_summary_only(redirection: str, said: list[str], tmp_path: Path) -> None:
    """Without a place for the summary the run in the journal is whole, and nothing worse than a sentence is said."""
    collector = start_on_host(
        tmp_path, "--interval=100ms", within=["sh", "-c", f'exec "$@" {redirection}', "sh"], to_stdout=True
    )
    collector.process.terminate()

    assert collector.process.wait(60) == 0
    assert collector.records()[-1]["kind"] == "end"
    assert [line for line in collector.log().splitlines() if line.startswith("jobmeter: ")] == [
        f"jobmeter: {sentence}" for sentence in said
    ]
    assert "Traceback" not in collector.log()


def test_grace_ends_a_last_sample_that_takes_too_long(
    docker_engine: DockerEngine, job: Container, tmp_path: Path
) -> None:
    """What cannot be done within `--grace` is left out and said; the run still ends in order."""
    collector = start_beside(docker_engine, job, tmp_path, "--interval=100ms", "--grace=1ms")
    summary = collector.stop()

    assert collector.records()[-1]["kind"] == "end"
    late = any("longer than the grace period" in sentence for sentence in summary["warnings"])
    samples = [one["sample"]["elapsed_seconds"] for one in collector.records("sample")]
    assert late or summary["duration_seconds"] == pytest.approx(samples[-1], abs=0.001)


# --- what comes and goes


def test_restarted_container_counts_both_lives(
    docker_engine: DockerEngine, job: Container, tmp_path: Path
) -> None:
    """A container that is restarted keeps its id, while its counters begin anew: the lives add up, none twice."""
    with docker_engine.spawn(HOST, "sleep", "infinity", flags=[f"--pid=container:{job.id}"]) as service:
        collector = start_beside(docker_engine, job, tmp_path, "--interval=200ms")
        accounts = []
        before = cpuacct_seconds(service)
        for _ in range(2):
            service.exec("sh", "-c", WORK)
            collector.wait_for_samples()
            accounts.append(cpuacct_seconds(service) - before)
            docker_engine.docker("restart", "--time=0", service.id)
            before = 0.0
            collector.wait_for_samples(4)
        last_life = cpuacct_seconds(service)
        summary = collector.stop()

    said = container_of(summary, service.id)
    assert said["cpu_seconds"] == pytest.approx(sum(accounts) + last_life, rel=0.001, abs=0.02)
    assert len([one for one in summary["containers"] if one["id"] == service.id]) == 1


def test_removed_containers_leave_their_numbers(
    docker_engine: DockerEngine, job: Container, tmp_path: Path
) -> None:
    """Cgroups that go away while they are read cost no read error, no descriptor and no number."""
    collector = start_beside(
        docker_engine, job, tmp_path, "--interval=50ms", "--cgroup-path=/host/cgroup",
        flags=["--volume=/sys/fs/cgroup:/host/cgroup"],
    )  # fmt: skip
    collector.wait_for_samples(3)
    before = descriptors(collector.pid)
    accounts = {}
    for _ in range(6):
        with docker_engine.spawn(HOST, "sh", "-c", BURN, flags=[f"--pid=container:{job.id}"]) as service:
            collector.wait_for_container(f"docker-{service.id[:12]}")
            collector.wait_for_samples()
            accounts[service.id] = cpuacct_seconds(service)
    wait_until(lambda: descriptors(collector.pid) <= before, "the descriptors of the six to be given back")
    summary = collector.stop()

    for container, account in accounts.items():
        said = container_of(summary, container)
        ended_unseen = f"{said['name']} ended between two ticks" in str(summary["warnings"])
        assert said["cpu_seconds"] >= account - 0.01 or ended_unseen
        assert said["pids_peak"] >= 1
    assert summary["collector"]["read_errors"] == 0
    assert "Traceback" not in collector.log()


def test_reused_pid_is_another_process(docker_engine: DockerEngine, job: Container, tmp_path: Path) -> None:
    """A process that is given the pid of one that ended is told from it; by /proc too nothing is counted twice."""
    collector = start_beside(docker_engine, job, tmp_path, "--interval=100ms", "--source=proc", "--top=50")
    before = cpuacct_seconds(job)
    enter = f"for c in /sys/fs/cgroup/*/docker/{job.id}; do echo $$ > $c/cgroup.procs; done"
    as_500 = f"echo 499 > /proc/sys/kernel/ns_last_pid; sh -c '{BURN}' & echo $!; wait"
    for _ in range(3):
        with subprocess.Popen(
            ["nsenter", f"--target={job.pid}", "--pid", "sh", "-c", f"{enter}; {as_500}"],
            stdout=subprocess.PIPE, text=True,
        ) as running:  # fmt: skip
            assert running.stdout
            assert running.stdout.readline() == "500\n"
            collector.wait_for_samples(6)
            job.exec("kill", "-KILL", "500")
        collector.wait_for_samples()
    account = cpuacct_seconds(job) - before
    summary = collector.stop()

    assert 0.05 < container_of(summary, job.id)["cpu_seconds"] <= account + 0.03
    same = [one for one in summary["top_cpu_processes"] if one["pid"] == 500 and one["name"] == "sh"]
    assert len(same) == 3


# --- what cannot be read or written


def one_sentence(start: str) -> Callable[[list[str]], bool]:
    """Exactly one warning, which begins so; that the host has no container is another matter."""

    def said(warnings: list[str]) -> bool:
        found = [one for one in warnings if not one.startswith("No container was seen")]
        return len(found) == 1 and found[0].startswith(start)

    return said


@pytest.mark.parametrize(
    "arguments, within, warnings",
    [
        (["--proc-path=/nonexistent"], [], one_sentence("cannot list the processes in /nonexistent: No such file")),
        (["--cgroup-path=/nonexistent"], [], one_sentence("--cgroup-path: cannot read the cgroups in /nonexistent:")),
        (["--journal=/proc/self/journal"], [], one_sentence("The journal /proc/self/journal cannot be written (")),
        (["--journal=/journal"], AS_NOBODY, lambda warnings: "The journal /journal cannot be written" in str(warnings)),
    ],
    ids=["no proc", "no cgroups", "no journal", "nobody"],
)  # fmt: skip
def test_missing_source_is_one_sentence(
    arguments: list[str], within: list[str], warnings: Callable[[list[str]], bool], open_directory: Path
) -> None:
    """Each thing that cannot be read or written is said once, in the log and in the summary; the rest goes on."""
    collector = start_on_host(open_directory, *arguments, "--interval=50ms", within=within, wait=False)
    wait_until(lambda: " INFO metering " in collector.log() or collector.running.ended(), "the start")
    summary = collector.stop()

    assert warnings(summary["warnings"]), summary["warnings"]
    for sentence in summary["warnings"]:
        assert collector.log().count(sentence) == 1
    assert summary["sample_count"] >= 1
    assert "Traceback" not in collector.log()


def test_hidden_processes_are_said(open_directory: Path) -> None:
    """With hidepid, another user's collector sees nobody else: it says so and goes on."""
    hidden = open_directory / "proc"
    hidden.mkdir()
    mount = f'mount -t proc -o hidepid=2 proc {hidden}; exec {" ".join(AS_NOBODY)} "$@"'
    collector = start_on_host(
        open_directory,
        f"--proc-path={hidden}",
        "--interval=100ms",
        within=["unshare", "--mount", "sh", "-c", mount, "sh"],
    )
    summary = collector.stop()

    assert len([one for one in summary["warnings"] if "hidepid" in one]) == 1
    assert summary["containers"] == []
    assert summary["cpu_total_percent"] is not None
    assert "Traceback" not in collector.log()


def test_collector_without_any_permission(
    docker_engine: DockerEngine, job: Container, tmp_path: Path
) -> None:
    """As another user without capabilities it reads /proc alone, and every number says so."""
    collector = start_beside(
        docker_engine, job, tmp_path, "--interval=200ms", flags=["--user=1000:1000", "--cap-drop=ALL"]
    )
    before = cpuacct_seconds(job)
    job.exec("sh", "-c", WORK)
    collector.wait_for_samples()
    account = cpuacct_seconds(job) - before
    summary = collector.stop()
    said = container_of(summary, job.id)

    assert (said["cpu_source"], said["memory_source"]) == ("proc", "rss")
    assert said["cpu_seconds"] <= account + 0.02
    assert summary["cpu_complete"] is False
    assert said["rss_bytes"]["peak"] > 0
    unknown = (
        "throttled_seconds",
        "oom_kills",
        "cpu_limit_cores",
        "memory_limit_bytes",
        "io_read_bytes",
        "pressure",
    )
    assert [said[field] for field in unknown] == [None] * len(unknown)


def test_journal_on_a_read_only_file_system(
    docker_engine: DockerEngine, job: Container, tmp_path: Path
) -> None:
    """A journal that cannot be written is said once; the summary is complete all the same."""
    collector = start_beside(
        docker_engine, job, tmp_path, "--interval=100ms", "--journal=/usr/journal.jsonl", wait=False
    )
    wait_until(lambda: " INFO metering " in collector.log(), "the start")
    summary = collector.stop()

    assert [one for one in summary["warnings"] if "Read-only file system" in one] == summary["warnings"]
    assert len(summary["warnings"]) == 1
    assert summary["sample_count"] >= 1
    assert read_records(collector.journal) == []


# --- flags and variables


def collect(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`jobmeter collector` with arguments that end it at once."""
    return subprocess.run(
        [*JOBMETER, "collector", *arguments],
        env=jobmeter_environment(**(env or {})), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments, env, sentence",
    [
        (
            ["--push-endpoint=receiver:8080/api/v1/metrics"],
            {},
            "--push-endpoint: 'receiver:8080/api/v1/metrics' is no",
        ),
        (["--receiver", "receiver"], {}, "--receiver: 'receiver' is no address"),
        (["--interval=2"], {}, "--interval: '2' is not a duration"),
        (["--interval=1ms"], {}, "'1ms' is not accepted; an interval is from 50ms to 1h"),
        (["--source=magic"], {}, "--source: 'magic' is not accepted; accepted are auto, cgroup"),
        (["--log-level", "loud"], {}, "--log-level: 'loud' is not accepted; accepted are debug, info"),
        (["--log-format=xml"], {}, "--log-format: 'xml' is not accepted; accepted are json, text"),
        (["--top=many"], {}, "--top: 'many' is not a whole number"),
        (["--json=/nonexistent/summary.json"], {}, "--json: the directory /nonexistent does not exist"),
        (["--colour"], {}, "the flag --colour is not known; accepted are --interval"),
        (["job"], {}, "'job' is not accepted: the collector takes only flags"),
    ],
)
def test_bad_usage_is_refused_with_one_sentence(
    arguments: list[str], env: dict[str, str], sentence: str
) -> None:
    """What is not accepted is refused before anything is read: exit code 2, one line that names it."""
    done = collect(*arguments, env=env)

    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments, env",
    [
        (["--interval=2s", "--proc-path=/proc", "--log-level=info", "--log-format=json", "--top=3"], {}),
        (["-interval=2s", "-proc-path=/proc", "-log-level=info", "-log-format=json", "-top=3"], {}),
        (["--interval", "2s", "--top", "3", "--log-format", "json"], {}),
        ([], {"JOBMETER_INTERVAL": "2s", "JOBMETER_TOP": "3"}),
    ],
    ids=["two dashes", "one dash", "apart", "environment"],
)
def test_flags_of_the_seed_are_taken(arguments: list[str], env: dict[str, str], tmp_path: Path) -> None:
    """Flags as the Forgejo Runner Resource Collector has them, in every form that Go takes."""
    summary = start_on_host(tmp_path, *arguments, env=env).stop()

    assert summary["collector"]["interval_seconds"] == 2.0
    assert len(summary["top_cpu_processes"]) <= 3


@pytest.mark.parametrize(
    "form, decode",
    [("json", json.loads), ("text", lambda line: {"msg": line})],
)
def test_messages_come_in_the_form_that_was_asked_for(
    form: str, decode: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """Every message is one line of JSON or of text."""
    collector = start_on_host(tmp_path, f"--log-format={form}", "--interval=1s")
    collector.stop()
    messages = [decode(line)["msg"] for line in collector.log().splitlines()]

    assert any("metering" in message for message in messages)
    assert any("finished" in message for message in messages)


def test_identity_comes_from_the_variables_of_the_seed(tmp_path: Path) -> None:
    """`GITHUB_*` of the job are the job of the summary; the repository is the full path."""
    env = {
        "GITHUB_REPOSITORY_OWNER": "my-org",
        "GITHUB_REPOSITORY": "my-org/my-repo",
        "GITHUB_WORKFLOW": "ci.yml",
        "GITHUB_JOB": "build",
        "GITHUB_RUN_ID": "run-123",
    }
    collector = start_on_host(tmp_path, "--interval=1s", env=env)
    job = collector.stop()["job"]

    assert [job[key] for key in ("organization", "repository", "workflow", "job", "run_id")] == list(
        env.values()
    )
