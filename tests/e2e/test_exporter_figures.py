"""What Prometheus' own tool says of what the exporter counts of itself."""

from __future__ import annotations

import subprocess

from prometheus_client import generate_latest

from tests.e2e.support.components import require_command
from tests.exporter.test_figures import figures


def test_promtool_finds_nothing_to_complain_about() -> None:
    """Names, units and helps are good ones."""
    promtool = require_command("promtool")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(figures()), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
