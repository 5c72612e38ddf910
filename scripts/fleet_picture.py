"""Draws docs/images/fleet.png and host.png: two dashboards over containers at work, some minutes of them.

Command: make picture (needs what make test installs: Docker, Prometheus, the source of GNU hello and Chromium).
"""

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import ViewportSize

from scripts.dashboards import fleet as fleet_page
from scripts.dashboards import host as host_page
from scripts.dashboards.asking import Prometheus, Span, ask, choose
from scripts.dashboards.drawing import PAGE_PIXELS, html
from scripts.dashboards.grafana import Json
from tests.e2e.support.browser import chromium
from tests.e2e.support.components import ROOT
from tests.e2e.support.docker import BUSYBOX, HOST, DockerEngine
from tests.e2e.support.exporters import running_exporter
from tests.e2e.support.fleet import fleet, labels
from tests.e2e.support.prometheus import prometheus
from tests.e2e.support.workloads import HELLO

IMAGES = ROOT / "docs/images"
SECONDS = 240.0
SCRAPE_SECONDS = 2
PICTURES = {"fleet": (fleet_page.page, 1496), "host": (host_page.page, 1572)}
"""Dashboards, and how many pixels from the top are shown."""
BURN = ("sh", "-c", "timeout 0.3 sh -c 'while :; do :; done'; true")
BUILD = "cp -a /source /tmp/hello && cd /tmp/hello && ./configure -q && make -s -j2"


def main() -> None:
    """Let containers work, then take the pictures."""
    engine = DockerEngine.start()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            HELLO.prepare(directory)
            socket = f"--engine-socket=docker={engine.directory}/docker.sock"
            with (
                running_exporter(directory, "--interval=2s", socket) as exporter,
                prometheus(
                    directory, scrape_seconds=SCRAPE_SECONDS, JOBMETER_TARGET=exporter.address
                ) as server,
            ):
                time.sleep(10)  # Prometheus looks for its targets every five seconds.
                span = work(engine, directory / "hello")
                drawn = {name: draw(page(), server, span) for name, (page, _) in PICTURES.items()}
    finally:
        engine.stop()
    with chromium() as browser:
        for name, (_, height) in PICTURES.items():
            size: ViewportSize = {"width": PAGE_PIXELS + 24, "height": height}
            screen = browser.new_page(viewport=size, device_scale_factor=1)
            screen.set_content(drawn[name])
            screen.screenshot(path=IMAGES / f"{name}.png")


def work(engine: DockerEngine, source: Path) -> Span:
    """Builds of GNU hello one after another, and jobs of a third of a second, beside what the tests let run."""
    start = time.time()
    hello = [
        *labels(repo="gnu/hello", workflow="ci.yaml", job="build"),
        "--cpus=1",
        "--memory=256m",
        "--name=hello-build",
    ]
    short = labels(repo="acme/site", workflow="links.yaml", job="check")
    number = 0
    with fleet(engine):
        while (done := time.time() - start) < SECONDS:
            print(f"\r{done:.0f} of {SECONDS:.0f} s", end="", file=sys.stderr, flush=True)
            number += 1
            run = labels(run=str(number))
            engine.run(HOST, "sh", "-c", BUILD, flags=[*hello, *run, f"--volume={source}:/source:ro"])
            for _ in range(3):
                engine.run(BUSYBOX, *BURN, flags=[*short, *run])
        print(file=sys.stderr)
        return Span(start, time.time(), SCRAPE_SECONDS)


def draw(page: Json, server: Prometheus, span: Span) -> str:
    """A dashboard as HTML."""
    chosen = choose(page, server, span, {})
    chosen["repo"] = "(acme|gnu)/.+"  # Of this machine only what was made here.
    return html(
        page,
        [
            (panel, list(ask(panel, server, chosen, span, SCRAPE_SECONDS)) if panel["type"] != "row" else [])
            for panel in page["panels"]
        ],
        span,
    )


if __name__ == "__main__":
    main()
