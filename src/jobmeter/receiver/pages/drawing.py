"""Draws charts in a process of its own: the library takes seconds and 150 MB, which no other request shall feel.

So may a document of evidence, which is read and told there, too.

The process begins with the first drawing that is asked for and ends when none was for a while.
"""

import asyncio
import gzip
import struct
import sys
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

import msgspec
from msgspec import Struct

from jobmeter.ops.problems import Problem, Unavailable
from jobmeter.report.charts import Chart

_LIBRARY = "vl-convert-python"
_WORKER = "jobmeter.receiver.pages.drawing_worker"
_LENGTH = struct.Struct("!I")
_IDLE_SECONDS = 60.0
_ANSWER_SECONDS = 30.0
_MOST_WAITING = 16
_MOST_KEPT_BYTES = 4 * 1024 * 1024


class Attached(Struct, frozen=True, omit_defaults=True):
    """A document of evidence, compressed by zlib or gzip, and its run.

    With ``key`` the picture of that one of its charts is asked for, else the part of the run's page.
    """

    body: bytes
    run_uid: str
    key: str | None = None
    narrow: bool = False


class Order(Struct, omit_defaults=True):
    """What the process is asked for: a chart's picture, what is to be seen of evidence, or the script for browsers."""

    chart: Chart | None = None
    attached: Attached | None = None


class Drawn(Struct, omit_defaults=True):
    """Its answer: the text, or why there is none."""

    text: str = ""
    error: str | None = None


class Drawing:
    """One process that draws, one drawing after the other, and the newest pictures."""

    def __init__(
        self, *, idle_seconds: float = _IDLE_SECONDS, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._idle_seconds = idle_seconds
        self._answer_seconds = answer_seconds
        self._version = _version()
        self._process: asyncio.subprocess.Process | None = None
        self._alone = asyncio.Lock()
        self._waiting = 0
        self._idle: asyncio.TimerHandle | None = None
        self._script: bytes | None = None
        self._pictures: OrderedDict[bytes, str] = OrderedDict()

    @property
    def script_address(self) -> str | None:
        """Where browsers get the script that draws; None where its library is not installed."""
        return f"/assets/vega-embed.{self._version}.js" if self._version else None

    async def script(self) -> bytes:
        """That script, compressed by gzip; made once. Raises a problem 503."""
        if self._script is None:
            made = await self._ask(Order())
            self._script = await asyncio.to_thread(gzip.compress, made.encode(), 6, mtime=0)
        return self._script

    async def svg(self, chart: Chart) -> str:
        """The chart as an ``<svg>`` element. Raises a problem: 503 for too many at once, 500 for one that fails."""
        return await self._kept(Order(chart))

    async def attached(self, attached: Attached) -> str:
        """The part of a page, or an ``<svg>`` element, empty where there is no such chart. Raises as ``svg``."""
        return await self._kept(Order(attached=attached))

    async def _kept(self, order: Order) -> str:
        key = sha256(msgspec.json.encode(order)).digest()
        picture = self._pictures.pop(key, None)
        if picture is None:
            picture = await self._ask(order)
        self._pictures[key] = picture
        while sum(map(len, self._pictures.values())) > _MOST_KEPT_BYTES:
            self._pictures.popitem(last=False)
        return picture

    async def close(self) -> None:
        """End the process."""
        async with self._alone:
            await self._end()

    async def _ask(self, order: Order) -> str:
        is_text = order.attached is not None and order.attached.key is None
        if not self._version and not is_text:
            raise Problem(404, "This receiver draws no charts: it was installed without the extra html.")
        if self._waiting == _MOST_WAITING:
            raise Unavailable("Too many ask for pictures at once; try again soon.", 5)
        self._waiting += 1
        try:
            async with self._alone:
                return await self._answer(order)
        finally:
            self._waiting -= 1

    async def _answer(self, order: Order) -> str:
        if self._idle is not None:
            self._idle.cancel()
        try:
            async with asyncio.timeout(self._answer_seconds):
                drawn = await self._exchange(order)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            await self._end()
            raise Unavailable("The picture cannot be drawn now; try again soon.", 5) from None
        except BaseException:
            await self._end()  # Its answer would be taken for that of the next question.
            raise
        self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._let_go)
        if drawn.error is not None:
            raise Problem(500, f"The picture cannot be drawn: {drawn.error}.")
        return drawn.text

    async def _exchange(self, order: Order) -> Drawn:
        if self._process is None or self._process.returncode is not None:
            command = sys.executable, "-P", "-m", _WORKER  # Not what lies in the working directory.
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(framed(msgspec.json.encode(order)))
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return msgspec.json.decode(await process.stdout.readexactly(length), type=Drawn)

    def _let_go(self) -> None:
        """It ends by itself when nothing can come any more."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process = None

    async def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def framed(body: bytes) -> bytes:
    """A message with its length before it."""
    return _LENGTH.pack(len(body)) + body


def _version() -> str | None:
    """Of the library that draws; None where it is not installed. It is not imported."""
    try:
        return version(_LIBRARY)
    except PackageNotFoundError:
        return None
