"""Recorded traffic between real runners and their forges; ``tests/fixtures/captures/README.md`` tells the fields."""

from __future__ import annotations

import gzip
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

FOLDER = Path(__file__).parent.parent / "fixtures" / "captures"


class Side(Struct, frozen=True, kw_only=True):
    """What both directions have: headers as they were written, and the body without its content coding."""

    headers: dict[str, list[str]] = {}
    body_b64: str | None = None
    body_truncated_to: int | None = None
    len: int | None = None
    json: Any = None

    @property
    def body(self) -> bytes:
        """The body, or the beginning of it that was kept."""
        return b64decode(self.body_b64 or "")

    @property
    def whole(self) -> bool:
        """Whether the body was recorded in full."""
        return self.body_b64 is not None and self.body_truncated_to is None

    @property
    def by_name(self) -> dict[str, str]:
        """The headers by their names in lower case, without the content coding that the recorder took off."""
        joined = {name.lower(): ", ".join(values) for name, values in self.headers.items()}
        joined.pop("content-encoding", None)
        return joined


class Asked(Side, frozen=True, kw_only=True):
    """A runner's request."""

    method: str
    path: str
    text: str | None = None
    read_before_drop: int | None = None

    @property
    def arrived(self) -> bool:
        """Whether all of the body came before the connection was cut."""
        return (
            self.body_b64 is not None and int(self.by_name.get("content-length", self.len or 0)) == self.len
        )

    @property
    def whole(self) -> bool:
        """Whether the body came and was recorded in full."""
        return self.arrived and self.body_truncated_to is None


class Answered(Side, frozen=True, kw_only=True):
    """The answer; ``by`` tells if the recorder gave it itself."""

    status: int
    text: str | None = None
    by: str | None = None


class Exchange(Struct, frozen=True, kw_only=True):
    """One request and its answer; None if none came. Those of one connection have the same ``conn``."""

    t: str
    n: int
    conn: int
    dur_ms: float
    request: Asked
    response: Answered | None = None
    injected_fault: str | None = None
    client_closed: bool = False
    upstream_error: str | None = None
    by: str | None = None


class Scenario(Struct, frozen=True):
    """One recording: which runner, and what happens."""

    runner: str
    name: str

    @property
    def path(self) -> Path:
        """Its file."""
        return FOLDER / self.runner / f"{self.name}.jsonl.gz"

    def exchanges(self) -> Iterator[Exchange]:
        """In the order in which they ended."""
        with gzip.open(self.path, "rb") as lines:
            for line in lines:
                yield msgspec.json.decode(line, type=Exchange)


def scenarios(*runners: str) -> list[Scenario]:
    """All recordings of these runners, or of all, by name."""
    files = sorted(FOLDER.glob("*/*.jsonl.gz"))
    found = [Scenario(file.parent.name, file.name.removesuffix(".jsonl.gz")) for file in files]
    return [scenario for scenario in found if not runners or scenario.runner in runners]
