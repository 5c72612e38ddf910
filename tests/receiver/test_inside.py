"""What a receiver shows of its inside: its phase, the jobs that stream to it, its profiles, Python's series."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.ops.pprof.reading import samples, top
from tests.receiver.api.running import READ, RunningReceiver, running_receiver
from tests.receiver.api.test_runs import records_of, uid


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory):
    """One for all of them."""
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


def test_jobs_that_stream_are_listed(receiver: RunningReceiver) -> None:
    """Those that are over are not."""
    receiver.stream(records_of(1))
    receiver.stream(records_of(2, whole=False))
    answer = receiver.get("/debug/jobs/list")
    assert (answer.status_code, answer.headers["x-list-version"]) == (200, "2")
    (line,) = answer.text.splitlines()
    found = dict(field.split("=", 1) for field in line.split(" "))
    assert (found["run_uid"], found["state"]) == (uid(2), "running")


def test_it_says_that_it_runs(receiver: RunningReceiver) -> None:
    """Although nobody has asked whether it is ready."""
    assert receiver.get("/debug/process/state").text == "running\n"


def test_what_python_does_for_it_is_counted(receiver: RunningReceiver) -> None:
    """How late its loop is, how long garbage was collected, its threads."""
    time.sleep(0.3)
    families = text_string_to_metric_families(receiver.get("/metrics", token=None).text)
    assert {"python_event_loop_lag_seconds", "python_gc_pause_seconds", "process_threads"} <= {
        family.name for family in families
    }


def test_go_reads_the_profile_of_a_receiver_at_work(receiver: RunningReceiver) -> None:
    """What it does for who asks is in it, and it goes on answering meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        profile = pool.submit(receiver.get, "/debug/pprof/profile?seconds=2")
        asked = 0
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {READ}"
            while not profile.done():
                assert session.get(f"{receiver.url}/api/v1/runs", timeout=30).status_code == 200
                asked += 1
        answer = profile.result()
    assert answer.status_code == 200
    assert asked > 10
    assert top(answer.content, "-cum", "-focus=list_runs")
    assert any("Application.__call__" in one.stack for one in samples(answer.content))


def test_profiles_end_with_the_receiver(tmp_path: Path) -> None:
    """It does not wait for one that takes a minute."""
    with ThreadPoolExecutor(1) as pool:
        with running_receiver(tmp_path) as receiver:
            asking = pool.submit(receiver.get, "/debug/pprof/profile?seconds=60")
            time.sleep(0.5)
            begun = time.monotonic()
        assert time.monotonic() - begun < 20
        assert asking.result().status_code == 503
