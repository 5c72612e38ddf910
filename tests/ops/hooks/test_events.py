"""What is said over a hook socket is understood, or refused with a sentence for whoever said it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from jobmeter.ops.hooks.events import (
    WORDS,
    Answer,
    Listen,
    TaskEvent,
    listen_line,
    moment,
    read_answer,
    read_line,
    write_line,
)

TASK = TaskEvent(
    event="on_task_started",
    task_id="12",
    time=datetime(2026, 1, 31, 12, 0, tzinfo=UTC),
    job=Job(forge="forgejo", server_url="https://forge.example", repository="org/tool", attempt=2),
    container_id="a" * 64,
    cgroup="/ci/task-12",
    pid=4711,
)


def test_what_is_written_is_read() -> None:
    """Every field of a task, on one line."""
    line = write_line(TASK)
    assert line.count(b"\n") == 1
    assert read_line(line) == TASK
    assert TASK.key == ("https://forge.example", "12")


def test_unknown_is_null() -> None:
    """A reader finds every field."""
    told = json.loads(write_line(TaskEvent(event="on_task_destroy", task_id="1")))
    assert told.keys() == set(TaskEvent.__struct_fields__)
    assert (told["schema"], told["pid"], told["time"]) == ("jobmeter.hook/1", None, None)


@pytest.mark.parametrize(
    "line, words",
    [
        (b'{"listen": []}', set(WORDS)),
        (b'{"listen": ["container_ended"], "new_field": {"a": 1}}', {"container_ended"}),
        (listen_line(("on_task_destroy",)), {"on_task_destroy"}),
    ],
)
def test_listening(line: bytes, words: set[str]) -> None:
    """To what was named, or to all; what is not known is passed over."""
    assert read_line(line) == Listen(frozenset(words))


def test_a_number_is_a_task_too() -> None:
    """As scripts write it; what is too long is cut."""
    said = read_line(b'{"event":"on_task_started","task_id":7,"job":{"job":"%s"}}' % (b"x" * 1000))
    assert isinstance(said, TaskEvent)
    assert (said.task_id, len(said.job.job or "")) == ("7", 256)


@pytest.mark.parametrize(
    "line, sentence",
    [
        (b"GET / HTTP/1.1", "not understood"),
        (b"\xff\xfe", "not understood"),
        (b"[" * 60_000, "not understood"),
        (b"{}", "neither listen nor event"),
        (b'{"listen": ["job_started"]}', "no event 'job_started'; accepted are on_task_started"),
        (b'{"listen": "all"}', "$.listen"),
        (b'{"listen": [], "event": "on_task_started"}', "each has its own"),
        (b'{"event": "on_task_started"}', "task_id is missing"),
        (b'{"event": "container_ended", "task_id": "1"}', "'container_ended' is not accepted"),
        (b'{"schema": "jobmeter.hook/9", "listen": []}', "accepted is 'jobmeter.hook/1'"),
        (b'{"event": "on_task_started", "task_id": "1", "cgroup": "/"}', "not /"),
        (b'{"event": "on_task_started", "task_id": "1", "cgroup": "/a/../.."}', "/proc/PID/cgroup"),
        (b'{"event": "on_task_started", "task_id": "1", "cgroup": "ci"}', "/proc/PID/cgroup"),
        (b'{"event": "on_task_started", "task_id": "1", "container_id": "abc"}', "too short"),
        (b'{"event": "on_task_started", "task_id": "1", "pid": 1}', "the pid 1"),
        (b'{"event": "on_task_started", "task_id": "1", "job": {"run_id": 5}}', "$.job.run_id"),
        (b'{"event": "on_task_started", "task_id": "1", "time": "2026-01-31T12:00:00"}', "no offset"),
    ],
)
def test_what_is_not_accepted(line: bytes, sentence: str) -> None:
    """Says what is."""
    with pytest.raises(UsageError) as raised:
        read_line(line)
    assert sentence in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("more, sentence", [
    ('"containerid": "%s"' % ("a" * 64), "there is no field 'containerid'; accepted are event, task_id, schema"),
    ('"job": {"repo": "org/tool"}', "job: there is no field 'repo'; accepted are forge, server_url"),
])  # fmt: skip
def test_what_is_misspelt(more: str, sentence: str) -> None:
    """In a line of a script; a daemon says its schema, and may be the newer one."""
    line = '{"event": "on_task_destroy", "task_id": "1", %s%s}'
    with pytest.raises(UsageError, match=f"^{sentence}"):
        read_line((line % (more, "")).encode())
    said = read_line((line % (more, ', "schema": "jobmeter.hook/1"')).encode())
    assert said == TaskEvent(event="on_task_destroy", task_id="1")


def test_answers() -> None:
    """Short when all is well; what is none is not taken for one."""
    assert write_line(Answer(True)) == b'{"ok":true}\n'
    assert read_answer(write_line(Answer(False, "no"))) == Answer(False, "no")
    with pytest.raises(UsageError):
        read_answer(b'{"event": "x"}')


def test_a_moment_has_milliseconds() -> None:
    """As everywhere else."""
    assert moment(1.23456).isoformat() == "1970-01-01T00:00:01.235000+00:00"
