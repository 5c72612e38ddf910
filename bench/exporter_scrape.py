"""What a scrape costs: CPU time of rendering and compressing all series of 10, 100 and 1,000 busy containers.

    python -m bench.exporter_scrape

The containers are made up; between two scrapes every counter of each has grown. Each has one interface, one device
and three labels, and every second tells its job. Medians of 20 scrapes after the first one.
"""

import time
from collections.abc import Sequence
from random import Random

from isal import igzip
from msgspec import convert
from msgspec.structs import replace

from bench.support import median, table
from jobmeter.exporter.container import Identity, Row
from jobmeter.exporter.exposition import Exposition
from jobmeter.exporter.machine import Machine
from jobmeter.exporter.scrapers import Asking
from jobmeter.exporter.totals import Totals
from jobmeter.model.account import Account, Bounds, DeviceCount, Interface, Spec
from jobmeter.model.job import Job

CONTAINERS = (10, 100, 1000)
DIALECTS = (("jobmeter",), ("ephemerd",), ("cadvisor",), ("jobmeter", "cadvisor"))
SCRAPES = 20
PLAIN_FIELDS = Account.__struct_fields__.index("interfaces")
GZIP_LEVEL = 1
BOUNDS = Bounds(
    cpu_cores=2.0, memory_bytes=4 << 30, processes=4096,
    spec=Spec(
        cpu_shares=1024, cpu_period_microseconds=100_000, cpu_quota_microseconds=200_000,
        memory_limit_bytes=4 << 30, memory_reservation_bytes="unlimited", memory_swap_limit_bytes="unlimited",
    ),
)  # fmt: skip


def main() -> None:
    """Print the table."""
    rows = [
        (" + ".join(dialects), f"{count:,}", *measured(dialects, count))
        for dialects in DIALECTS
        for count in CONTAINERS
    ]
    head = ("dialects", "containers", "series", "MB", "MB gzipped", "CPU ms a scrape", "of it gzip")
    table(head, rows)


def measured(dialects: Sequence[str], count: int) -> tuple[str, ...]:
    """Series, sizes and costs of one scrape."""
    random = Random(count)
    exposition = Exposition(dialects, machine=Machine(cpus=64, memory_bytes=256 << 30, swap_bytes=0))
    containers = [container(number, random) for number in range(count)]
    totals = Totals()
    costs: list[tuple[float, float]] = []
    for _ in range(SCRAPES + 1):
        containers = [busier(row, random) for row in containers]
        for row in containers:
            totals.credit(row.path, row.identity.job, row.account)
        begun = time.process_time()
        pieces = exposition.render(containers, (), totals.shown_to(Asking("bench")), openmetrics=False)
        body = b"".join(piece.encode() for piece in pieces)
        written = time.process_time()
        packed = igzip.compress(body, GZIP_LEVEL, mtime=0)
        costs.append((time.process_time() - begun, time.process_time() - written))
    whole, compressing = (median(cost) * 1e3 for cost in zip(*costs[1:], strict=True))
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    sizes = (f"{len(body) / 1e6:.2f}", f"{len(packed) / 1e6:.2f}")
    return f"{series:,}", *sizes, f"{whole:.1f}", f"{compressing:.1f}"


def container(number: int, random: Random) -> Row:
    """One that has done something of everything."""
    key = f"{random.getrandbits(256):064x}"
    job = Job(
        forge="forgejo", repository=f"acme/engine-{number % 50}", workflow="ci.yml", job=f"build-{number % 7}",
        run_id=str(4000 + number), attempt=1,
    )  # fmt: skip
    identity = Identity(
        name=f"FORGEJO-ACTIONS-TASK-{number}_WORKFLOW-CI_JOB-build",
        image="docker.io/library/debian:bookworm",
        labels={"maintainer": "acme", "org.opencontainers.image.version": "12", "com.acme.pool": "large"},
        role="job",
        job=job if number % 2 else None,
        attribution="own" if number % 2 else None,
    )
    interfaces = (Interface("eth0", *(0,) * 8),)
    device = (DeviceCount("8:0", 0, 0),)
    account = convert(dict.fromkeys(Account.__struct_fields__[:PLAIN_FIELDS], 0), Account)
    account = replace(
        account,
        interfaces=interfaces,
        io_bytes_by_device=device,
        io_operations_by_device=device,
        process_count=5,
    )
    path = f"/system.slice/docker-{key}.scope"
    return Row(
        id=key, path=path, parent=None, engine="docker", pod=None, identity=identity, bounds=BOUNDS,
        account=account, started=1795300000.123456 + number,
    )  # fmt: skip


def busier(row: Row, random: Random) -> Row:
    """It, some seconds of work later."""
    account = row.account
    grown: dict[str, object] = {}
    for name in Account.__struct_fields__:
        value = getattr(account, name)
        if name.endswith("_seconds"):
            grown[name] = round(value + random.random(), 6)  # The kernel counts microseconds.
        elif isinstance(value, int):
            grown[name] = value + random.getrandbits(20)
    grown["interfaces"] = tuple(
        Interface(one.name, *((count or 0) + random.getrandbits(16) for count in one[1:]))
        for one in account.interfaces or ()
    )
    for name in ("io_bytes_by_device", "io_operations_by_device"):
        grown[name] = tuple(
            DeviceCount(one.device, one.read + random.getrandbits(16), one.written + random.getrandbits(16))
            for one in getattr(account, name)
        )
    return replace(row, account=replace(account, **grown))


if __name__ == "__main__":
    main()
