"""What the stream of a machine's containers costs its host, and the machine: CPU time for each second of it.

    python -m bench.vm_stream

A process serves 10, 100 and 1,000 made-up containers by gRPC, a batch a second, each counter grown since the last one;
this one subscribes, as the exporter does, and credits what was used every ten seconds. Neither reads cgroups nor
answers scrapes. Each second's CPU time is that of a whole process, of all its threads, gRPC's own among them, over
SECONDS after the first batches; beside it the size of a batch. What is served is made beforehand.
"""

import resource
import subprocess
import sys
import time
from random import Random

from bench.exporter_scrape import busier, container
from bench.support import table
from jobmeter.exporter.container import Row
from jobmeter.exporter.elsewhere import Elsewhere
from jobmeter.exporter.totals import Totals
from jobmeter.exporter.vm.credentials import Keys
from jobmeter.exporter.vm.server import StatsServer
from jobmeter.exporter.vm.subscription import Subscription, Subscriptions
from jobmeter.exporter.vm.target import Target
from jobmeter.exporter.vm.writing import Writer

CONTAINERS = (10, 100, 1000)
SECONDS = 20
SETTLING_SECONDS = 3
TICK_SECONDS = 10
KEPT = SECONDS + 12
"""So many states of the containers are made beforehand, and served one after the other."""


class Quiet:
    """A log that says nothing of what goes well."""

    def info(self, message: str, **fields: object) -> None:
        pass

    def warn(self, message: str, **fields: object) -> None:
        print(message, fields, file=sys.stderr)


def main() -> None:
    """Print the table; with a number, serve so many containers."""
    if len(sys.argv) > 1:
        serve(int(sys.argv[1]))
    else:
        rows = [measured(count) for count in CONTAINERS]
        table(("containers", "KB a batch", "host: CPU ms a second", "machine: CPU ms a second"), rows)


def measured(count: int) -> tuple[str, ...]:
    """Size of a batch, and what both ends use."""
    command = [sys.executable, "-m", "bench.vm_stream", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as machine:
        assert machine.stdin
        assert machine.stdout
        port = int(machine.stdout.readline())
        shown = Elsewhere(Totals(), linger_seconds=120.0, grace_seconds=120.0)
        target = Target(name="vm-1", address=f"127.0.0.1:{port}")
        subscription = Subscription(target, shown, Keys, Quiet(), interval_seconds=1)
        subscriptions = Subscriptions([subscription])
        subscriptions.start()
        time.sleep(SETTLING_SECONDS)
        assert len(shown.rows) == count, "they are not all here"
        before, batches = used(), subscription.batches
        machine.stdin.write("\n")
        machine.stdin.flush()
        for _ in range(SECONDS // TICK_SECONDS):
            time.sleep(TICK_SECONDS)
            shown.tick()
        host = used() - before
        machine.stdin.write("\n")
        machine.stdin.flush()
        machine_used = float(machine.stdout.readline())
        assert SECONDS - 2 <= subscription.batches - batches <= SECONDS + 2, "it was no batch a second"
        subscriptions.close()
    size = len(Writer().batch(states(count)[0], 1))
    return (
        f"{count:,}",
        f"{size / 1e3:.0f}",
        f"{host * 1e3 / SECONDS:.1f}",
        f"{machine_used * 1e3 / SECONDS:.1f}",
    )


def serve(count: int) -> None:
    """Until the input ends; what was used from one of its lines to the next is told."""
    made, asked = states(count), 0

    def rows() -> list[Row]:
        nonlocal asked
        asked += 1
        return made[min(asked, KEPT - 1)]

    server = StatsServer(rows, lambda seconds: True, Quiet())
    print(server.open("127.0.0.1:0"), flush=True)
    sys.stdin.readline()
    before = used()
    sys.stdin.readline()
    print(used() - before, flush=True)
    sys.stdin.read()
    server.close()


def states(count: int) -> list[list[Row]]:
    """The containers at one moment after the other."""
    random = Random(count)
    made = [[container(number, random) for number in range(count)]]
    while len(made) < KEPT:
        made.append([busier(row, random) for row in made[-1]])
    return made


def used() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
