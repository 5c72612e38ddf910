"""What a referee has attached, on the page of its run."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobmeter.model.evidence.document import encode, weight_of
from jobmeter.ops.problems import Problem
from jobmeter.receiver.api.readings import Readings
from jobmeter.receiver.api.types import RunDetail
from jobmeter.receiver.pages import evidence as module
from jobmeter.receiver.pages.drawing import Attached, Drawing
from jobmeter.receiver.pages.evidence import evidence_part, evidence_picture
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
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The part of the page of runs with each example, of two that cannot be read, and of one without any."""

    async def work(readings: Readings, drawing: Drawing) -> dict[str, str]:
        names = (*EXAMPLES, *DAMAGED, "none")
        return {name: await evidence_part(readings, name, None, drawing) for name in names}

    told: dict[str, str] = with_drawing(tmp_path_factory.mktemp("database") / "db", work)
    return told


def with_drawing(place: Path, work: Callable[[Readings, Drawing], Awaitable[Any]]) -> Any:
    """What ``work`` gives on a database of all these runs; one that is called none has no evidence."""

    async def run(writer: Writer, database: Database) -> Any:
        kept = {
            name: KeptEvidence.of(weight_of(example()), zlib.compress(encode(example())))
            for name, example in EXAMPLES.items()
        } | {name: KeptEvidence(1, 1, 1, False, body) for name, body in DAMAGED.items()}
        for name, evidence in kept.items():
            await writer.submit(summary(name))
            await writer.submit(NewEvidence(name, evidence))
        await writer.submit(summary("none"))
        drawing = Drawing()
        try:
            return await work(Readings(database), drawing)
        finally:
            await drawing.close()

    return with_writer(place, run)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_part_of_a_page(parts: dict[str, str], name: str) -> None:
    """Whole and harmless, of bounded size, with the way to the data."""
    body = parts[name]
    outline(body)
    assert "<img src=x" not in body
    assert len(body.encode()) < 400_000
    assert f'href="/api/v1/runs/{name}/evidence?format=compat"' in body


def test_it_stands_among_the_other_sections_of_the_run(parts: dict[str, str]) -> None:
    """A chart a query, before what the job and the machine were; and on the page of a run without a summary."""
    evidence = parts["build"]
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
def test_what_cannot_be_read_is_said(parts: dict[str, str], name: str) -> None:
    """The rest of the page is there all the same."""
    assert "cannot be read any more" in parts[name]


def test_of_nothing_nothing_is_said(parts: dict[str, str]) -> None:
    """Most runs have no referee."""
    assert parts["none"] == ""


def test_the_process_that_draws_makes_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large document takes seconds, which no other request shall feel; what was made is kept."""
    for name in ("decode", "evidence_charts", "evidence_section"):
        monkeypatch.delattr(module, name)

    async def work(readings: Readings, drawing: Drawing) -> None:
        part = await evidence_part(readings, "build", None, drawing)
        await drawing.close()
        drawing._exchange = None  # type: ignore[assignment, method-assign]
        assert await evidence_part(readings, "build", None, drawing) == part

    with_drawing(tmp_path / "db", work)


def test_its_charts_are_pictures_too(tmp_path: Path) -> None:
    """For who runs no scripts, in both widths; None where there is no such chart."""

    async def work(readings: Readings, drawing: Drawing) -> list[str | None]:
        ask = partial(evidence_picture, readings, scopes=None, drawing=drawing)
        wanted = [
            ("build", "evidence-2"),
            ("build", "evidence-99"),
            ("none", "evidence-2"),
            ("damaged", "evidence-2"),
        ]
        found = [await ask(run, key=key, narrow=False) for run, key in wanted]
        return [*found, await ask("build", key="evidence-2", narrow=True)]

    wide, *others, narrow = with_drawing(tmp_path / "db", work)
    assert others == [None, None, None]
    widths = [int(each.partition('viewBox="0 0 ')[2].partition(" ")[0]) for each in (wide, narrow)]
    assert 300 < widths[1] <= 350 < widths[0] <= 510


@pytest.mark.parametrize("status, said", [(503, "now; load the page again soon"), (500, "any more")])
def test_what_cannot_be_drawn_is_said(tmp_path: Path, status: int, said: str) -> None:
    """The rest of the page is there all the same, and the way to the data."""

    class Broken(Drawing):
        async def attached(self, attached: Attached) -> str:
            raise Problem(status, "no")

    async def work(readings: Readings, _: Drawing) -> str:
        return await evidence_part(readings, "build", None, Broken())

    part = with_drawing(tmp_path / "db", work)
    assert f"What a referee has attached cannot be shown {said}." in part
    assert 'href="/api/v1/runs/build/evidence"' in part
