"""What programs that read series say of ours."""

from __future__ import annotations

import subprocess

from jobmeter.exporter.dialects.jobmeter import CONTAINER_INFO, HOST_FAMILIES, JOB_INFO
from jobmeter.exporter.dialects.jobmeter import TOTALS as JOB_TOTALS
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.families import CONTAINER_FAMILIES
from tests.e2e.support.components import require_command
from tests.exporter.rows import ROWS, TOTALS, USE


def test_promtool_finds_nothing_to_complain_about() -> None:
    """It knows what names and helps are good ones; every family of our namespace is looked at."""
    promtool = require_command("promtool")
    text = "".join(Exposition().render(ROWS, (), TOTALS, machine=USE, openmetrics=False))
    names = {family.name for family in (*CONTAINER_FAMILIES, CONTAINER_INFO, *HOST_FAMILIES)} | {JOB_INFO[0]}
    names |= {f"jobmeter_repository_{name}_total" for name, _, _ in JOB_TOTALS}
    assert {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")} == names
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
