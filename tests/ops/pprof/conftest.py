"""Profiles of these tests are of their own threads."""

from __future__ import annotations

import sys
import threading
from types import FrameType

import pytest


@pytest.fixture(autouse=True)
def _without_threads_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tests run beside each other, pytest's own process has a thread that is told which."""
    all_frames = sys._current_frames
    others = set(all_frames()) - {threading.get_ident()}

    def frames() -> dict[int, FrameType]:
        found = {one: frame for one, frame in all_frames().items() if one not in others}
        ours = threading.get_ident()
        caller = found[ours].f_back
        assert caller is not None
        return found | {ours: caller}

    monkeypatch.setattr(sys, "_current_frames", frames)
