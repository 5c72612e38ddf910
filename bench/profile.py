"""What a 100 Hz profile costs a busy daemon: its CPU time for each request, sampled and not, in turns.

    python -m bench.profile [ROUNDS]

wrk keeps a server on uvloop busy, whose requests decode and encode a summary. In each round it is sampled for 0.2 s
and not sampled for 0.2 s, in changing order; the ratio is that of the two. The floor: nothing is sampled in either;
it takes turns with the other. At the end a profile of 30 s is made, and what its names and encoding cost is shown.
"""

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from statistics import quantiles
from typing import TYPE_CHECKING

import msgspec

from bench.support import ROOT, median, table

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ROUNDS = 200
SPELL_SECONDS = 0.2
PROFILE_SECONDS = 30


class Daemon:
    """A server whose requests work, and which samples itself."""

    def __init__(self, rounds: int) -> None:
        self._body = (ROOT / "tests/golden/summary_v1.json").read_bytes()
        self._rounds = rounds
        self._requests = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        self._requests += 1
        answer = msgspec.json.encode(msgspec.json.decode(self._body))
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def measured(self) -> dict[str, list[float]]:
        """The ratios of all rounds, and the CPU seconds that a profile costs after its time."""
        found: dict[str, list[float]] = {"sampled": [], "floor": [], "finish": [], "request": []}
        await asyncio.sleep(1)
        for _ in range(self._rounds):
            for name in ("sampled", "floor"):
                first = random.random() < 0.5
                costs = {
                    which: await self._spell(which and name == "sampled") for which in (first, not first)
                }
                found[name].append(costs[True] / costs[False])
                found["request"].append(costs[False])
        found["finish"].append(await self._finish())
        return found

    async def _spell(self, sampled: bool) -> float:
        """CPU seconds of each request in a short time."""
        from jobmeter.ops.pprof.record import Totals
        from jobmeter.ops.pprof.sampling import Sampling

        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sampling = Sampling(Totals())
        task = asyncio.ensure_future(sampling.run(60, over)) if sampled else None
        await asyncio.sleep(0.02)
        requests, used = self._requests, time.process_time()
        await asyncio.sleep(SPELL_SECONDS)
        used, requests = time.process_time() - used, self._requests - requests
        over.set_result(None)
        if task is not None:
            await task
        return used / requests

    async def _finish(self) -> float:
        """CPU seconds of the names and the encoding of a profile as long as one is by default."""
        from jobmeter.ops.pprof.profile import encode
        from jobmeter.ops.pprof.record import Totals
        from jobmeter.ops.pprof.sampling import Sampling

        sampling = Sampling(Totals())
        await sampling.run(PROFILE_SECONDS, asyncio.get_running_loop().create_future())
        used = time.thread_time()
        encode(sampling.profile())
        return time.thread_time() - used


async def serve(descriptor: int, rounds: int) -> None:
    """Serve until all is measured, and print it."""
    import uvicorn

    daemon = Daemon(rounds)
    config = uvicorn.Config(
        daemon, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve([socket.socket(fileno=descriptor)]))
    print(json.dumps(await daemon.measured()), flush=True)
    server.should_exit = True
    await serving


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["serve"]:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(int(sys.argv[2]), int(sys.argv[3])))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    subprocess.run([ROOT / "scripts/install-packages", "wrk=wrk"], check=True)
    found = measured(rounds)
    print(f"{rounds} rounds, {median(found['request']) * 1e6:.0f} µs of CPU for a request\n")
    rows = [row("sampled at 100 Hz", found["sampled"]), row("floor: nothing sampled", found["floor"])]
    table(("CPU of a request", "ratio", "middle half of the rounds", "± (95 %)"), rows)
    (finish,) = found["finish"]
    print(f"\nnames and encoding after {PROFILE_SECONDS} s: {finish * 1e3:.0f} ms of CPU, "
          f"{finish / PROFILE_SECONDS:.2%} of the time")  # fmt: skip


def measured(rounds: int) -> dict[str, list[float]]:
    """What the daemon has measured of itself, while wrk kept it busy."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        command = [sys.executable, "-m", "bench.profile", "serve", str(listening.fileno()), str(rounds)]
        daemon = stack.enter_context(
            subprocess.Popen(command, pass_fds=(listening.fileno(),), stdout=subprocess.PIPE, text=True)
        )
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        load = ["wrk", "--threads=1", "--connections=16", "--duration=3600s", address]
        wrk = stack.enter_context(subprocess.Popen(load, stdout=subprocess.DEVNULL))
        assert daemon.stdout
        try:
            found: dict[str, list[float]] = json.loads(daemon.stdout.readline())
        finally:
            wrk.terminate()
            daemon.terminate()
        return found


def row(name: str, ratios: list[float]) -> tuple[str, ...]:
    """The median, the quartiles, and how far the median may be off: 1.58 times their distance by the root of n."""
    low, _, high = quantiles(ratios, n=4)
    off = 1.58 * (high - low) / len(ratios) ** 0.5
    return name, f"{median(ratios):.4f}", f"{low:.4f} to {high:.4f}", f"{off:.4f}"


if __name__ == "__main__":
    main()
