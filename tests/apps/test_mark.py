"""`jobmeter mark` as a process of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.apps.mark import mark
from jobmeter.model.marks import PROGRAM


@pytest.mark.parametrize("place, told", [("comm", PROGRAM), ("missing/comm", None)])
def test_it_takes_the_name_by_which_no_list_has_it(tmp_path: Path, place: str, told: str | None) -> None:
    """Within what the kernel keeps of one; where it cannot, the mark is set all the same."""
    own_name = tmp_path / place

    assert mark(["tests"], {}, own_name=str(own_name)) == 0

    assert (own_name.read_text() if own_name.exists() else None) == told
    assert len(PROGRAM) <= 15
