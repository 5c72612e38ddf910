"""The gateway behind Debian's nginx and Caddy, with the snippets that ship: jobs go on while it is down."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apps.gateways import Place, running
from tests.e2e.support.components import ROOT, jobmeter_environment, require_command
from tests.support.forges.actions import Runner, actions_forge
from tests.support.forges.serving import Got
from tests.support.receivers import closed_port

SNIPPETS = ROOT / "deploy/gateway"
SUCCESS = 1
NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {beside}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://{forge}; }}
        {within}
    }}
}}
"""
GATEWAY = """
metrics_server = "127.0.0.1:0"
[[forge]]
name = "forge"
kind = "forgejo"
url = "http://{forge}/"
listen = "{gateway}"
public_url = "http://{proxy}/"
capacity = 1
fetch_interval = "50ms"
fetch_interval_max = "50ms"
"""


def nginx(folder: Path, port: int, snippet: str, forge: str) -> list[str]:
    """One server with what the snippet says."""
    beside, line, within = snippet.partition("# Forgejo and Gitea")
    assert line
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, forge=forge, beside=beside, within=line + within)
    )
    log = str(folder / "error.log")
    return [require_command("nginx"), "-e", log, "-p", str(folder), "-c", str(config)]


def caddy(folder: Path, port: int, snippet: str, forge: str) -> list[str]:
    """The snippet's site, without TLS."""
    assert "forge.example {" in snippet
    config = folder / "Caddyfile"
    config.write_text(
        "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n"
        + snippet.replace("forge.example {", f"http://:{port} {{")
    )
    return [require_command("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]


PROXIES = {"nginx.conf": nginx, "Caddyfile": caddy}


@contextmanager
def proxied(folder: Path, name: str, gateway: str, forge: str) -> Iterator[int]:
    """The port of a proxy with the snippet of this name, for these addresses instead of its own."""
    port = closed_port()
    folder.mkdir()
    snippet = (
        (SNIPPETS / name).read_text().replace("127.0.0.1:8090", gateway).replace("127.0.0.1:3000", forge)
    )
    command = PROXIES[name](folder, port, snippet, forge)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command, env=jobmeter_environment(HOME=str(folder)), stdout=log, stderr=log
        ) as process,
    ):
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():
            await asyncio.sleep(0.05)


def taken(report: Callable[[], Awaitable[Got]]) -> Callable[[], Awaitable[bool]]:
    """Whether it has arrived; runners try again, as what the gateway was just asked may be lost with it."""

    async def tries() -> bool:
        return (await report()).status == 200

    return tries


@pytest.mark.parametrize("name", PROXIES)
def test_jobs_go_on_while_the_gateway_is_down(tmp_path: Path, name: str) -> None:
    """The slot of what ended meanwhile is free when it is back and its runner asks."""

    async def main() -> None:
        gateway = f"127.0.0.1:{closed_port()}"
        async with actions_forge(u1="s3cret") as forge:
            address = forge.url.removeprefix("http://").rstrip("/")
            with proxied(tmp_path / "proxy", name, gateway, address) as port:
                config = GATEWAY.format(forge=address, gateway=gateway, proxy=f"127.0.0.1:{port}")
                runner = Runner(port, "u1", "s3cret")

                def gets(task_id: int) -> Callable[[], Awaitable[bool]]:
                    async def asks() -> bool:
                        return await runner.fetch() == [task_id]

                    return asks

                with running(tmp_path, config) as (process, places):
                    await runner.call("Declare", version="v9", labels=["docker"])
                    forge.enqueue(1)
                    await until(gets(1))
                    assert (await runner.log(1, 0, "begun")).status == 200
                    assert "standing=full jobs=1" in await Place(places["metrics"]).get("/debug/runners/list")
                    process.kill()
                    process.wait(20)
                    await until(taken(lambda: runner.log(1, 1, "done", last=True)))
                    await until(taken(lambda: runner.state(1, SUCCESS)))
                with running(tmp_path, config) as (_, places):
                    place = Place(places["metrics"])

                    async def is_free() -> bool:
                        await runner.fetch()
                        return "task_id=1" not in await place.get("/debug/jobs/list")

                    assert "task_id=1" in await place.get("/debug/jobs/list")
                    await until(is_free)
                    forge.enqueue(2)
                    await until(gets(2))
                    assert "task_id=2" in await place.get("/debug/jobs/list")
                    await runner.state(2, SUCCESS)
            assert forge.jobs[1].rows == ["begun", "done"]
            assert [forge.jobs[number].result for number in (1, 2)] == [SUCCESS, SUCCESS]
            assert [forge.jobs[number].handed for number in (1, 2)] == [["u1"], ["u1"]]

    asyncio.run(main())
