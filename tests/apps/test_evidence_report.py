"""`jobmeter report` of a document of evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobmeter.cli import main
from jobmeter.model import summary as summaries
from jobmeter.model.evidence.document import decode, encode
from tests.report.evidence_examples import build
from tests.support.runs import fold, records


@pytest.fixture
def evidence(tmp_path: Path) -> str:
    """The path of a document."""
    path = tmp_path / "evidence.json"
    path.write_bytes(encode(build()))
    return str(path)


@pytest.mark.parametrize(
    "form, begins",
    [
        ("terminal", "jobmeter: 5 of 7 queries have data\n"),
        ("markdown", "### jobmeter: what Prometheus saw of acme/engine"),
        ("html", "<!DOCTYPE html>"),
        ("json", '{"schema":"jobmeter.evidence/1"'),
    ],
)
def test_it_is_shown_in_the_forms_for_people(
    evidence: str, capsys: pytest.CaptureFixture[str], form: str, begins: str
) -> None:
    """And as it is; the terminal's without asking for it."""
    assert main(["report", evidence, f"--format={form}"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(begins)
    if form == "terminal":
        assert main(["report", evidence]) == 0
        assert capsys.readouterr().out == shown
    if form == "json":
        assert decode(shown.encode()) == build()


def test_a_document_that_went_through_other_hands_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sorted and indented."""
    path = tmp_path / "evidence.json"
    document = json.loads(encode(build())) | {"queries": []}
    path.write_text(json.dumps(document, indent=2, sort_keys=True))
    assert main(["report", str(path)]) == 0
    assert capsys.readouterr().out.startswith("jobmeter: nothing was asked\n")


@pytest.mark.parametrize("form", ["csv", "jsonl", "openmetrics"])
def test_forms_of_runs_are_refused(evidence: str, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """One sentence says which there are."""
    assert main(["report", evidence, f"--format={form}"]) == 2
    assert "evidence is shown as terminal, markdown, html or json" in capsys.readouterr().err


def test_one_of_a_later_release_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not that it is no run."""
    path = tmp_path / "evidence.json"
    path.write_text('{"schema":"jobmeter.evidence/2"}')
    assert main(["report", str(path)]) == 1
    assert "newer than 'jobmeter.evidence/1'" in capsys.readouterr().err


def test_a_run_that_speaks_of_evidence_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in it."""
    path = tmp_path / "summary.json"
    text = summaries.encode(fold(*records()).summary()).decode()
    path.write_text(text.replace('"warnings": []', '"warnings": ["jobmeter.evidence/1"]'))
    assert "jobmeter.evidence/1" in path.read_text()
    assert main(["report", str(path)]) == 0
    assert capsys.readouterr().out.startswith("jobmeter: succeeded")
