"""How long the last report of a job waits for the referee in the gateway, and what that costs.

    python -m bench.gateway_referee [JOBS]

Jobs of two seconds, five of which end each second, through a gateway without and with `[referee]`, in turns; a
Prometheus on the loopback scrapes node_exporter each second and is asked its 19 default queries about each job, to
which the answer is attached. The last report is timed from its first byte to the end of its answer, the forge works
in this process. CPU time is the gateway's.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from bench.support import table
from tests.e2e.support.gateways import running_gateway
from tests.e2e.support.monitors import node_exporter, prometheus
from tests.support.forges.gitlab import Runner, gitlab_forge

JOBS = 100
AT_ONCE = 10
JOB_SECONDS = 2.0
TOKEN = "token-of-a-runner"
TABLES = """
[referee]
prometheus_address = "{address}"
executor = "shell"
label_value = "127.0.0.1"
scrape_interval = "1s"
interval = "1s"
upload = "gitlab"
"""


async def reports(tables: str, jobs: int) -> tuple[list[float], float]:
    """Seconds that each last report took, and CPU seconds a job."""
    numbers = iter(range(1, jobs + 1))
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        async with (
            gitlab_forge(TOKEN, hold_seconds=5.0) as forge,
            running_gateway(Path(name), forge.url, "gitlab", tables=tables) as gateway,
        ):
            forge.enqueue(*range(1, jobs + 1))

            async def work(place: int) -> None:
                await asyncio.sleep(place * JOB_SECONDS / AT_ONCE)
                runner = Runner(gateway.port, TOKEN, f"s_{place}")
                for _ in numbers:
                    job = json.loads((await runner.fetch()).body)["id"]
                    await asyncio.sleep(JOB_SECONDS)
                    began = time.perf_counter()
                    await runner.update(job, "success")
                    seconds.append(time.perf_counter() - began)

            before = cpu_seconds(gateway.pid)
            await asyncio.gather(*map(work, range(AT_ONCE)))
            return seconds, (cpu_seconds(gateway.pid) - before) / jobs


def cpu_seconds(pid: int) -> float:
    """Of all its threads, by the scheduler (proc_pid_schedstat)."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def main() -> None:
    """Print the table."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with node_exporter(directory) as target, prometheus(directory, [target], 1) as server:
            asked = TABLES.replace("{address}", server.url)
            found: dict[str, tuple[list[float], list[float]]] = {"without": ([], []), "with": ([], [])}
            for _ in range(2):
                for kind, tables in (("without", ""), ("with", asked)):
                    seconds, cpu = asyncio.run(reports(tables, jobs // 2))
                    found[kind][0].extend(seconds)
                    found[kind][1].append(cpu)
    head = ("", "last report, ms", "99 %", "CPU a job, ms")
    rows = [
        (
            kind,
            f"{median(seconds) * 1e3:.1f}",
            f"{quantiles(seconds, n=100)[98] * 1e3:.1f}",
            f"{median(cpu) * 1e3:.1f}",
        )
        for kind, (seconds, cpu) in found.items()
    ]
    table(head, rows)


if __name__ == "__main__":
    main()
