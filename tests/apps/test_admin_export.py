"""What `jobmeter admin export` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.apps.admin_export import export
from jobmeter.config.admin import ExportSettings
from tests.receiver.store.moving.test_moving import filled


def test_a_run_that_is_exported_again_is_not_counted_as_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each round says how many runs it wrote, though all files together hold some twice."""
    source, target = str(tmp_path / "source.db"), str(tmp_path / "files")
    filled(source)
    for files in ("1 file", "2 files"):
        assert export(ExportSettings(target=target, db=source)) == 0
        told = capsys.readouterr().out
        assert f"{target}: 33 runs written now; the export is complete with {files}, " in told
