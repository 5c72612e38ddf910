"""Starts a collector again and again on one journal and kills each at a random moment.

`python -m tests.e2e.support.killer JOURNAL KILLS SEED ARGUMENT...` prints one line of JSON for each kill: what was
in the journal then. Each collector is a fork of this process, so that the moments fall into its work rather than
into the start of an interpreter; the last one is left to a SIGTERM.
"""

from __future__ import annotations

import gc
import http.client
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from jobmeter.apps import collector as imported_before_the_fork
from jobmeter.cli import main

LONGEST_SECONDS = 0.15
"""Three ticks of 50 ms after a start of some 20 ms."""

TEAR_EVERY = 8
"""So often, a kill leaves a part of a line: the chance to hit a write is small, so what it leaves is made."""


def _start(arguments: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(main(["collector", *arguments]))
    return pid


def _tear(journal: Path, chance: random.Random) -> None:
    size = journal.stat().st_size
    last_line = size - journal.read_bytes()[:-1].rfind(b"\n") - 1
    os.truncate(journal, size - chance.randrange(1, last_line))


def _look(journal: Path) -> dict[str, object]:
    """What a reader finds: the numbers of whole records, and how many lines are none."""
    records, runs, broken = [], set(), 0
    data = journal.read_bytes() if journal.exists() else b""
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            broken += 1
            continue
        records.append(record)
        runs.add(record["run_uid"])
    return {
        "records": len(records),
        "in_order": all(map(_follows, [None, *records], records)),
        "runs": len(runs),
        "broken": broken,
    }


def _follows(before: dict[str, Any] | None, record: dict[str, Any]) -> bool:
    """Whether its number is the next one; that of a restart may be any higher one."""
    expected = 0 if before is None else int(before["sequence"]) + 1
    number = int(record["sequence"])
    return number == expected or (record["kind"] == "resume" and number > expected)


def run(journal: Path, kills: int, seed: int, arguments: list[str]) -> None:
    """Do it, and say what was found."""
    chance = random.Random(seed)
    torn = 0
    gc.freeze()
    assert imported_before_the_fork
    assert http.client
    for number in range(kills):
        pid = _start([f"--journal={journal}", *arguments])
        time.sleep(chance.uniform(0, LONGEST_SECONDS))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if number % TEAR_EVERY == TEAR_EVERY - 1 and journal.exists():
            _tear(journal, chance)
            torn += 1
        print(json.dumps(_look(journal) | {"torn": torn}), flush=True)
    pid = _start([f"--journal={journal}", *arguments])
    time.sleep(LONGEST_SECONDS)
    os.kill(pid, signal.SIGTERM)
    print(json.dumps(_look(journal) | {"torn": torn, "exit_code": os.waitpid(pid, 0)[1]}), flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
