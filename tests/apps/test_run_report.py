"""What is decided of a run's outputs before its command starts."""

from __future__ import annotations

import sys

import pytest

from jobmeter.apps.run_report import check_outputs
from jobmeter.config.settings import run_settings
from jobmeter.model.errors import UsageError


def test_flag_that_names_a_place_where_nothing_can_be_written_is_refused():
    """Whoever wrote it is told before an hour of work."""
    with pytest.raises(UsageError, match=r"^--json: the directory /nonesuch does not exist$"):
        check_outputs(run_settings(["--json=/nonesuch/summary.json", "true"], {}))


def test_variable_that_names_one_stops_no_job(capsys):
    """It is often set for a whole fleet; it is said, and what else there is is written."""
    environ = {"JOBMETER_JSON": "/nonesuch/summary.json", "JOBMETER_MARKDOWN": "fd:2"}
    settings = check_outputs(run_settings(["true"], environ))
    assert (settings.json, settings.markdown) == (None, "fd:2")
    assert capsys.readouterr().err == (
        "jobmeter: /nonesuch/summary.json is not written: JOBMETER_JSON: the directory /nonesuch does not exist\n"
    )


def test_page_without_the_library_that_draws_it_stops_no_job(monkeypatch, tmp_path, capsys):
    """The sentence says how to get the library; the journal can be made a page of later."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = tmp_path / "page.html"
    settings = check_outputs(run_settings([f"--html={page}", "true"], {}))
    assert settings.html is None
    said = capsys.readouterr().err
    assert said.startswith(f"jobmeter: {page} is not written: vl-convert is not installed")
    assert "pip install '.[html]'" in said
