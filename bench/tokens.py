"""Summaries stored a second by a receiver that checks who sends them, and by one that does not.

    python -m bench.tokens [SECONDS [ROUNDS]]

As `bench.ingest`, with the summary of seed 000 over 64 connections. The tokens: none; the push token of the settings;
one of the database that is limited to an organization; one of a job, made by `POST /api/v1/token`. Each of the last
two is looked up, its scope held against the names of each summary, and its rate counted. They take turns; medians.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.ingest import NAMES, bodies, cpu_seconds, load, receiver, serving
from bench.support import ROOT, plain_environ, table

_CONNECTIONS = 64
_PUSH = "bench-push-token"
_JOB = {name: NAMES[name] for name in ("organization", "repository", "workflow", "job")}
_FLAGS = ("--hmac-key=bench-key-of-jobs", "--rate-limit=1000000")


class Round(NamedTuple):
    """What one receiver did."""

    per_second: float
    cpu_ms: float


def main() -> None:
    """Print the table."""
    seconds, rounds = (int(text) for text in (*sys.argv[1:], "10", "5")[:2])
    subprocess.run([ROOT / "scripts/install-packages", "wrk=wrk"], check=True)
    kinds = ("none", "of the settings", "of an organization", "of a job")
    found: dict[str, list[Round]] = {kind: [] for kind in kinds}
    with TemporaryDirectory(dir="/var/tmp") as name:
        directory = Path(name)
        (directory / "seed").write_text(bodies()["seed"])
        for number in range(rounds):
            for kind in kinds[:: -1 if number % 2 else 1]:
                found[kind].append(measured(directory, kind, seconds))
    plain = median(one.per_second for one in found["none"])
    table(
        ("token", "stored/s", "CPU ms each", "of none"),
        [(kind, *row(rounds_of, plain)) for kind, rounds_of in found.items()],
    )


def row(rounds: Sequence[Round], plain: float) -> tuple[str, ...]:
    """Medians as they are shown."""
    per_second, cpu_ms = (median(column) for column in zip(*rounds, strict=True))
    return f"{per_second:,.0f}", f"{cpu_ms:.3f}", f"{100 * per_second / plain:.0f} %"


def measured(directory: Path, kind: str, seconds: int) -> Round:
    """An empty database under load."""
    database = directory / "runs.db"
    for file in directory.glob("runs.db*"):
        file.unlink()
    flags = () if kind == "none" else (f"--push-token={_PUSH}", *_FLAGS)
    with serving((*receiver(database), *flags)) as (address, process):
        token = token_of(kind, database, address)
        load(address, directory / "seed", _CONNECTIONS, 1, "warm", *token)
        before = cpu_seconds(process)
        stored = load(address, directory / "seed", _CONNECTIONS, seconds, "run", *token)
        used = cpu_seconds(process) - before
    assert stored.accepted
    return Round(stored.per_second, 1000 * used / stored.accepted)


def token_of(kind: str, database: Path, address: str) -> tuple[str, ...]:
    """The token of this kind, made as an operator and a forge would; none is none."""
    match kind:
        case "none":
            return ()
        case "of the settings":
            return (_PUSH,)
        case "of an organization":
            return (
                made(database, "organization", "--allow=push", f"--organization={NAMES['organization']}"),
            )
    request = urllib.request.Request(
        f"http://{address}/api/v1/token", json.dumps(_JOB).encode(),
        {"Authorization": f"Bearer {made(database, 'forge', '--allow=mint')}"},
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        return (json.load(answer)["token"],)


def made(database: Path, name: str, *flags: str) -> str:
    """A new token of the database."""
    command = (sys.executable, "-m", "jobmeter", "admin", "token", "add", name, *flags, f"--db={database}")
    environ = plain_environ(PYTHONPATH=str(ROOT / "src"))
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
