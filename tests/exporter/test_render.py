"""Series are what prometheus_client reads back, whatever is in a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.families import Family, Labels, Parts
from jobmeter.exporter.render import MAX_LABEL_CHARACTERS, Memo, Renderer, Sample, family, label_text
from tests.exporter.rows import BUILD, ENDED, WITHIN

USED = Family("used_total", "counter", "Used.", (((), lambda row: row.account.cpu_seconds),))
HELD = Family("held", "gauge", "Held.", (((), lambda row: row.account.memory_usage_bytes),), while_alive=True)
WAITED = Family(
    "waited_total", "counter", "Waited.",
    (
        ((("for", "cpu"),), lambda row: row.account.cpu_waiting_seconds),
        ((("for", "io"),), lambda row: row.account.io_waiting_seconds),
    ),
)  # fmt: skip
CARRIED = Family(
    "carried_total", "counter", "Carried.",
    each=(Parts("by", lambda row: [(one.name, one) for one in row.account.interfaces or ()]),
          lambda one: one.received_bytes),
)  # fmt: skip


def by_id(row: Row) -> Labels:
    return (("id", row.id),)


def rendered(*families: Family, rows=(BUILD, WITHIN, ENDED)) -> str:
    return "".join(Renderer(families, by_id).render(rows, openmetrics=False))


def test_a_family_is_together() -> None:
    """Its head, then a line for each value that there is; one without a value is left out."""
    assert rendered(USED, Family("never", "gauge", "Never.", (((), lambda row: None),)), WAITED) == (
        "# HELP used_total Used.\n# TYPE used_total counter\n"
        'used_total{id="4f0c"} 12.75\nused_total{id="7aa1"} 0.25\nused_total{id="c0de"} 0.3\n'
        "# HELP waited_total Waited.\n# TYPE waited_total counter\n"
        'waited_total{id="4f0c",for="cpu"} 0.75506\nwaited_total{id="4f0c",for="io"} 0.001134\n'
    )


def test_what_one_has_several_of() -> None:
    """Each is told apart by a label."""
    assert rendered(CARRIED).splitlines()[2:] == [
        'carried_total{id="4f0c",by="eth0"} 205',
        'carried_total{id="4f0c",by="docker0"} 90',
    ]


@pytest.mark.parametrize("first", [0, 1])
def test_one_within_another_hides_nobody(first: int) -> None:
    """Who can make cgroups chooses their names: of two with the same labels the one that lies in no other is shown."""
    victim = replace(BUILD, parent=None)
    feigned = replace(WITHIN, id=BUILD.id, parent="feefee")
    rows = ((victim, feigned), (feigned, victim))[first]
    assert rendered(USED, rows=rows).splitlines()[2:] == ['used_total{id="4f0c"} 12.75']


def test_what_goes_with_its_container() -> None:
    """One that has ended has it no more."""
    assert 'id="c0de"' not in rendered(HELD)
    assert rendered(HELD, rows=(ENDED,)) == ""


@pytest.mark.parametrize(
    "name, kind, head",
    [
        ("used_total", "counter", "# HELP used Used.\n# TYPE used counter\n"),
        ("failcnt", "counter", "# HELP failcnt Used.\n# TYPE failcnt unknown\n"),
        ("held", "gauge", "# HELP held Used.\n# TYPE held gauge\n"),
    ],
)
def test_heads_of_openmetrics(name, kind, head) -> None:
    """A counter is named without its `_total`; one that has none is no counter there."""
    renderer = Renderer((Family(name, kind, "Used.", (((), lambda row: 1),)),), by_id)
    assert "".join(renderer.render((BUILD,), openmetrics=True)) == f'{head}{name}{{id="4f0c"}} 1\n'


HOSTILE = {
    "quotes": ('quote " and \\ and', 'quote " and \\ and'),
    "lines": ("two\nlines\r\tand", "two lines  and"),
    "bytes": ("bad \udcff byte", "bad \ufffd byte"),
    "unicode": ("é 漢 🏗", "é 漢 🏗"),
    "long": ("x" * 10240, "x" * (MAX_LABEL_CHARACTERS - 1) + "…"),
    "braces": ('}{,="', '}{,="'),
}


@pytest.mark.parametrize("text, shown", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_a_label(text, shown) -> None:
    """Escaped, on one line, cut when long."""
    written = rendered(USED, CARRIED, rows=(replace(BUILD, id=text),))
    assert {one.labels["id"] for each in text_string_to_metric_families(written) for one in each.samples} == {
        shown
    }


@given(st.text(max_size=50), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_and_value_is_read_back(text, value) -> None:
    """As one series."""
    samples = [Sample(label_text((("a", text),)), value)]
    (only,) = text_string_to_metric_families(
        "".join(family("x", "gauge", "Help.", samples, openmetrics=False))
    )
    assert [one.value for one in only.samples] == [value]


def test_a_family_without_a_value_is_left_out() -> None:
    """What is not known has no series."""
    assert list(family("x", "gauge", "Help.", [Sample("", None)], openmetrics=False)) == []


def test_labels_are_made_anew_when_something_else_is_known() -> None:
    """And only then; those that are gone are forgotten."""
    made: list[Row] = []

    def note(row: Row) -> str:
        made.append(row)
        return row.id

    memo = Memo(note)
    assert memo.of([BUILD, WITHIN]) == ["4f0c", "7aa1"]
    memo.of([replace(BUILD, started=1.0), WITHIN])
    assert len(made) == 2
    memo.of([replace(BUILD, identity=Identity()), replace(WITHIN, parent=None)])
    memo.of([])
    memo.of([replace(BUILD, id="new")])
    assert len(made) == 5


def test_rows_of_one_path_are_all_written() -> None:
    """No reading may lose what another has made of the same directory."""
    assert rendered(USED, rows=(BUILD, replace(BUILD, id="later"))).count("used_total{") == 2


def test_rows_that_would_look_the_same_are_one() -> None:
    """A scraper takes no series twice: the first is written."""
    rows = (replace(BUILD, id="x\x01"), replace(WITHIN, id="x\x02"), ENDED)
    assert rendered(USED, rows=rows).splitlines()[2:] == [
        'used_total{id="x"} 12.75', 'used_total{id="c0de"} 0.3',
    ]  # fmt: skip
