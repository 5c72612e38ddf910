"""Writes the dashboards of deploy/observability.

Command: .venv/bin/python -m scripts.dashboards (make golden does it too; a test compares).
"""

import json
from pathlib import Path

from scripts.dashboards import ephemerd, fleet, host, job
from scripts.dashboards.grafana import Json

DIRECTORY = Path(__file__).parents[2] / "deploy/observability/grafana/dashboards"
DASHBOARDS = {"fleet": fleet.page, "job": job.page, "host": host.page, "ephemerd": ephemerd.page}


def text(page: Json) -> str:
    """The file's content."""
    return json.dumps(page, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    for name, page in DASHBOARDS.items():
        (DIRECTORY / f"{name}.json").write_text(text(page()))


if __name__ == "__main__":
    main()
