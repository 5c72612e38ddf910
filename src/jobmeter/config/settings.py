"""The options of the commands that meter, report and look around, and the typed settings they make."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from jobmeter.config.options import (
    Invocation,
    Option,
    columns,
    duration,
    interval,
    list_length,
    parse,
    secret,
    secret_file,
    web_address,
    whole_number,
)
from jobmeter.model.errors import UsageError

Source = Literal["auto", "cgroup", "exit_records", "proc"]
Format = Literal["terminal", "markdown", "html", "json", "csv", "jsonl", "openmetrics"]

_SOURCES = ("auto", "cgroup", "exit_records", "proc")
FORMATS = ("terminal", "markdown", "html", "json", "csv", "jsonl", "openmetrics")
_LEVELS = ("debug", "info", "warn", "error")

_INTERVAL = Option(
    "interval", "JOBMETER_INTERVAL", "time between two ticks, 50ms to 1h", interval, "DURATION", default="1s"
)
_SOURCE = Option(
    "source",
    "JOBMETER_SOURCE",
    "whose account of CPU time is used: the best there is, or one of these",
    metavar="SOURCE",
    choices=_SOURCES,
    default="auto",
)
_TOP = Option("top", "JOBMETER_TOP", "entries of the top process lists", list_length, "N", default="10")
_JOURNAL = Option(
    "journal",
    "JOBMETER_JOURNAL",
    "file the samples are appended to as they are read",
    metavar="FILE",
    default="$XDG_STATE_HOME/jobmeter, else $TMPDIR/jobmeter-UID",
)
_GRACE = Option("grace", "JOBMETER_GRACE", "time to finish in", duration, "DURATION", default="8s")
_SENDING = (
    Option(
        "receiver",
        "JOBMETER_RECEIVER",
        "send the samples, while they are read, to the receiver at this address",
        web_address,
        "URL",
    ),
    Option(
        "push-endpoint",
        "JOBMETER_PUSH_ENDPOINT",
        "send the summary, once at the end, to this address (of a receiver: URL/api/v1/metrics)",
        web_address,
        "URL",
    ),
    Option(
        "push-token",
        "JOBMETER_PUSH_TOKEN",
        "what the receiver asks for; as a flag every process of the machine can see it",
        secret,
        "TOKEN",
    ),
    Option("push-token-file", "JOBMETER_PUSH_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
)

READ_TOKEN_OPTIONS = (
    Option(
        "read-token",
        "JOBMETER_READ_TOKEN",
        "what must be sent to ask; without it anyone may",
        secret,
        "TOKEN",
    ),
    Option("read-token-file", "JOBMETER_READ_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
)
"""Of a daemon that is asked."""
TLS_OPTIONS = (
    Option(
        "tls-cert",
        "JOBMETER_TLS_CERT",
        "the certificate to serve HTTPS with, as PEM, with its chain",
        metavar="FILE",
    ),
    Option("tls-key", "JOBMETER_TLS_KEY", "its key, as PEM", metavar="FILE"),
)
"""Of a daemon that may serve HTTPS."""
LOG_OPTIONS = (
    Option(
        "log-level",
        "JOBMETER_LOG_LEVEL",
        "least severe message to print",
        metavar="LEVEL",
        choices=_LEVELS,
        default="info",
    ),
    Option(
        "log-format",
        "JOBMETER_LOG_FORMAT",
        "form of the messages",
        metavar="FORMAT",
        choices=("json", "text"),
        default="json",
    ),
)

RUN_OPTIONS = (
    _INTERVAL,
    _SOURCE,
    _TOP,
    Option("json", "JOBMETER_JSON", "write the summary as JSON; fd:N writes to descriptor N", metavar="FILE"),
    Option(
        "markdown",
        "JOBMETER_MARKDOWN",
        "append the report as Markdown",
        metavar="FILE",
        default="$GITHUB_STEP_SUMMARY",
    ),
    Option("html", "JOBMETER_HTML", "write the report as one portable page", metavar="FILE"),
    _JOURNAL,
    Option(
        "pid",
        "JOBMETER_PID",
        "meter this running process and its descendants instead of a command",
        whole_number,
        "PID",
    ),
    Option("duration", "JOBMETER_DURATION", "with --pid: stop after this time", duration, "DURATION"),
    Option("quiet", "JOBMETER_QUIET", "print no report", None),
    *_SENDING,
    _GRACE._replace(
        help="at the end: time for what is not yet sent, where the receiver has answered; else 2s at most"
    ),
)

# Options that name what one run writes, meters or sends: a jobmeter started by the job must not take them over,
# and no token is for the job to read.
RUN_ONLY_VARIABLES = frozenset(
    option.env
    for option in RUN_OPTIONS
    if option in _SENDING or option.name in ("json", "markdown", "html", "journal", "pid", "duration")
)

COLLECTOR_OPTIONS = (
    _INTERVAL._replace(default="5s"),
    Option("proc-path", "JOBMETER_PROC_PATH", "root of the proc file system", metavar="DIR", default="/proc"),
    Option(
        "cgroup-path",
        "JOBMETER_CGROUP_PATH",
        "the host's cgroup file system, where it is mounted for the collector",
        metavar="DIR",
    ),
    *LOG_OPTIONS,
    _TOP._replace(default="5"),
    _SOURCE,
    _JOURNAL,
    Option("json", "JOBMETER_JSON", "write the summary as JSON at the end", metavar="FILE"),
    Option("mark-socket", "JOBMETER_MARK_SOCKET", "socket on which jobmeter mark is heard", metavar="NAME"),
    _GRACE._replace(help="after SIGTERM: time to finish, and to send what is not yet sent"),
    *_SENDING,
)

_SENT_LATER = {
    "receiver": "send the journal's records to the receiver at this address, instead of showing them",
    "push-endpoint": "send the summary to this address (of a receiver: URL/api/v1/metrics), instead of showing it",
}
REPORT_OPTIONS = (
    Option(
        "format",
        "JOBMETER_FORMAT",
        "form of the report",
        metavar="FORMAT",
        choices=FORMATS,
        default="terminal, or none when it is sent",
    ),
    Option("output", "JOBMETER_OUTPUT", "write to this file instead of stdout", metavar="FILE"),
    Option(
        "run",
        "JOBMETER_RUN",
        "the run_uid of a journal that holds several; without it the last one is shown and all are sent",
        metavar="UID",
    ),
    Option(
        "width",
        "JOBMETER_WIDTH",
        "columns of the terminal report, from 40; it uses up to 160",
        columns,
        "N",
        default="the terminal's, else $COLUMNS, else 80",
    ),
    Option("top", "JOBMETER_TOP", "entries of the top process lists", list_length, "N", default="10"),
    # A fleet's variables say where jobs send to; that a report sends instead of showing is said by a flag alone.
    *(
        one._replace(env="", help=_SENT_LATER[one.name]) if one.name in _SENT_LATER else one
        for one in _SENDING
    ),
    _GRACE._replace(help="time to go on trying to send without success"),
)

DOCTOR_OPTIONS = (
    Option("proc-path", "JOBMETER_PROC_PATH", "root of the proc file system", metavar="DIR", default="/proc"),
    Option("cgroup-path", "JOBMETER_CGROUP_PATH", "the host's cgroup file system", metavar="DIR"),
    Option(
        "gateway-config",
        "JOBMETER_GATEWAY_CONFIG",
        "the file of a gateway that is to launch runners: could it here?",
        metavar="FILE",
    ),
)


class RunSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter run`; durations in seconds. ``flags`` are the fields that argv gave."""

    problems: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    command: tuple[str, ...] = ()
    interval: float = 1.0
    source: Source = "auto"
    top: int = 10
    json: str | None = None
    markdown: str | None = None
    html: str | None = None
    journal: str | None = None
    pid: int | None = None
    duration: float | None = None
    quiet: bool = False
    receiver: str | None = None
    push_endpoint: str | None = None
    push_token: str | None = None
    grace: float = 8.0


class CollectorSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter collector`; durations in seconds."""

    problems: tuple[str, ...] = ()
    interval: float = 5.0
    proc_path: str = "/proc"
    cgroup_path: str | None = None
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    top: int = 5
    source: Source = "auto"
    journal: str | None = None
    json: str | None = None
    mark_socket: str | None = None
    grace: float = 8.0
    receiver: str | None = None
    push_endpoint: str | None = None
    push_token: str | None = None


class ReportSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter report`."""

    problems: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    format: Format | None = None
    output: str | None = None
    run: str | None = None
    width: int | None = None
    top: int = 10
    receiver: str | None = None
    push_endpoint: str | None = None
    push_token: str | None = None
    grace: float = 8.0


class DoctorSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter doctor`."""

    problems: tuple[str, ...] = ()
    proc_path: str = "/proc"
    cgroup_path: str | None = None
    gateway_config: str | None = None


def run_settings(argv: Sequence[str], environ: Mapping[str, str]) -> RunSettings:
    """Settings of `run`; a step summary file of the forge is used when none was named."""
    invocation = parse(RUN_OPTIONS, argv, environ, stop_at_first=True, empty_is_unset=True)
    values, rest, problems = _sending(invocation)
    if values.get("json") == "-" or values.get("markdown") == "-" or values.get("html") == "-":
        raise UsageError(
            "'-' is not accepted as a file: stdout is the command's; name a file, or fd:N for --json"
        )
    if "pid" in values:
        if rest:
            raise UsageError(
                f"--pid meters what already runs, so the command {rest[0]!r} is not accepted with it"
            )
    elif "duration" in values:
        raise UsageError("--duration goes with --pid; a command is metered until it ends")
    elif not rest:
        raise UsageError("there is no command to run; usage: jobmeter run [options] [--] COMMAND...")
    return RunSettings(command=tuple(rest), problems=tuple(problems), flags=invocation.flags, **values)


def collector_settings(argv: Sequence[str], environ: Mapping[str, str]) -> CollectorSettings:
    """Settings of `collector`."""
    values, rest, problems = _sending(
        parse(COLLECTOR_OPTIONS, argv, environ, stop_at_first=False, empty_is_unset=True)
    )
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: the collector takes only flags")
    return CollectorSettings(problems=tuple(problems), **values)


def report_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ReportSettings:
    """Settings of `report`."""
    values, rest, problems = _sending(parse(REPORT_OPTIONS, argv, environ, stop_at_first=False))
    if len(rest) > 2:
        raise UsageError(
            "report takes one journal or summary (- is stdin; without one the newest run's), or two to compare: "
            "jobmeter report [options] [FILE [FILE]]"
        )
    if len(rest) == 2 and ("receiver" in values or "push_endpoint" in values):
        raise UsageError("--receiver and --push-endpoint send what is in one file; two files were named")
    return ReportSettings(files=tuple(rest), problems=tuple(problems), **values)


def doctor_settings(argv: Sequence[str], environ: Mapping[str, str]) -> DoctorSettings:
    """Settings of `doctor`."""
    values, rest, problems, _ = parse(DOCTOR_OPTIONS, argv, environ, stop_at_first=False)
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: doctor takes only flags")
    return DoctorSettings(problems=tuple(problems), **values)


def _sending(invocation: Invocation) -> tuple[dict[str, Any], list[str], list[str]]:
    """Values, rest and problems, with the token taken out of its file."""
    invocation.merge_file("push_token")
    return invocation.values, invocation.rest, invocation.problems
