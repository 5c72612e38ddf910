"""The contract of stored evidence, and which of two documents is kept."""

from __future__ import annotations

import json

import msgspec
import pytest

from jobmeter.model.errors import EvidenceError
from jobmeter.model.evidence import compat
from jobmeter.model.evidence.document import Evidence, Point, Series, decode, encode, replaces, seconds_of
from tests.conftest import GOLDEN, Golden
from tests.model.evidence.examples import answer, evidence, points, whole_evidence

ONE = answer("one", Series({}, points("1", "2")))
SHORTER = answer("one", Series({}, points("1")))
ZEROS = answer("one", Series({}, points("0", "0.0", "-0", "0e9")))
BEFORE = "2019-12-31T23:59:59.999Z"
LATER = "2020-01-01T00:00:40.000Z"
EARLIER = "2020-01-01T00:00:20.500Z"


def test_the_document_is_frozen(golden: Golden) -> None:
    """A document of version 1 is written as it always was."""
    golden(
        "evidence/document_v1.json", msgspec.json.format(encode(whole_evidence()).decode(), indent=1) + "\n"
    )


def test_the_schema_is_frozen(golden: Golden) -> None:
    """Names and types of all fields, as JSON Schema."""
    golden("evidence/schema.json", json.dumps(msgspec.json.schema(Evidence), indent=2, sort_keys=True) + "\n")


def test_a_stored_document_is_read_and_written_back() -> None:
    """A reader of version 1 reads the golden document for ever and loses nothing of it."""
    stored = (GOLDEN / "evidence/document_v1.json").read_bytes()
    document = decode(stored)
    assert document == whole_evidence()
    assert json.loads(encode(document)) == json.loads(stored)


def test_fields_of_a_later_release_are_passed_over() -> None:
    """Version 1 may grow."""
    grown = json.loads(encode(evidence(ONE))) | {"colour": "red"}
    assert decode(json.dumps(grown).encode()) == evidence(ONE)


@pytest.mark.parametrize(
    "text, sentence",
    [
        (b"", "it is no evidence of jobmeter: Input data was truncated"),
        (b"[]", "it is no evidence of jobmeter: Expected `object`, got `array`"),
        (b"{}", "it is no evidence of jobmeter: Object missing required field `made_by`"),
        (b'{"schema": "jobmeter.summary/1"}', "it is no evidence of jobmeter: "),
        (b'{"schema": "jobmeter.evidence/2"}', "which is newer than 'jobmeter.evidence/1'"),
        (b'{"schema": "\xff"}', "it is no evidence of jobmeter: "),
        (b"[" * 100_000, "it is no evidence of jobmeter: "),
    ],
    ids=["empty", "array", "bare", "summary", "newer", "not UTF-8", "deep"],
)
def test_what_is_no_document_is_refused_in_a_sentence(text: bytes, sentence: str) -> None:
    """Each with what is wrong with it."""
    with pytest.raises(EvidenceError) as refused:
        decode(text)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "time", ["", "now", "2020-01-01", "2020-01-01T00:00:00", "0001-01-01T00:00:00+23:59"]
)
def test_a_time_is_whole_and_has_a_zone(time: str) -> None:
    """Anything else could be any time."""
    with pytest.raises(EvidenceError):
        seconds_of(time)


@pytest.mark.parametrize(
    "new, old, kept",
    [
        (evidence(ONE, asked_time=LATER), evidence(ONE), True),
        (evidence(ONE), evidence(ONE), True),
        (evidence(ONE, asked_time=EARLIER), evidence(ONE), False),
        (evidence(SHORTER, asked_time=LATER), evidence(ONE), False),
        (evidence(SHORTER, asked_time=LATER), evidence(ONE, tail_open=True), True),
        (evidence(ONE, asked_time=LATER), evidence(SHORTER, tail_open=True), True),
        (evidence(answer("one"), asked_time=LATER), evidence(ONE, tail_open=True), False),
        (evidence(answer("one"), asked_time=LATER), evidence(answer("one")), True),
        (evidence(ZEROS, asked_time=LATER), evidence(SHORTER), False),
        (evidence(ZEROS, asked_time=LATER), evidence(ZEROS), True),
        (evidence(ONE, asked_time=LATER, end_time=LATER), evidence(ONE), True),
        (evidence(ONE, asked_time=LATER, start_time=BEFORE), evidence(ONE), True),
        (evidence(ONE, asked_time=LATER), evidence(ONE, end_time=EARLIER), False),
        (evidence(ONE, asked_time=LATER), evidence(ONE, start_time=BEFORE), False),
        (evidence(ONE, asked_time=LATER, task="8"), evidence(ONE, task="7"), False),
        (evidence(ONE, asked_time=LATER), evidence(ONE, task="7"), True),
    ],
    ids=[
        "newer", "the same", "older", "fewer points", "an open tail", "the tail has come", "away", "never any data",
        "nothing but zeros", "of zeros", "a later end", "an earlier begin", "an earlier end", "a later begin",
        "of another task", "of a task that is not told",
    ],
)  # fmt: skip
def test_a_second_asking_takes_nothing_from_the_first(new: Evidence, old: Evidence, kept: bool) -> None:
    """A newer document replaces an older one unless it knows less."""
    assert replaces(new, old) is kept


def test_compat_is_the_form_of_the_other_referee(golden: Golden) -> None:
    """First series only, names sorted, no blanks; what failed is left out."""
    golden("evidence/metrics_referee.json", compat.encode(whole_evidence()).decode() + "\n")


@pytest.mark.parametrize(
    "document, text",
    [
        (evidence(), "{}"),
        (evidence(answer("a")), "{}"),
        (evidence(answer("b", Series({}, points("1"))), answer("a", Series({}, points("2")))),
         '{"a":[[1577836800,"2"]],"b":[[1577836800,"1"]]}'),
        (evidence(ONE, answer("one", Series({}, points("3")))), '{"one":[[1577836800,"3"]]}'),
        (evidence(ONE, answer("one", state="failed")), '{"one":[[1577836800,"1"],[1577836810,"2"]]}'),
        (evidence(answer("", Series({}, points("1", step=0.5)))), '{"":[[1577836800,"1"]]}'),
        (evidence(answer("half", Series({}, points("1", "2", step=0.125)))),
         '{"half":[[1577836800,"1"],[1577836800.125,"2"]]}'),
        (evidence(answer("<a&b>\u2028é", Series({}, points("1")))),
         r'{"\u003ca\u0026b\u003e\u2028é":[[1577836800,"1"]]}'),
    ],
    ids=["nothing", "empty", "sorted", "twice", "the second failed", "no name", "milliseconds", "markup"],
)  # fmt: skip
def test_compat_is_equal_to_the_byte(document: Evidence, text: str) -> None:
    """As Go's encoder writes a map of sample pairs."""
    assert compat.encode(document).decode() == text


@pytest.mark.parametrize(
    "sent, written",
    [
        ("1e-07", "0.0000001"), ("1.5e-10", "0.00000000015"), ("1e+22", "10000000000000000000000"),
        ("1.7976931348623157e+308", "17976931348623157" + "0" * 292), ("123456789.125", "123456789.125"), ("1.0", "1"),
        ("-0", "-0"), ("0.1", "0.1"), ("NaN", "NaN"), ("+Inf", "+Inf"), ("Inf", "+Inf"), ("-Inf", "-Inf"),
    ],
)  # fmt: skip
def test_values_of_compat_have_no_exponent(sent: str, written: str) -> None:
    """The other referee reads them as numbers, and writes those by Go's format "f"."""
    document = evidence(answer("a", Series({}, points(sent))))
    assert compat.encode(document).decode() == f'{{"a":[[1577836800,"{written}"]]}}'


@pytest.mark.parametrize(
    "series, written",
    [
        ([points("1", "2", "3", "4", "5")], '{"a":[[1577836800,"1"],[1577836810,"2"],[1577836820,"3"]]}'),
        ([points("1", "2")[1:] + points("0", "0", "0", "4")[3:]], '{"a":[[1577836810,"2"]]}'),
        ([points("0", "0", "0", "4")[3:], points("7")], '{"a":[[1577836800,"7"]]}'),
        ([points("0", "0", "0", "4")[3:]], "{}"),
    ],
    ids=["after its end", "some", "the next series", "nothing"],
)
def test_the_form_of_gitlabs_referee_ends_with_the_job(series: list[tuple[Point, ...]], written: str) -> None:
    """As it asks for no more; a series that is of no time of the job is none there."""
    document = evidence(answer("a", *(Series({}, one) for one in series)))
    assert compat.encode(document) == written.encode()
