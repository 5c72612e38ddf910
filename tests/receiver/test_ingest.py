"""What becomes of the body of a post: names, key and the summary as it was sent, or one sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.ops.problems import Problem
from jobmeter.receiver.ingest import parse
from tests.conftest import GOLDEN

NAMES = {"organization": "o", "repository": "o/r", "workflow": "w", "job": "j", "run_id": "7"}
SUMMARY = {"start_time": "2026-02-10T10:00:00.123Z", "unknown": {"kept": [1, 2.50, "é"]}}


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    "sent",
    [
        body(execution=NAMES, run_summary=SUMMARY),
        body(execution=NAMES, summary=SUMMARY),
        body(execution=NAMES, payload=SUMMARY),
        body(execution=NAMES, run_summary=None, payload=SUMMARY),
        body(**NAMES, run_summary=SUMMARY),
        body(**NAMES, payload=SUMMARY),
        body(run_summary=SUMMARY | {"job": NAMES}),
    ],
)
def test_every_form_of_the_envelope_is_the_same_run(sent):
    """The names are found wherever they stand, and the summary is kept as it was sent."""
    found = parse(sent)
    assert {name: getattr(found, name) for name in NAMES} == NAMES
    assert json.loads(found.summary).items() >= SUMMARY.items()
    assert found.start_time == 1770717600123


def test_a_flat_body_is_its_own_summary():
    """Names beside the fields of the summary."""
    sent = body(**NAMES, **SUMMARY)
    assert parse(sent).summary == sent
    assert parse(sent).repository == "o/r"


def test_any_object_is_a_summary():
    """As seed 000 has it; without names it is nobody's run."""
    found = parse(b'{"a":1}')
    assert (found.summary, {getattr(found, name) for name in NAMES}) == (b'{"a":1}', {None})


def test_the_summary_keeps_every_byte():
    """Numbers and unknown fields are not written anew."""
    raw = b'{"a": 1.50, "a": 2e0,\n "b":"\\u00e9"}'
    assert parse(b'{"execution":{}, "run_summary": ' + raw + b"}").summary == raw


def test_our_own_summary_names_run_and_job():
    """Without any envelope, as `--json` writes it."""
    found = parse((GOLDEN / "summary_v1.json").read_bytes())
    assert found.run_uid == "019aa6a4-9b40-7000-8000-000000000001"
    assert (found.forge, found.ref, found.repository) == ("forgejo", "refs/heads/main", "acme/engine")
    assert json.loads(found.job_json)["matrix"]["python"] == 3.12


def test_without_a_key_the_body_is_the_key():
    """The same body is the same run, another body another, whatever their names."""
    first = parse(body(execution=NAMES, run_summary={"a": 1}))
    assert parse(body(execution=NAMES, run_summary={"a": 1})).run_uid == first.run_uid
    assert parse(body(execution=NAMES, run_summary={"a": 2})).run_uid != first.run_uid


@pytest.mark.parametrize(
    "other",
    [
        body(execution=NAMES, run_summary={"a": 2}),
        body(execution=NAMES | {"job": "x"}, run_summary={"a": 1}),
        body(**NAMES, run_summary={"a": 1}),
        body(**NAMES | {"job": "x"}, a=1),
    ],
)
def test_an_idempotency_key_is_the_key_alone(other):
    """Whatever the names, the form and the body; but run_uid in the summary is stronger."""
    one = body(execution=NAMES, run_summary={"a": 1})
    assert parse(one, b"k").run_uid == parse(other, b"k").run_uid
    assert parse(one, b"k").run_uid != parse(one, b"l").run_uid
    assert parse(body(run_summary={"run_uid": "u", "job": NAMES}), b"k").run_uid == "u"


@pytest.mark.parametrize(
    "sent, sentence",
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{", "truncated"),
        (b"nonsense", "malformed"),
        (b"\xff", "malformed"),
        (b'{"execution": {}, "run_summary": {"a": "\xff"}}', "not UTF-8"),
        (b'{"execution": {}, "run_summary": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "too deeply"),
        (b"[" * 100_000, "Expected `object`"),
        (body(execution={"organization": 7}), "`$.execution.organization`"),
        (body(execution=NAMES | {"job": "x" * 2000}, run_summary={}), "`$.execution.job`"),
        (body(execution=NAMES), "`run_summary` is missing"),
        (body(execution=NAMES, run_summary=7), "`$.run_summary`"),
        (body(execution=NAMES, run_summary="text"), "`$.run_summary`"),
        (body(execution=NAMES, payload=[]), "`$.payload`"),
        (body(execution=[], run_summary={}), "`$.execution`"),
        (body(execution=NAMES, run_summary={"run_uid": 5}), "`$.run_summary.run_uid`"),
        (body(execution=NAMES, run_summary={"run_uid": "a/b"}), "`$.run_summary.run_uid`"),
        (body(execution=NAMES, run_summary={"start_time": "today"}), "`$.run_summary.start_time`"),
        (body(run_summary={"start_time": "0001-01-01T00:00:00+14:00"}), "`$.run_summary.start_time`"),
        (body(run_summary={"start_time": "9999-12-31T23:59:59-14:00"}), "`$.run_summary.start_time`"),
        (body(execution=NAMES, run_summary={"job": {"attempt": "x"}}), "`$.run_summary.job"),
        (body(run_summary={"job": {"runner_labels": ["x" * 100] * 1000}}), "`job` has 103"),
        (body(execution=NAMES | {"job": "\ud800"}, run_summary={}), "surrogate"),
        (body(execution=NAMES | {"job": "a\0b"}, run_summary={}), "NUL"),
        (
            body(execution=NAMES, run_summary={"schema": "jobmeter.summary/1", "run_uid": "u"}),
            "required field",
        ),
    ],
)
def test_what_is_not_accepted_is_one_sentence_that_names_the_field(sent, sentence):
    """Status 400, whatever it is."""
    with pytest.raises(Problem) as raised:
        parse(sent)
    assert raised.value.status == 400
    assert sentence in raised.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from([*NAMES, "execution", "run_summary", "payload", "run_uid", "schema", "start_time"])


@given(
    st.binary()
    | st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON)).map(lambda v: json.dumps(v).encode())
)
def test_whatever_is_sent_is_stored_or_refused(sent):
    """No other error escapes, and what is stored is JSON again."""
    try:
        content = parse(sent).summary
    except Problem as problem:
        content = b"{}" if problem.status == 400 else b""
    assert isinstance(json.loads(content), dict)


def test_what_waits_is_as_large_as_its_job_and_its_summary():
    """So that many large jobs do not wait uncounted."""
    found = parse(body(run_summary={"job": {"runner_labels": ["x" * 1000] * 60}}))
    assert found.size >= len(found.summary) + 60_000
