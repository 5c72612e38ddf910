"""What is said of records that could not be sent."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from jobmeter.apps.sending import Sending
from jobmeter.spool.journal import Journal
from tests.support.receivers import closed_port
from tests.support.runs import UID, fold, records


@pytest.mark.parametrize(
    "resumed, first, said",
    [
        (False, 0, "6 of 6 records of the run were not sent"),
        (True, 7_000_000, "6 of 6 records of the run since the restart were not sent"),
    ],
)
def test_records_are_counted_whatever_their_numbers(
    tmp_path: Path, resumed: bool, first: int, said: str
) -> None:
    """A restarted collector numbers its own from the age of the run, and counts those."""
    journal = Journal(str(tmp_path / "journal.jsonl"), warn=pytest.fail)
    settings = SimpleNamespace(
        receiver=f"http://127.0.0.1:{closed_port()}", push_endpoint=None, push_token=None, grace=1.0
    )
    sending = Sending(settings, UID, journal, resumed=resumed, patient=True)
    for record in records():
        journal.write(replace(record, sequence=first + record.sequence))
        sending.take(replace(record, sequence=first + record.sequence))
    sending.start()
    (sentence,) = sending.finish(fold(*records()).summary(), time.monotonic() + 0.5)
    journal.close()
    sending._feed.close()
    assert sentence.startswith(said)
    assert f"jobmeter report {journal.path} --receiver {settings.receiver}" in sentence
