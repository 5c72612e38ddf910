"""One client of a hook socket: its lines, our answers in their order, and what it is told as a listener."""

import asyncio
import select
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, NamedTuple

from jobmeter.model.errors import UsageError
from jobmeter.ops.hooks.events import (
    MAX_LINE_BYTES,
    Answer,
    Event,
    Listen,
    TaskEvent,
    read_line,
    write_line,
)
from jobmeter.ops.log import Log

_UNANSWERED = 32
_STILL_THERE_SECONDS = 1.0


class Limits(NamedTuple):
    """What clients may cost. Lines that a listener has not read are shared with all who are to get them.

    Who says nothing for ``first_word_seconds`` at the beginning, or leaves an answer unread for as long, is let go.
    """

    clients: int = 64
    unsent_bytes: int = 8 * 1024 * 1024
    first_word_seconds: float = 10.0


class Connection:
    """Served by ``serve``; ``words`` are the events that it wants to hear of."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits, log: Log
    ) -> None:
        self.words: frozenset[str] = frozenset()
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._log = log
        self._duties: set[asyncio.Task[Any]] = set()
        self._answers: asyncio.Queue[asyncio.Task[Answer]] = asyncio.Queue(_UNANSWERED)
        self._present: Iterator[Event] = iter(())
        self._lines: deque[bytes] = deque()
        self._unsent = 0
        self._news = asyncio.Event()

    async def serve(self, hear: Callable[[Listen | TaskEvent], Awaitable[None]]) -> None:
        """Until it has gone or says what is not accepted; each thing that it says is heard in its order."""
        self._begin(self._send_answers())
        try:
            await self._take_lines(hear)
            await self._answers.join()
            while self.words and not self._has_gone():
                await asyncio.sleep(_STILL_THERE_SECONDS)
        except OSError:
            pass  # It has gone.
        finally:
            self.words = frozenset()
            for duty in self._duties:
                duty.cancel()
            # What it does not read is not waited for.
            self._writer.close()
            if self._writer.transport.get_write_buffer_size():
                self._writer.transport.abort()

    def listen(self, words: frozenset[str], present: Iterator[Event]) -> None:
        """Tell it what is ``present``, then what it is to ``take``; anew if it listens already."""
        listens = bool(self.words)
        self.words, self._present = words, present
        self._news.set()
        if not listens:
            self._begin(self._send_events())

    def take(self, line: bytes) -> bool:
        """Whether there is room for one more line; else it is dropped."""
        if self._unsent + len(line) > self._limits.unsent_bytes:
            self.words = frozenset()
            self._writer.transport.abort()
            return False
        self._unsent += len(line)
        self._lines.append(line)
        self._news.set()
        return True

    async def answer(self, acting: Coroutine[Any, Any, Answer]) -> None:
        """With what comes of it, when all that was said before is answered. Waits while too much is unanswered."""
        await self._answers.put(self._begin(acting))

    def _begin(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        duty = asyncio.create_task(work)
        self._duties.add(duty)
        duty.add_done_callback(self._duties.discard)
        return duty

    async def _take_lines(self, hear: Callable[[Listen | TaskEvent], Awaitable[None]]) -> None:
        understood = False
        try:
            async with asyncio.timeout(self._limits.first_word_seconds):
                line = await self._line()
            while line:
                if line.strip():
                    understood = await self._take_line(line, hear) or understood
                    if not understood:
                        break  # It is no client of ours.
                line = await self._line()
            else:
                return
        except UsageError as error:
            await self.answer(_refusal(str(error)))
        except TimeoutError:
            await self.answer(_refusal(f"nothing was said for {self._limits.first_word_seconds:g} s"))
        self.words = frozenset()  # Nothing more is told either.

    async def _take_line(self, line: bytes, hear: Callable[[Listen | TaskEvent], Awaitable[None]]) -> bool:
        """Whether it was understood; else that is the answer."""
        try:
            said = read_line(line)
        except UsageError as error:
            await self.answer(_refusal(str(error)))
            return False
        await hear(said)
        return True

    async def _line(self) -> bytes:
        """The next one, the last one without its end too; empty when there is none any more."""
        try:
            return await self._reader.readline()
        except ValueError:
            raise UsageError(f"a line is longer than {MAX_LINE_BYTES} bytes") from None

    async def _send_answers(self) -> None:
        while True:
            acting = await self._answers.get()
            try:
                self._writer.write(write_line(await acting))
                async with asyncio.timeout(self._limits.first_word_seconds):
                    await self._writer.drain()
            except (OSError, TimeoutError):
                self._writer.transport.abort()
            finally:
                self._answers.task_done()

    async def _send_events(self) -> None:
        try:
            while not self._writer.is_closing():
                for event in self._present:
                    await self._send(write_line(event))
                while self._lines:
                    line = self._lines.popleft()
                    await self._send(line)
                    self._unsent -= len(line)
                self._news.clear()
                await self._news.wait()
        except OSError:
            self._writer.transport.abort()
        except Exception as error:  # One that stays would hear nothing more.
            self._log.warn("a listener of the hooks is let go by a fault of ours", error=repr(error))
            self._writer.transport.abort()

    async def _send(self, line: bytes) -> None:
        self._writer.write(line)
        await self._writer.drain()

    def _has_gone(self) -> bool:
        """Whether it is closed, not only for what it could say: a script may have closed its output."""
        connection: socket.socket = self._writer.get_extra_info("socket")
        if self._writer.is_closing() or connection.fileno() < 0:
            return True
        looking = select.poll()
        looking.register(connection.fileno(), 0)  # POLLHUP is always told (poll(2)).
        return bool(looking.poll(0))


async def _refusal(sentence: str) -> Answer:
    return Answer(False, sentence)
