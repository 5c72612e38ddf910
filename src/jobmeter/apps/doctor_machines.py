"""What `jobmeter doctor` says of other machines whose containers the exporter is to show: whether they tell of them."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from jobmeter.apps.extras import required
from jobmeter.apps.findings import Finding
from jobmeter.config.exporter import ExporterSettings
from jobmeter.config.options import secret_file
from jobmeter.model.errors import JobmeterError, MissingExtra, SourceUnavailable, UsageError

if TYPE_CHECKING:
    from jobmeter.exporter.vm.target import Target
    from jobmeter.exporter.windows.address import Engine

ANSWER_SECONDS = 3.0
"""So long a machine may take to tell of its containers."""
NO_START = "it does not start."
_MISSED = "containers of this machine are not shown."
_AT_ONCE = 16
_LOOK_SECONDS = 0.02
_END_SECONDS = 1.0


def machine_findings(wanted: ExporterSettings) -> list[Finding]:
    """One for each machine that is subscribed to, and for each Windows host; they are asked at once."""
    asking: list[Callable[[], Finding]] = [
        *(partial(_finding, target.name, partial(_subscribe, target, wanted)) for target in wanted.subscribe),
        *(partial(_finding, engine.name, partial(_ask, engine)) for engine in wanted.windows_engine),
    ]
    if not asking:
        return []
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda ask: ask(), asking))


def _finding(name: str, ask: Callable[[], str]) -> Finding:
    source = f"machine {name}"
    try:
        return Finding(source, True, f"{ask()}.", _MISSED)
    except (MissingExtra, UsageError) as error:
        return Finding(source, False, f"{error}.", NO_START)
    except JobmeterError as error:
        return Finding(source, False, f"{error}.", _MISSED)


class _Said:
    """A log that keeps why a machine is not heard."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def info(self, message: str, **fields: object) -> None:
        """What it tells is looked at."""

    def warn(self, message: str, **fields: object) -> None:
        """It is the reason."""
        self.reasons.append(str(fields.get("reason", message)))


def _subscribe(target: "Target", wanted: ExporterSettings) -> str:
    """What one tells first, as a sentence. Raises JobmeterError."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # Its words for developers are not ours.
    with required("grpc"):
        from jobmeter.exporter.vm.credentials import keys_of
        from jobmeter.exporter.vm.subscription import Subscription
    from jobmeter.exporter.elsewhere import Elsewhere
    from jobmeter.exporter.totals import Totals

    said = _Said()
    keys = partial(keys_of, target, wanted.stats_token, secret_file, said)
    keys()
    shown = Elsewhere(Totals(), linger_seconds=0.0, grace_seconds=ANSWER_SECONDS)
    one = Subscription(target, shown, keys, said, interval_seconds=1)
    one.start()
    deadline = time.monotonic() + ANSWER_SECONDS
    while not one.batches and not said.reasons and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    one.close()
    one.join(_END_SECONDS)
    if one.batches:
        return f"it tells of its containers at {target.address}, now of {len(shown.rows)}"
    reason = said.reasons[0] if said.reasons else f"nothing came within {ANSWER_SECONDS:g} s"
    raise SourceUnavailable(f"nothing is told at {target.address}: {reason}")


def _ask(engine: "Engine") -> str:
    """What an engine answers, as a sentence. Raises JobmeterError."""
    with required("windows"):
        from jobmeter.exporter.windows.client import EngineClient
    from jobmeter.exporter.windows.address import client_context

    context = client_context(engine)

    async def containers() -> int:
        async with asyncio.timeout(ANSWER_SECONDS), EngineClient(engine, context) as client:
            await client.meet()
            return len(await client.containers())

    try:
        return f"its engine answers at {engine.address}, now of containers: {asyncio.run(containers())}"
    except TimeoutError:
        why = f"it has not answered within {ANSWER_SECONDS:g} s"
    except SourceUnavailable as error:
        why = str(error)
    raise SourceUnavailable(f"its engine at {engine.address} tells nothing: {why}")
