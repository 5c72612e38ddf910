"""What a referee has attached, on the page of its run."""

from __future__ import annotations

import zlib

import pytest

from jobmeter.model.evidence.document import encode, weight_of
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.types import RunDetail
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.receiver.pages.evidence import Attached, attached_to, evidence_body
from jobmeter.receiver.pages.run import one_run_body
from jobmeter.receiver.store.database import Database
from jobmeter.receiver.store.evidence import KeptEvidence, NewEvidence
from jobmeter.receiver.store.writer import Writer
from tests.receiver.pages.test_pages import course_of, words_of
from tests.receiver.store.support import summary, with_writer
from tests.report.evidence_examples import EXAMPLES
from tests.report.examples import clock, make_build
from tests.report.test_html import outline

DAMAGED = {"damaged": b"damaged", "of a later release": zlib.compress(b'{"schema":"jobmeter.evidence/2"}')}


@pytest.fixture(scope="module")
def attached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Attached | None]:
    """What is told of runs with each example, of two that cannot be read, and of one without any."""

    async def work(writer: Writer, database: Database) -> dict[str, Attached | None]:
        kept = {
            name: KeptEvidence.of(weight_of(example()), zlib.compress(encode(example())))
            for name, example in EXAMPLES.items()
        } | {name: KeptEvidence(1, 1, 1, False, body) for name, body in DAMAGED.items()}
        for name, evidence in kept.items():
            await writer.submit(summary(name))
            await writer.submit(NewEvidence(name, evidence))
        await writer.submit(summary("none"))
        return {name: await attached_to(Readings(database), name, None) for name in (*kept, "none")}

    told: dict[str, Attached | None] = with_writer(tmp_path_factory.mktemp("database") / "db", work)
    return told


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_part_of_a_page(attached: dict[str, Attached | None], name: str) -> None:
    """Whole and harmless, of bounded size, with the way to the data."""
    body = evidence_body(attached[name], "a run", Drawing())
    outline(body)
    assert "<img src=x" not in body
    assert len(body.encode()) < 400_000
    assert 'href="/api/v1/runs/a%20run/evidence?format=compat"' in body


def test_it_stands_among_the_other_sections_of_the_run(attached: dict[str, Attached | None]) -> None:
    """A chart a query, before what the job and the machine were; and on the page of a run without a summary."""
    evidence = evidence_body(attached["build"], "build", Drawing())
    measured, timeline = make_build()
    detail = RunDetail(
        run_uid="build", state="finished", job=measured.job, received_at=clock(0), summary=measured
    )
    words = words_of(one_run_body(detail, course_of(measured, timeline), Drawing(), evidence=evidence))
    places = [
        words.index(told)
        for told in (
            "Programs and processes",
            "What Prometheus saw 5 of 7 queries have data.",
            "disk_read_bytes",
        )
    ]
    assert sorted(places) == places
    assert places[-1] < words.index("Job, machine, meter")
    assert evidence.count('<figure class="card chart"') == 5
    assert "/runs/build/charts/evidence-2?width=wide" in evidence
    detail.summary = None
    assert "What Prometheus saw" in one_run_body(
        detail, course_of(measured, timeline), Drawing(), evidence=evidence
    )


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_is_said(attached: dict[str, Attached | None], name: str) -> None:
    """The rest of the page is there all the same."""
    assert "cannot be read any more" in evidence_body(attached[name], name, Drawing())


def test_of_nothing_nothing_is_said(attached: dict[str, Attached | None]) -> None:
    """Most runs have no referee."""
    assert attached["none"] is None
    assert evidence_body(None, "none", Drawing()) == ""
