"""What programs need to run where nothing is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path


def shared_libraries(*programs: Path) -> set[Path]:
    """The shared libraries, loader included, that ELF files need; none for static ones."""
    listing = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    lines = [line for line in listing.splitlines() if line.startswith("\t")]
    return {Path(word) for line in lines for word in line.split() if word.startswith("/")}
