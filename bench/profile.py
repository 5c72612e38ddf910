"""What a 100 Hz profile costs a busy daemon: its CPU time for the same work, sampled and not, in turns.

    python -m bench.profile [ROUNDS]

*Work*: on uvloop a summary is decoded and encoded, and a byte goes through a pipe, some thousand times: nobody else is
needed for it, so that little but the profile makes a difference. *Requests*: wrk keeps a server on uvloop busy, whose
requests do the same; it is the CPU time of a request. In each round it is sampled for a short time and not sampled for
a short time, in changing order; the ratio is that of the two. The floor: nothing is sampled in either; it takes turns
with the other.
At the end a profile of 30 s is made, and what its names and encoding cost is shown.
"""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from statistics import quantiles
from typing import TYPE_CHECKING

import msgspec

from bench.support import ROOT, median, table

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ROUNDS = 400
WORK = 6000
SERVED_EVERY = 2
"""With requests there are so many times fewer rounds."""
SPELL_SECONDS = 0.2
PROFILE_SECONDS = 30

BODY = (ROOT / "tests/golden/summary_v1.json").read_bytes()
Found = dict[str, list[float]]


def work() -> bytes:
    """What a request does."""
    return msgspec.json.encode(msgspec.json.decode(BODY))


@asynccontextmanager
async def sampling(wanted: bool) -> AsyncIterator[None]:
    """Sample the process, if it is wanted."""
    from jobmeter.ops.pprof.record import Totals
    from jobmeter.ops.pprof.sampling import Sampling

    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(Sampling(Totals()).run(60, over)) if wanted else None
    await asyncio.sleep(0.02)
    yield
    over.set_result(None)
    if task is not None:
        await task


async def in_turns(spell: Callable[[bool], Awaitable[float]], rounds: int) -> Found:
    """The ratios of all rounds, and the CPU seconds of a spell that is not sampled."""
    found: Found = {"sampled": [], "floor": [], "cost": []}
    for _ in range(rounds):
        for name in ("sampled", "floor"):
            first = random.random() < 0.5
            costs = {which: await spell(which and name == "sampled") for which in (first, not first)}
            found[name].append(costs[True] / costs[False])
            found["cost"].append(costs[False])
    return found


async def fixed_work(sampled: bool) -> float:
    """CPU seconds of a fixed work."""
    reading, writing = os.pipe()
    async with sampling(sampled):
        used = time.process_time()
        for _ in range(WORK):
            work()
            os.write(writing, b"x")
            os.read(reading, 1)
            await asyncio.sleep(0)
        used = time.process_time() - used
    os.close(reading)
    os.close(writing)
    return used


class Daemon:
    """A server whose requests work."""

    def __init__(self) -> None:
        self._requests = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        self._requests += 1
        answer = work()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def requests(self, sampled: bool) -> float:
        """CPU seconds of each request in a short time."""
        async with sampling(sampled):
            requests, used = self._requests, time.process_time()
            await asyncio.sleep(SPELL_SECONDS)
            used, requests = time.process_time() - used, self._requests - requests
        return used / requests

    async def finish(self) -> tuple[float, str]:
        """CPU seconds of the names and the encoding of a profile as long as one is by default, and what it tells."""
        from jobmeter.ops.pprof.profile import encode
        from jobmeter.ops.pprof.record import Totals
        from jobmeter.ops.pprof.sampling import Sampling

        sampling = Sampling(Totals())
        await sampling.run(PROFILE_SECONDS, asyncio.get_running_loop().create_future())
        used = time.thread_time()
        profile = sampling.profile()
        encode(profile)
        (said,) = profile.comments
        whole = sum(sample.values[1] for sample in profile.samples) / 1e9
        return time.thread_time() - used, f"{said} The daemon used {whole:.1f} s."


async def measure(descriptor: int, rounds: int) -> None:
    """Measure all, and print it."""
    import uvicorn

    worked = await in_turns(fixed_work, rounds)
    daemon = Daemon()
    config = uvicorn.Config(
        daemon, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve([socket.socket(fileno=descriptor)]))
    print("ready", flush=True)
    await asyncio.sleep(1)
    served = await in_turns(daemon.requests, max(rounds // SERVED_EVERY, 2))
    print(json.dumps([worked, served, await daemon.finish()]), flush=True)
    server.should_exit = True
    await serving


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["measure"]:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(int(sys.argv[2]), int(sys.argv[3])))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    subprocess.run([ROOT / "scripts/install-packages", "wrk=wrk"], check=True)
    worked, served, (finish, said) = measured(rounds)
    rows = []
    for name, found in (
        (f"work of {median(worked['cost']) * 1e3:.0f} ms", worked),
        (f"a request of {median(served['cost']) * 1e6:.0f} µs", served),
    ):
        rows += [row(f"{name}, {kind}", found[kind]) for kind in ("sampled", "floor")]
    table(("CPU of", "rounds", "ratio", "middle half of the rounds", "± (95 %)"), rows)
    print(f"\nnames and encoding after {PROFILE_SECONDS} s: {finish * 1e3:.0f} ms of CPU, "
          f"{finish / PROFILE_SECONDS:.2%} of the time. {said}")  # fmt: skip


def measured(rounds: int) -> tuple[Found, Found, tuple[float, str]]:
    """What another process has measured of itself, while wrk kept it busy if it served."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        command = [sys.executable, "-m", "bench.profile", "measure", str(listening.fileno()), str(rounds)]
        daemon = stack.enter_context(
            subprocess.Popen(command, pass_fds=(listening.fileno(),), stdout=subprocess.PIPE, text=True)
        )
        assert daemon.stdout
        assert daemon.stdout.readline() == "ready\n"
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        load = ["wrk", "--threads=1", "--connections=16", "--duration=3600s", address]
        wrk = stack.enter_context(subprocess.Popen(load, stdout=subprocess.DEVNULL))
        try:
            found: tuple[Found, Found, tuple[float, str]] = json.loads(daemon.stdout.readline())
        finally:
            wrk.terminate()
            daemon.terminate()
        return found


def row(name: str, ratios: list[float]) -> tuple[str, ...]:
    """The median, the quartiles, and how far the median may be off: 1.58 times their distance by the root of n."""
    low, _, high = quantiles(ratios, n=4)
    off = 1.58 * (high - low) / len(ratios) ** 0.5
    return name, str(len(ratios)), f"{median(ratios):.4f}", f"{low:.4f} to {high:.4f}", f"{off:.4f}"


if __name__ == "__main__":
    main()
