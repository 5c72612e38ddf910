"""Stops fetching while the machine has no room for another job: little disk, little memory, or the operator's script
says so. What runs already is left alone.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from jobmeter.gateway.figures.words import shown
from jobmeter.linux.files import read_file
from jobmeter.linux.procfs import parse_meminfo
from jobmeter.model.errors import KernelFormatError
from jobmeter.model.quantities import format_bytes, format_duration
from jobmeter.ops.log import FullLog

_LOOK_SECONDS = 10.0
_TAIL_BYTES = 4096
_LAST_WORDS_SECONDS = 0.5
_MAX_WORDS = 200


class Unknown(Exception):
    """What a check looks at cannot be read; the message says why."""


class Check(Protocol):
    """One thing that may be short."""

    @property
    def name(self) -> str:
        """One word for a series."""
        ...

    async def trouble(self) -> str | None:
        """Why nothing shall be fetched, in words that go on a sentence; None if it may. Raises Unknown."""
        ...


class FreeDisk:
    """Room on the disks of ``paths`` for who is not root.

    They are looked at in a thread, one at a time: a file system over a network may not answer.
    """

    name = "disk"

    def __init__(self, paths: Sequence[str], least_bytes: int, limit_seconds: float = _LOOK_SECONDS) -> None:
        self._paths = paths
        self._least_bytes = least_bytes
        self._limit_seconds = limit_seconds
        self._thread = ThreadPoolExecutor(1, "disks")
        self._looking: asyncio.Future[str | None] | None = None

    async def trouble(self) -> str | None:
        """Of the first one with too little, or that they do not answer."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        done, _ = await asyncio.wait({self._looking}, timeout=self._limit_seconds)
        if not done:
            return f"{', '.join(self._paths)} did not answer within {format_duration(self._limit_seconds)}"
        looked, self._looking = self._looking, None
        return looked.result()

    def close(self) -> None:
        """Let go of the thread, whether it comes back or not."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> str | None:
        for path in self._paths:
            try:
                disk = os.statvfs(path)
            except OSError as error:
                raise Unknown(f"the disk of {path} cannot be looked at: {error.strerror}") from None
            free = disk.f_bavail * disk.f_frsize
            if free < self._least_bytes:
                return f"{path} has {format_bytes(free)} free, less than {format_bytes(self._least_bytes)}"
        return None


class AvailableMemory:
    """What the kernel thinks can be given out without swapping (MemAvailable, proc_meminfo(5))."""

    name = "memory"

    def __init__(self, least_bytes: int, root: str = "/proc") -> None:
        self._least_bytes = least_bytes
        self._root = root

    async def trouble(self) -> str | None:
        """If there is too little."""
        try:
            available = parse_meminfo(read_file(f"{self._root}/meminfo")).get("MemAvailable")
        except (OSError, KernelFormatError) as error:
            raise Unknown(f"the memory of the machine cannot be read: {error}") from None
        if available is None:
            raise Unknown("the kernel does not tell how much memory is available")
        if available < self._least_bytes:
            return f"{format_bytes(available)} of memory are available, less than {format_bytes(self._least_bytes)}"
        return None


class MemoryPressure:
    """The share of the last ten seconds in which some work waited for memory (Documentation/accounting/psi.rst)."""

    name = "pressure"

    def __init__(self, most_percent: float, root: str = "/proc") -> None:
        self._most_percent = most_percent
        self._root = root

    async def trouble(self) -> str | None:
        """If it is too large."""
        try:
            percent = parse_some_avg10(read_file(f"{self._root}/pressure/memory"))
        except (OSError, KernelFormatError) as error:
            raise Unknown(f"the pressure on memory cannot be read: {error}") from None
        if percent > self._most_percent:
            return f"work waited for memory in {percent:g} % of the last 10 s, more than {self._most_percent:g} %"
        return None


def parse_some_avg10(text: bytes) -> float:
    """Percent, from `some avg10=0.00 avg60=…`. Raises KernelFormatError."""
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == b"some" and fields and fields[0].startswith(b"avg10="):
            with suppress(ValueError):
                return float(fields[0].removeprefix(b"avg10="))
    raise KernelFormatError(f"{text[:60]!r} has no average of 10 s")


class Script:
    """A program of the operator: exit code 0 within the time means that there is room."""

    name = "script"

    def __init__(self, path: str, limit_seconds: float) -> None:
        self._path = path
        self._limit_seconds = limit_seconds

    async def trouble(self) -> str | None:
        """How it failed, with the last line that it wrote."""
        ours, its = os.pipe()
        async with _reading(ours) as stream:
            try:
                process = await asyncio.create_subprocess_exec(
                    self._path,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=its,
                    stderr=its,
                    start_new_session=True,
                )
            except OSError as error:
                return f"{self._path} cannot be executed: {error.strerror}"
            finally:
                os.close(its)
            said = asyncio.create_task(_tail(stream))
            try:
                code: int | None = await asyncio.wait_for(process.wait(), self._limit_seconds)
            except TimeoutError:
                code = None
            finally:
                _end(process)
                await process.wait()
            words = await _last_line(said)
        if code is None:
            return f"{self._path} did not end within {format_duration(self._limit_seconds)}{words}"
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            return f"{self._path} ended with {how}{words}"
        return None


class Gate:
    """Looks at the ``checks`` again and again, and says when it closes and opens.

    ``tell`` is told of each change of ``why``. What cannot be read keeps nothing closed; it is said once.
    """

    def __init__(
        self,
        checks: Sequence[Check],
        log: FullLog,
        interval_seconds: float,
        tell: Callable[[str | None], None] = lambda why: None,
    ) -> None:
        self._checks = tuple(checks)
        self._log = log
        self._interval_seconds = interval_seconds
        self._tell = tell
        self._troubles: dict[str, str] = {}
        self._unknown: dict[str, str] = {}

    @property
    def why(self) -> str | None:
        """Why nothing is fetched; None while it is open."""
        return "; ".join(self._troubles.values()) or None

    @property
    def closed(self) -> Mapping[str, bool]:
        """Each check by its name, and whether it keeps the gate closed."""
        return {check.name: check.name in self._troubles for check in self._checks}

    async def look(self) -> None:
        """Look once at everything."""
        before = self.why
        for check in self._checks:
            trouble = await self._ask(check)
            if trouble is None:
                self._troubles.pop(check.name, None)
            else:
                self._troubles[check.name] = trouble
        if (why := self.why) is not None and before is None:
            self._log.warn("nothing is fetched for now; what runs goes on", why=why)
        elif why is None and before is not None:
            self._log.info("fetching goes on")
        if self.why != before:
            self._tell(self.why)

    async def watch(self) -> None:
        """Look for ever; the first look is done at once."""
        while self._checks:
            await self.look()
            await asyncio.sleep(self._interval_seconds)

    async def _ask(self, check: Check) -> str | None:
        try:
            trouble = await check.trouble()
        except Unknown as error:
            if self._unknown.get(check.name) != str(error):
                self._log.warn("a check before fetching is left out", check=check.name, error=str(error))
            self._unknown[check.name] = str(error)
            return None
        self._unknown.pop(check.name, None)
        return trouble


@asynccontextmanager
async def _reading(pipe: int) -> AsyncIterator[asyncio.StreamReader]:
    """What comes out of a pipe; at the end it is closed, whoever may still write."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(pipe, "rb", 0)
    )
    try:
        yield stream
    finally:
        transport.close()


def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of it behind, whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The end of what is written."""
    tail = b""
    while piece := await stream.read(65536):
        tail = (tail + piece)[-_TAIL_BYTES:]
    return tail


async def _last_line(said: asyncio.Task[bytes]) -> str:
    """The last line, as an end of a sentence; nothing if nothing was said, or somebody else still may."""
    done, _ = await asyncio.wait({said}, timeout=_LAST_WORDS_SECONDS)
    if not done:
        said.cancel()
        return ""
    lines = said.result().decode(errors="replace").strip().splitlines()
    return f": {shown(lines[-1])[:_MAX_WORDS]}" if lines else ""
