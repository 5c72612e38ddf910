"""Draws the pictures of the documentation from a real build: GNU hello, configured and made under `jobmeter run`.

Command: make picture (needs what make test installs: the source of GNU hello and Chromium).
"""

import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from tests.e2e.support.browser import chromium
from tests.e2e.support.components import JOBMETER, ROOT, jobmeter_environment
from tests.e2e.support.workloads import HELLO

IMAGES = ROOT / "docs" / "images"
STEPS = "{jobmeter} mark configure && ./configure -q && {jobmeter} mark make && make -j2 -s"
SCREEN: ViewportSize = {"width": 1000, "height": 980}


def main() -> None:
    """Meter the build, then take the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        workdir = Path(temporary)
        HELLO.prepare(workdir)
        report = workdir / "report.html"
        terminal = meter(workdir / "hello", report)
        (IMAGES / "report.txt").write_text(terminal)
        show_in_readme(terminal)
        with chromium() as browser:
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport=SCREEN, color_scheme=scheme, device_scale_factor=1)
                photograph(page, report, IMAGES / f"report-{scheme}.png")


def meter(source: Path, report: Path) -> str:
    """Build under `jobmeter run`; returns the report that the terminal shows."""
    steps = STEPS.format(jobmeter=" ".join(JOBMETER))
    command = [*JOBMETER, "run", "--interval=100ms", f"--html={report}", "sh", "-c", steps]
    variables = {"GITHUB_REPOSITORY": "gnu/hello", "GITHUB_JOB": "build", "GITHUB_WORKFLOW": "ci.yaml"}
    environ = jobmeter_environment(**variables) | {"XDG_STATE_HOME": str(report.parent)}
    done = subprocess.run(command, cwd=source, env=environ, stderr=subprocess.PIPE, text=True, check=True)
    lines = done.stderr.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("jobmeter:"))
    return "\n".join(lines[start:]) + "\n"


def show_in_readme(terminal: str) -> None:
    """Put the report into the README's block of text."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition("```text\n")
    _, _, after = rest.partition("```\n")
    readme.write_text(f"{before}```text\n{terminal}```\n{after}")


def photograph(page: Page, report: Path, target: Path) -> None:
    """A picture of what one screen shows of the page."""
    page.goto(report.as_uri())
    page.screenshot(path=target)
    page.close()


if __name__ == "__main__":
    main()
