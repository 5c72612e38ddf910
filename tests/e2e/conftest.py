"""Fixtures that start real components, and stop them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.support.cgroup import Cgroup
from tests.e2e.support.components import JOBMETER, require_root, unavailable
from tests.e2e.support.docker import DockerEngine
from tests.e2e.support.images import EXPORTER, GATEWAY, Stress, build
from tests.e2e.support.runs import AS_NOBODY, NOBODY, Jobmeter
from tests.e2e.support.vm import VirtualMachine
from tests.e2e.support.workloads import build_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker daemon that belongs to the tests."""
    engine = DockerEngine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def stress(docker_engine: DockerEngine) -> Stress:
    """The project of the stress test, with the images of `deploy/` in the tests' Docker."""
    project = Stress(docker_engine)
    project.compose("build")
    return project


@pytest.fixture(scope="session")
def exporter_image(docker_engine: DockerEngine) -> DockerEngine:
    """The tests' Docker with the image of the exporter."""
    build(docker_engine, EXPORTER)
    return docker_engine


@pytest.fixture(scope="session")
def gateway_image(docker_engine: DockerEngine) -> DockerEngine:
    """The tests' Docker with the image of the gateway."""
    build(docker_engine, GATEWAY)
    return docker_engine


@pytest.fixture(scope="session")
def vm() -> VirtualMachine:
    """A virtual machine with cgroup v2 alone."""
    return VirtualMachine.prepare()


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """An empty cgroup below the caller's own in each hierarchy; removed at the end with all that is in it."""
    require_root("a cgroup of the test's own")
    try:
        group = Cgroup.create()
    except OSError as error:
        unavailable(f"no cgroup can be made here: {error}")
    yield group
    group.remove()


@pytest.fixture
def jobmeter(tmp_path: Path) -> Jobmeter:
    """`jobmeter run`, with its results below the test's own directory."""
    return Jobmeter(tmp_path)


@pytest.fixture
def nobody() -> Iterator[Jobmeter]:
    """`jobmeter run` for a user without any privilege, in a directory of that user's."""
    require_root("becoming another user")
    directory = Path(tempfile.mkdtemp(prefix="jobmeter-nobody-"))
    os.chown(directory, NOBODY, NOBODY)
    runner = Jobmeter(directory)
    probe = subprocess.run(
        [*AS_NOBODY, *JOBMETER, "--version"],
        env=runner.environment(),
        cwd="/",
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        unavailable("another user cannot read this checkout or its Python")
    yield runner
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds one of the C programs beside this file, once."""
    directory = tmp_path_factory.mktemp("programs")
    return lambda name: build_program(name, directory)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium. Per module: while it lives, its event loop is the thread's running one."""
    from tests.e2e.support.browser import chromium

    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of the browser."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()
