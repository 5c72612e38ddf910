"""The container part of a scrape, in every dialect and format."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.dialects import DIALECTS
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Of, Sums, Totals
from jobmeter.model.account import Account, Bounds
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from tests.conftest import Golden
from tests.exporter.reading import read
from tests.exporter.rows import BUILD, GROUPS, MACHINE, NO_SYS, ROWS, TOTALS, USE

NOW = 1795300100.0
UNREAD = replace(BUILD, account=Account(), bounds=Bounds(), identity=Identity())
"""One of which nothing could be read."""
HOSTILE = 'a "b"\\ \n\r\t\udcff é' + "x" * 10240
ATTACKER = replace(
    BUILD, id=HOSTILE, path=HOSTILE + "/c",
    identity=Identity(
        name=HOSTILE, image=HOSTILE, role=HOSTILE, task_id=HOSTILE, labels={HOSTILE: HOSTILE, "é-ö": HOSTILE},
        job=Job(repository=HOSTILE, workflow=HOSTILE, job=HOSTILE, ref=HOSTILE),
    ),
)  # fmt: skip


def scrape(*dialects: str, rows: Sequence[Row] = ROWS, totals=TOTALS, openmetrics: bool = False) -> str:
    made = Exposition(dialects or DIALECTS, machine=MACHINE, sys_path=NO_SYS, clock=lambda: NOW)
    return "".join(made.render(rows, GROUPS, totals, machine=USE, openmetrics=openmetrics))


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str, *, openmetrics: bool = False) -> Samples:
    """Values by names and labels; each only once."""
    found = [(one.key, one.value) for one in read(text, openmetrics=openmetrics)]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_a_whole_scrape(dialect: str, openmetrics: bool, golden: Golden) -> None:
    """Every family of a dialect, over all kinds of rows."""
    end = "openmetrics" if openmetrics else "text"
    golden(f"exporter/{dialect}.{end}", scrape(dialect, openmetrics=openmetrics))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failed_read(dialect: str, golden: Golden) -> None:
    """What could not be read has no series, in no dialect is it 0; then all of it is back."""
    made = Exposition((dialect,), machine=MACHINE, sys_path=NO_SYS, clock=lambda: NOW)
    before, failed, after = (
        "".join(made.render((row,), (), (), openmetrics=False)) for row in (BUILD, UNREAD, BUILD)
    )
    golden(f"exporter/{dialect}-failed-read.text", failed)
    assert before == after
    assert len(failed) < len(before) / 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_both_formats_say_the_same(dialect: str) -> None:
    """To the parsers of prometheus_client."""
    assert samples(scrape(dialect)) == samples(scrape(dialect, openmetrics=True), openmetrics=True)


def test_several_dialects_together() -> None:
    """One after the other, no series twice; who names one twice means it once."""
    text = scrape("cadvisor", "jobmeter", "cadvisor", "ephemerd")
    apart = samples(scrape("cadvisor")) | samples(scrape("jobmeter")) | samples(scrape("ephemerd"))
    assert samples(text) == apart


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_hostile_labels_are_labels(openmetrics: bool) -> None:
    """In every dialect and format: quotes, lines, bytes that are no text, 10 KiB."""
    totals = [(Of(HOSTILE, HOSTILE, HOSTILE), Sums(1.0))]
    text = scrape(rows=(ATTACKER,), totals=totals, openmetrics=openmetrics)
    text.encode()
    found = samples(text, openmetrics=openmetrics)
    assert max(len(value) for _, labels in found for _, value in labels) <= 1024
    assert any(value.startswith('a "b"\\    \ufffd éx') for _, labels in found for _, value in labels)


def test_an_id_is_shown_once() -> None:
    """A scraper would refuse a series that is there twice: the container that is listed first stays."""
    later = replace(BUILD, path="/elsewhere/4f0c", account=Account(cpu_seconds=99.0))
    found = samples(scrape("jobmeter", "ephemerd", rows=(BUILD, later)))
    assert {value for (name, _), value in found.items() if "cpu_usage" in name} == {12.75}


def test_a_dialect_that_is_not_known() -> None:
    """The sentence names those that are."""
    with pytest.raises(UsageError, match=r"no dialect 'Cadvisor'; there are jobmeter, ephemerd, cadvisor"):
        Exposition(("jobmeter", "Cadvisor"))


@pytest.mark.parametrize(
    "dialects, detailed, with_groups",
    [
        ((), False, False),
        (("jobmeter",), False, False),
        (("ephemerd",), True, False),
        (("jobmeter", "cadvisor"), True, True),
    ],
)
def test_what_a_dialect_needs(dialects, detailed, with_groups) -> None:
    """Details, and cgroups that are no containers, are read only for those that show them."""
    made = Exposition(dialects)
    assert (made.detailed, made.with_groups) == (detailed, with_groups)


def test_details_are_in_no_other_dialect() -> None:
    """Our own names come with and without them alike."""
    plain = [replace(row, account=replace(row.account, interfaces=None)) for row in ROWS]
    assert scrape("jobmeter", rows=plain) == scrape("jobmeter")


COUNTER = st.one_of(st.none(), st.floats(0, 1e6))


@given(st.lists(st.tuples(COUNTER, st.booleans()), max_size=30))
def test_a_counter_of_a_series_never_falls(readings: list[tuple[float | None, bool]]) -> None:
    """As long as the kernel's does not: what is not read is not there, and an end changes nothing."""
    made, totals = Exposition(("jobmeter",)), Totals()
    last: Samples = {}
    highest = 0.0
    for cpu, ended in readings:
        highest = max(highest, cpu or 0.0)
        row = replace(
            BUILD, account=Account(cpu_seconds=None if cpu is None else highest), ended=NOW if ended else None
        )
        totals.credit(row.path, row.identity.job, row.account)
        now = samples("".join(made.render((row,), (), totals.shown_to(Asking("one")), openmetrics=False)))
        counters = {series: value for series, value in now.items() if series[0].endswith("_total")}
        assert all(counters.get(series, value) >= value for series, value in last.items())
        last |= counters
