"""`jobmeter referee`: after a job, asks Prometheus what it saw meanwhile, and writes or sends the answer."""

import asyncio
import gzip
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec.structs import replace

from jobmeter.apps import outputs
from jobmeter.apps.extras import required
from jobmeter.apps.sending import advice
from jobmeter.config.referee import RefereeSettings
from jobmeter.identity.job import identify_job
from jobmeter.model.errors import JobmeterError, SendError
from jobmeter.model.evidence.document import Evidence, encode
from jobmeter.report.evidence_forms import written
from jobmeter.transport import Endpoint

if TYPE_CHECKING:
    from jobmeter.referee.referee import Occasion
    from jobmeter.referee.uploads.options import UploadOptions

_MAX_SAID = 5
_SCRAPE_TAKES_SECONDS = 1.0
_POST_SECONDS = 30.0
_UPLOAD_SECONDS = 120.0
# The highest takes six times as long, for a hundredth of the size.
_GZIP_LEVEL = 6


def referee(settings: RefereeSettings, environ: Mapping[str, str]) -> int:
    """Write the evidence to the named file, attach it to the job and send it to the receiver, as named; else print it.

    What a query did not answer is in the evidence, and no failure; 1 where a signal kept the rest from being asked.
    Raises JobmeterError where it gets nowhere.
    """
    outputs.check_file("--out", settings.out)
    if settings.format == "html":
        from jobmeter.report.svg import require_html

        require_html()
    occasion = _occasion(settings, environ)
    try:
        with _signalled(_interrupt):
            if settings.wait:
                _wait(occasion, settings)
            document, stopped = asyncio.run(_asked(settings, occasion))
            for sentence in _said(document):
                outputs.say(sentence)
            _deliver(document, settings)
    except KeyboardInterrupt:
        raise JobmeterError("it was stopped before it had anything to tell") from None
    return 1 if stopped else 0


@contextmanager
def _signalled(handle: Callable[..., None]) -> Iterator[None]:
    """SIGINT and SIGTERM are handled so for a while, unless they are ignored, as in the background of a shell."""
    numbers = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    before = [signal.signal(one, handle) for one in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _occasion(settings: RefereeSettings, environ: Mapping[str, str]) -> "Occasion":
    """The job of this environment, at the time that was said."""
    with required("referee"):
        from jobmeter.referee.referee import Occasion
    job, warnings = identify_job(environ)
    for warning in warnings:
        outputs.say(warning)
    end = settings.end if settings.end is not None else time.time()
    start = settings.start if settings.start is not None else end - (settings.since or 0.0)
    selector = settings.options.selector_of(job, settings.task)
    return Occasion(start, end, selector, job, settings.run_uid, settings.task)


def _wait(occasion: "Occasion", settings: RefereeSettings) -> None:
    from jobmeter.referee.referee import closing_plan

    seconds = closing_plan(settings.options, occasion).last + _SCRAPE_TAKES_SECONDS - time.time()
    if seconds > 0:
        outputs.say(f"waiting {seconds:.1f} s for the last scrape of the job's time")
        time.sleep(seconds)


async def _asked(settings: RefereeSettings, occasion: "Occasion") -> tuple[Evidence, bool]:
    """What came until the budget was spent, or until a signal, and whether one came."""
    from jobmeter.referee.referee import Referee

    loop, asker = asyncio.get_running_loop(), asyncio.current_task()
    came: list[str] = []

    def stop() -> None:
        # Who asks takes a question that was cancelled for one that has no answer yet.
        for task in asyncio.all_tasks() - {asker}:
            task.cancel()

    def note(number: int, _: object) -> None:
        came.append(signal.Signals(number).name)
        loop.call_soon_threadsafe(stop)

    with _signalled(note):
        async with Referee(settings.options) as asking:
            document = await asking.ask(occasion, settings.budget)
    if came:
        sentence = f"The referee was stopped by {came[0]}: this is what had come until then."
        document = replace(document, problems=(*document.problems, sentence))
    return document, bool(came)


def _said(document: Evidence) -> Iterator[str]:
    """What came of it, in a few sentences."""
    states = [query.state for query in document.queries]
    counts = {"with data": "data", "in part": "partial", "empty": "empty", "failed": "failed"}
    told = [f"{states.count(state)} {words}" for words, state in counts.items() if state in states]
    queries = "query" if len(states) == 1 else "queries"
    yield f"{len(states)} {queries} of {document.source.address}: {', '.join(told) or 'none'}"
    reasons: dict[str, list[str]] = {}
    for query in document.queries:
        if query.reason is not None:
            reasons.setdefault(query.reason, []).append(query.name)
    for reason, names in list(reasons.items())[:_MAX_SAID]:
        yield f"{names[0]!r}{f' and {len(names) - 1} more' if names[1:] else ''}: {reason}"
    yield from document.problems
    if document.tail_open and set(states) - {"failed"}:
        yield (
            f"the last scrape of the job's time may be up to {document.tail_seconds:.0f} s away: with --wait it is "
            "waited for"
        )


def _deliver(document: Evidence, settings: RefereeSettings) -> None:
    """Go all ways that were named, of which none fails for another, else print it. Raises JobmeterError.

    What was to go a way and is in no file of its own is kept in one.
    """
    failed: list[JobmeterError] = []
    is_written = False
    for way in _ways(document, settings):
        try:
            way()
            is_written = is_written or way.func is _write
        except JobmeterError as error:
            failed.append(error)
        except KeyboardInterrupt:
            failed.append(JobmeterError("it was stopped before the evidence was where it belongs"))
            break
    if failed and not is_written:
        outputs.say(_kept(document))
    for earlier in failed[:-1]:
        outputs.say(str(earlier))
    if failed:
        raise failed[-1]


def _ways(document: Evidence, settings: RefereeSettings) -> Iterator["partial[None]"]:
    """The file first, then the job, as its token is good for the time of the job only."""
    if settings.out is not None:
        yield partial(_write, settings.out, document, settings)
    if settings.upload is not None:
        yield partial(_upload, document, settings.upload, settings)
    if settings.receiver is not None:
        yield partial(_send, document, settings.receiver, settings)
    if settings.out is None and settings.receiver is None and settings.upload is None:
        yield partial(_print, written(document, settings.format))


def _write(path: str, document: Evidence, settings: RefereeSettings) -> None:
    try:
        outputs.write_file(path, written(document, settings.format))
    except OSError as error:
        raise JobmeterError(f"{path} could not be written: {error.strerror or os.strerror(5)}") from None


def _print(text: bytes) -> None:
    sys.stdout.write(text.decode())
    sys.stdout.flush()


def _kept(document: Evidence) -> str:
    """Where it is now: in a file of the working directory, or where there can be none on stdout."""
    path = f"jobmeter-evidence-{os.urandom(4).hex()}.json"
    try:
        outputs.write_file(path, encode(document))
    except OSError:
        _print(encode(document))
        return "the evidence is printed, as it could not be kept in a file either"
    return f"the evidence is kept in {path}"


def _upload(document: Evidence, upload: "UploadOptions", settings: RefereeSettings) -> None:
    """Raises SendError."""
    outputs.say(asyncio.run(_uploaded(document, upload, settings)))


async def _uploaded(document: Evidence, upload: "UploadOptions", settings: RefereeSettings) -> str:
    """Where it is. Raises SendError."""
    from jobmeter.referee.uploads.actions import scope_of
    from jobmeter.referee.uploads.places import place_of
    from jobmeter.referee.uploads.port import Attachment, artifact_name, file_name

    scope = scope_of(upload.token or "") if upload.kind == "actions" else None
    task = settings.task or (scope and (scope.task or scope.job)) or settings.run_uid or os.urandom(8).hex()
    name = artifact_name(document.job.job, task)
    attachment = Attachment(name, file_name(settings.format), written(document, settings.format))
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            where = await place_of(upload).upload(attachment)
    except TimeoutError:
        raise SendError(
            f"the evidence was not attached within {_UPLOAD_SECONDS:g} s", retryable=True
        ) from None
    except SendError as error:
        raise SendError(
            f"the evidence was not attached: {error}", retryable=error.retryable, status=error.status
        ) from None
    return f"the evidence is {where}"


def _send(document: Evidence, receiver: str, settings: RefereeSettings) -> None:
    """Raises SendError, with what can be done about it."""
    path = f"/api/v1/runs/{quote(settings.run_uid or '', safe='')}/evidence"
    endpoint = Endpoint(receiver, settings.push_token)
    body = gzip.compress(encode(document), _GZIP_LEVEL, mtime=0)
    try:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        endpoint.post(path, body, headers, timeout=_POST_SECONDS)
    except SendError as error:
        more = advice(error, settings.push_token) if error.status in (401, 403) else ""
        message = f"{error}. {more}" if more else str(error)
        raise SendError(message, retryable=error.retryable, status=error.status) from None
    finally:
        endpoint.close()
