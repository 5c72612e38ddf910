"""Draws docs/images/page-*.png: pages of a receiver to which real jobs stream, of which one builds GNU hello.

Command: make picture (needs what make test installs: the source of GNU hello and Chromium).
"""

import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from tests.e2e.support.browser import chromium
from tests.e2e.support.components import JOBMETER, ROOT, jobmeter_environment
from tests.e2e.support.workloads import HELLO
from tests.receiver.api.running import PUSH, READ, RunningReceiver, running_receiver

IMAGES = ROOT / "docs" / "images"
WIDE, PHONE = 1168, 400
"""Widths in pixels of a screen and of a phone."""
BUILD = (
    "{mark} configure && ./configure -q && {mark} make && make -s && {mark} 'make again' && make -s clean all"
)
JOBS = {
    "build": ("gnu/hello", "ci.yaml", BUILD),
    "links": (
        "acme/site",
        "nightly.yaml",
        "for i in 1 2 3 4 5 6 7 8; do sleep 4; seq 300000 | sort -R > all; done",
    ),
    "wait": (
        "acme/shop",
        "deploy.yaml",
        "dd if=/dev/zero of=/dev/shm/jobmeter-picture bs=1M count=64; sleep 40",
    ),
}


def main() -> None:
    """Let the jobs run, and take the pictures meanwhile and afterwards."""
    with tempfile.TemporaryDirectory() as temporary, chromium() as browser:
        directory = Path(temporary)
        HELLO.prepare(directory)
        with running_receiver(directory) as receiver:
            jobs = [start(name, directory, receiver) for name in JOBS]
            try:
                time.sleep(12.0)
                take(browser, receiver.url, "now", 372, "light", "phone")
            finally:
                for job in jobs:
                    job.wait(300)
                Path("/dev/shm/jobmeter-picture").unlink(missing_ok=True)
            (run,) = receiver.get("/api/v1/runs?job=build").json()["runs"]
            take(browser, f"{receiver.url}/runs/{run['run_uid']}", "run", 900, "light", "dark", "phone")
            take(browser, f"{receiver.url}/runs", "runs", 460, "light")


def start(name: str, directory: Path, receiver: RunningReceiver) -> "subprocess.Popen[bytes]":
    """One job under `jobmeter run`, streamed."""
    repository, workflow, script = JOBS[name]
    environ = jobmeter_environment(
        GITHUB_REPOSITORY=repository,
        GITHUB_REPOSITORY_OWNER=repository.partition("/")[0],
        GITHUB_WORKFLOW=workflow,
        GITHUB_JOB=name,
        GITHUB_RUN_ID=str(4700 + len(name)),
        JOBMETER_PUSH_TOKEN=PUSH,
        XDG_STATE_HOME=str(directory / name),
    )
    command = [*JOBMETER, "run", "--interval=500ms", f"--receiver={receiver.url}", "sh", "-c"]
    script = script.replace("{mark}", f"{' '.join(JOBMETER)} mark")
    return subprocess.Popen(
        [*command, script], cwd=directory / "hello", env=environ, stderr=subprocess.DEVNULL
    )


def take(browser: Browser, address: str, name: str, height: int, *kinds: str) -> None:
    """A page, so many pixels of it: light, dark, on a phone."""
    for kind in kinds:
        size: ViewportSize = {"width": PHONE if kind == "phone" else WIDE, "height": height}
        context = browser.new_context(
            viewport=size,
            color_scheme="dark" if kind == "dark" else "light",
            extra_http_headers={"Authorization": f"Bearer {READ}"},
        )
        page = context.new_page()
        page.goto(address)
        photograph(page, IMAGES / f"page-{name}-{kind}.png")
        context.close()


def photograph(page: Page, target: Path) -> None:
    """What one screen shows, once its charts are drawn."""
    if page.locator("figure.chart").count():
        page.locator("html[data-drawn-ms]").wait_for(state="attached")
    page.screenshot(path=target)


if __name__ == "__main__":
    main()
