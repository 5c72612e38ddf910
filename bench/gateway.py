"""What relaying costs: a gateway between runners and a forge, beside the same without it and with other relays.

    python -m bench.gateway [reports] [connections] [artifact] [SECONDS [ROUNDS]]

The forge and the runners are C programs (bench/forge.c, bench/runners.c) that share the machine with the relay.
*reports*: 1,000 runners with a connection each send together 1,000 UpdateLog a second, of 100 rows, at random moments
that are fixed beforehand; what must wait counts as waiting. *connections*: 10,000 that have asked something and are
kept. *artifact*: 1 GiB up and down again. Relays take turns: none; Debian's nginx with the settings of
deploy/gateway/nginx.conf; our server and our client with nothing looked at between them (bench/peers/passing.py; it
holds what passes, so it gets no artifact); the gateway.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.ingest import cpu_seconds, free_address, peak_bytes, serving
from bench.receiver_streams import pss_bytes
from bench.support import ROOT, compile_c, table
from jobmeter.gateway.forges import messages
from jobmeter.linux.descriptors import raise_descriptor_limit

RUNNERS, RATE, ROWS = 1000, 1000, 100
WARM_SECONDS = 10
CONNECTIONS = 10_000
IDLE_SECONDS = 10
ARTIFACT_BYTES = 1 << 30
PIECE_BYTES = 1 << 20
SETTLE_SECONDS = 0.5
STRAIGHT, NGINX, LIBRARIES, GATEWAY = (
    "none", "nginx", "floor: server and client", "jobmeter gateway",
)  # fmt: skip
Started = AbstractContextManager[tuple[str, int]]
"""Where it listens, and its process."""

_NGINX = """\
daemon off; master_process off; error_log stderr crit; pid {directory}/nginx.pid; worker_rlimit_nofile 20000;
events {{ worker_connections 18000; }}
http {{
    access_log off; client_body_temp_path {directory}/bodies; proxy_temp_path {directory}/answers;
    fastcgi_temp_path {directory}/1; uwsgi_temp_path {directory}/2; scgi_temp_path {directory}/3;
    upstream forge {{ server {forge}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        listen {address} backlog=2048; keepalive_requests 1000000; keepalive_timeout 300s;
        location / {{
            proxy_pass http://forge; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_buffering off; proxy_request_buffering {buffering}; client_max_body_size 0;
        }}
    }}
}}
"""
_GATEWAY = """\
metrics_server = ""
state_dir = "{directory}/state"
shutdown_timeout = "0s"
[[forge]]
name = "forgejo"
kind = "forgejo"
url = "http://{forge}/"
listen = "{address}"
"""


class Machine(NamedTuple):
    """Where programs and files are, and the forge."""

    directory: Path
    runners: Path
    rows: Path
    forge: str
    forge_process: int


def main() -> None:
    """Print the tables that are asked for."""
    asked = [word for word in sys.argv[1:] if not word.isdecimal()] or list(PARTS)
    seconds, rounds = (int(text) for text in (*filter(str.isdecimal, sys.argv[1:]), "10", "3")[:2])
    if unknown := [word for word in asked if word not in PARTS]:
        raise SystemExit(f"{unknown[0]} is no part: {', '.join(PARTS)}")
    subprocess.run([ROOT / "scripts/install-packages", "nginx=nginx"], check=True)
    raise_descriptor_limit()
    with TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name, ExitStack() as stack:
        directory = Path(name)
        (directory / "rows").write_bytes(rows())
        program = compile_c("forge", directory)
        forge, process = stack.enter_context(serving((str(program), "ADDRESS")))
        machine = Machine(directory, compile_c("runners", directory), directory / "rows", forge, process)
        for part in asked:
            PARTS[part](machine, seconds, rounds)


def rows() -> bytes:
    """The rows of one report, as forgejo-runner writes them: lines of a compiler, 80 characters each."""
    said = messages.MESSAGES["runner.v1.UpdateLogRequest"]()
    for number in range(ROWS):
        row = said.rows.add(
            content=f"[{number:3}/312] c++ -O2 -g -Wall -fPIC -c src/engine/unit_{number:04}.cc".ljust(80)
        )
        row.time.FromMilliseconds(1_790_000_000_000 + 7 * number)
    return bytes(said.SerializeToString())


# --- relays ----------------------------------------------------------------------------------------------------


def straight(machine: Machine) -> Iterator[tuple[str, int]]:
    """The forge itself."""
    yield machine.forge, machine.forge_process


def nginx(machine: Machine, *, buffering: str = "on") -> Iterator[tuple[str, int]]:
    """Debian's, in one process."""
    config, address = machine.directory / "nginx.conf", free_address()
    config.write_text(
        _NGINX.format(directory=machine.directory, forge=machine.forge, address=address, buffering=buffering)
    )
    with serving(("nginx", "-c", str(config)), address) as started:
        yield started


def libraries(machine: Machine) -> Iterator[tuple[str, int]]:
    """Our server and our client."""
    with serving((sys.executable, str(ROOT / "bench/peers/passing.py"), "ADDRESS", machine.forge)) as started:
        yield started


def gateway(machine: Machine) -> Iterator[tuple[str, int]]:
    """Ours."""
    config, address = machine.directory / "gateway.toml", free_address()
    config.write_text(_GATEWAY.format(directory=machine.directory, forge=machine.forge, address=address))
    command = (sys.executable, "-m", "jobmeter", "gateway", "--config", str(config), "--log-level=error")
    with serving(command, address) as started:
        yield started


RELAYS: Mapping[str, Callable[[Machine], Started]] = {
    STRAIGHT: contextmanager(straight),
    NGINX: contextmanager(nginx),
    LIBRARIES: contextmanager(libraries),
    GATEWAY: contextmanager(gateway),
}
STREAMING: Mapping[str, Callable[[Machine], Started]] = {
    STRAIGHT: contextmanager(straight),
    NGINX: contextmanager(partial(nginx, buffering="off")),
    GATEWAY: contextmanager(gateway),
}


def in_turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """There and back, so that no one is always after another."""
    for number in range(rounds):
        yield from names[:: -1 if number % 2 else 1]


# --- reports ---------------------------------------------------------------------------------------------------


class Reported(NamedTuple):
    """One round: CPU seconds that the relay and the forge used for as many reports as there are a second, and times in
    milliseconds."""

    cores: float
    forge_cores: float
    late_p99: float
    p50: float
    p99: float
    p999: float
    longest: float


REPORTED = (
    "relay", "CPU, cores", "the forge's", "p50 ms", "p99", "p99.9", "longest", "p99 added", "sent late p99",
)  # fmt: skip


def reports(machine: Machine, seconds: int, rounds: int) -> None:
    """A row for each relay: medians, and the least CPU."""
    found: dict[str, list[Reported]] = {name: [] for name in RELAYS}
    for name in in_turns(list(RELAYS), rounds):
        with RELAYS[name](machine) as (address, process):
            found[name].append(report(machine, address, process, seconds))
    print(f"{RATE:,} UpdateLog of {ROWS} rows a second, {rounds} rounds of {seconds} s\n")
    lines = []
    for name, each in found.items():
        added = [one.p99 - other.p99 for one, other in zip(each, found[STRAIGHT], strict=True)]
        least = min(one.cores for one in each)
        middle = Reported(*map(median, zip(*each, strict=True)))
        lines.append(
            (name, f"{middle.cores:.3f} ({least:.3f})" if name != STRAIGHT else "", f"{middle.forge_cores:.3f}",
             *(f"{one:.2f}" for one in middle[3:]),
             "" if name == STRAIGHT else f"{median(added):.2f} ({min(added):.2f} to {max(added):.2f})",
             f"{middle.late_p99:.2f}")
        )  # fmt: skip
    table(REPORTED, lines)
    print()


def report(machine: Machine, address: str, process: int, seconds: int) -> Reported:
    """Load one relay for so long. Every report must be acknowledged with all of its rows."""
    command = (machine.runners, address, RUNNERS, RATE, WARM_SECONDS, seconds, ROWS, machine.rows)
    both = (process, machine.forge_process)
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout
        marks = []
        for mark in ("begin", "end"):
            said, _, count = load.stdout.readline().partition(" ")
            assert said == mark, said
            marks.append((int(count), *map(cpu_seconds, both)))
        answered, failed, *microseconds = map(int, load.stdout.readline().split())
    assert (answered, failed) == (RATE * seconds, 0), f"{answered} were acknowledged, {failed} failed"
    count, own, forge = (after - before for before, after in zip(*marks, strict=True))
    late, *latencies = (one / 1000 for one in microseconds)
    return Reported(own / count * RATE, forge / count * RATE, late, *latencies)


# --- connections -----------------------------------------------------------------------------------------------


def connections(machine: Machine, _seconds: int, _rounds: int) -> None:
    """A row for each relay."""
    lines = []
    for name in (NGINX, LIBRARIES, GATEWAY):
        with RELAYS[name](machine) as (address, process), ExitStack() as stack:
            connected(address, 1, stack)
            before = pss_bytes(process)
            connected(address, CONNECTIONS - 1, stack)
            used = cpu_seconds(process)
            time.sleep(IDLE_SECONDS)
            used = (cpu_seconds(process) - used) / IDLE_SECONDS
            with_all = pss_bytes(process)
            each = (with_all - before) / (CONNECTIONS - 1)
            lines.append((name, mib(before), mib(with_all), f"{each / 1024:.1f}", f"{used:.3f}"))
    print(f"{CONNECTIONS:,} kept connections that have asked once\n")
    table(("relay", "PSS MiB with one", "with all", "KiB each", "CPU, cores"), lines)
    print()


def connected(address: str, count: int, stack: ExitStack) -> None:
    """So many connections more, over each of which something was asked."""
    host, port = address.split(":")
    head = "POST /api/actions/ping.v1.PingService/Ping HTTP/1.1\r\nHost: forge.example\r\n"
    asked = f"{head}Content-Type: application/proto\r\nContent-Length: 0\r\n\r\n".encode()
    for _ in range(count):
        one = stack.enter_context(socket.create_connection((host, int(port))))
        one.sendall(asked)
        said = one.recv(4096)
        assert said.startswith(b"HTTP/1.1 200"), said


# --- artifact --------------------------------------------------------------------------------------------------


class Passed(NamedTuple):
    """An artifact that has passed: MB a second, CPU seconds of the relay, its memory before and at most in bytes."""

    rate: float
    cpu: float
    before: float
    peak: float


def artifact(machine: Machine, _seconds: int, rounds: int) -> None:
    """A row for each relay and direction: medians, and the best rate."""
    found: dict[tuple[str, str], list[Passed]] = {}
    for name in in_turns(list(STREAMING), rounds):
        with STREAMING[name](machine) as (address, process):
            with ExitStack() as stack:
                connected(address, 1, stack)
            for way in WAYS:
                found.setdefault((name, way), []).append(passed(address, process, WAYS[way]))
    print(f"An artifact of {ARTIFACT_BYTES >> 20:,} MiB, {rounds} rounds\n")
    lines = []
    for (name, way), each in sorted(found.items(), key=lambda one: list(WAYS).index(one[0][1])):
        middle = Passed(*map(median, zip(*each, strict=True)))
        best, highest = max(one.rate for one in each), max(one.peak for one in each)
        own = ("", "", "") if name == STRAIGHT else (f"{middle.cpu:.2f}", mib(middle.before), mib(highest))
        lines.append((way, name, f"{middle.rate:,.0f} ({best:,.0f})", *own))
    table(("way", "relay", "MB/s", "CPU s", "RSS MiB before", "at most"), lines)
    print()


def passed(address: str, process: int, way: Callable[[socket.socket], None]) -> Passed:
    """Pass it once."""
    host, port = address.split(":")
    time.sleep(SETTLE_SECONDS)
    Path(f"/proc/{process}/clear_refs").write_text("5")  # The peak begins anew, at what there is.
    before, used, begun = peak_bytes(process), cpu_seconds(process), time.perf_counter()
    with socket.create_connection((host, int(port))) as one:
        way(one)
    took = time.perf_counter() - begun
    return Passed(ARTIFACT_BYTES / took / 1e6, cpu_seconds(process) - used, before, peak_bytes(process))


def upload(one: socket.socket) -> None:
    """As a runner uploads one."""
    head = "PUT /api/actions_pipeline/_apis/pipelines/upload HTTP/1.1\r\nHost: forge.example\r\n"
    one.sendall(f"{head}Content-Length: {ARTIFACT_BYTES}\r\n\r\n".encode())
    piece = memoryview(bytearray(PIECE_BYTES))
    for _ in range(ARTIFACT_BYTES // PIECE_BYTES):
        one.sendall(piece)
    said = one.recv(4096)
    assert said.startswith(b"HTTP/1.1 200"), said


def download(one: socket.socket) -> None:
    """As a job downloads one."""
    one.sendall(f"GET /bytes/{ARTIFACT_BYTES} HTTP/1.1\r\nHost: forge.example\r\n\r\n".encode())
    piece = bytearray(PIECE_BYTES)
    count = one.recv_into(piece)
    head, found, _ = bytes(piece[:count]).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    left = ARTIFACT_BYTES - (count - len(head) - len(found))
    while left:
        count = one.recv_into(piece)
        assert count, f"{left} bytes are missing"
        left -= count


WAYS: Mapping[str, Callable[[socket.socket], None]] = {"up": upload, "down": download}
PARTS: Mapping[str, Callable[[Machine, int, int], None]] = {
    "reports": reports,
    "connections": connections,
    "artifact": artifact,
}


def mib(count: float) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:.1f}"


if __name__ == "__main__":
    main()
