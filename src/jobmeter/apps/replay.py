"""`jobmeter report --receiver` and `--push-endpoint`: sends what a file holds, as the meter would have."""

from contextlib import closing

from jobmeter.apps import outputs
from jobmeter.apps.load import is_journal, load
from jobmeter.apps.sending import advice
from jobmeter.config.settings import ReportSettings
from jobmeter.model import wire
from jobmeter.model.errors import JobmeterError, JournalError, SendError, UsageError
from jobmeter.spool.delivery import Errand, deliver
from jobmeter.spool.feed import Feed
from jobmeter.spool.journal import JournalReader
from jobmeter.spool.push import Push
from jobmeter.spool.stream import Stream
from jobmeter.transport import Endpoint


def replay(settings: ReportSettings) -> None:
    """Send every run of the journal, or the one that was named; one line on stderr for each.

    What a receiver has already is not sent again. Raises JobmeterError when a run does not arrive.
    """
    path = settings.files[0]
    if path in ("-", "/dev/stdin"):
        raise UsageError("--receiver and --push-endpoint need a file, not standard input")
    journal = is_journal(path)
    if not journal and settings.receiver is not None:
        raise UsageError(
            f"--receiver sends the records of a journal, and {path} is none; --push-endpoint takes a summary"
        )
    for run_uid in _runs(path, settings.run) if journal else [None]:
        if settings.receiver is not None and run_uid is not None:
            _stream(settings, settings.receiver, run_uid)
        if settings.push_endpoint is not None:
            _push(settings, settings.push_endpoint, run_uid)


def _runs(path: str, wanted: str | None) -> list[str]:
    """The runs of a journal that have a start, in their order."""
    found = {record.run_uid: None for record in JournalReader(path) if isinstance(record, wire.Start)}
    if wanted is None and found:
        return list(found)
    if wanted not in found:
        names = ", ".join(list(found)[-5:]) or "none"
        raise JournalError(f"{path} holds no run {wanted or 'that can be sent'}; it holds {names}")
    return [wanted]


def _stream(settings: ReportSettings, url: str, run_uid: str) -> None:
    endpoint = Endpoint(url, settings.push_token)
    with closing(Feed.of_file(run_uid, settings.files[0])) as feed, closing(endpoint):
        stream = Stream(endpoint, run_uid, feed, resumed=True)
        _deliver(stream, settings, f"{run_uid} was not sent whole")
    outputs.say(f"{run_uid}: {stream.sent_records} records sent, {endpoint.name} has all of it")


def _push(settings: ReportSettings, url: str, run_uid: str | None) -> None:
    endpoint = Endpoint(url, settings.push_token)
    summary = load(settings.files[0], run_uid, settings.top).summary
    with closing(endpoint):
        _deliver(Push(endpoint, summary), settings, f"the summary of {summary.run_uid} was not pushed")
    outputs.say(f"{summary.run_uid}: summary pushed to {endpoint.name}")


def _deliver(errand: Errand, settings: ReportSettings, failed: str) -> None:
    try:
        deliver(errand, settings.grace)
    except SendError as error:
        hint = advice(error, settings.push_token)
        raise JobmeterError(f"{failed}: {error}.\n{hint}".removesuffix(".\n")) from None
