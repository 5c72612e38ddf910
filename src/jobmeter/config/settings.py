"""The options of every command and the typed settings they make."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from jobmeter.config.options import Option, duration, interval, list_length, parse, whole_number
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
)

# Options that name what one run writes or meters: a jobmeter started by the job must not take them over.
RUN_ONLY_VARIABLES = frozenset(
    option.env
    for option in RUN_OPTIONS
    if option.name in ("json", "markdown", "html", "journal", "pid", "duration")
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
    _TOP._replace(default="5"),
    _SOURCE,
    _JOURNAL,
    Option("json", "JOBMETER_JSON", "write the summary as JSON at the end", metavar="FILE"),
    Option("mark-socket", "JOBMETER_MARK_SOCKET", "socket on which jobmeter mark is heard", metavar="NAME"),
    Option("grace", "JOBMETER_GRACE", "time to finish in after SIGTERM", duration, "DURATION", default="8s"),
    Option("push-endpoint", "JOBMETER_PUSH_ENDPOINT", "not available in this release", metavar="URL"),
    Option("receiver", "JOBMETER_RECEIVER", "not available in this release", metavar="URL"),
)

REPORT_OPTIONS = (
    Option(
        "format",
        "JOBMETER_FORMAT",
        "form of the report",
        metavar="FORMAT",
        choices=FORMATS,
        default="terminal",
    ),
    Option("output", "JOBMETER_OUTPUT", "write to this file instead of stdout", metavar="FILE"),
    Option(
        "run",
        "JOBMETER_RUN",
        "the run_uid of a journal that holds several; the last one is taken without it",
        metavar="UID",
    ),
    Option(
        "width",
        "JOBMETER_WIDTH",
        "columns of the terminal report",
        whole_number,
        "N",
        default="the terminal's, else 80",
    ),
    Option("top", "JOBMETER_TOP", "entries of the top process lists", list_length, "N", default="10"),
)

DOCTOR_OPTIONS = (
    Option("proc-path", "JOBMETER_PROC_PATH", "root of the proc file system", metavar="DIR", default="/proc"),
    Option("cgroup-path", "JOBMETER_CGROUP_PATH", "the host's cgroup file system", metavar="DIR"),
)


class RunSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter run`; durations in seconds."""

    problems: tuple[str, ...] = ()
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


class ReportSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter report`."""

    problems: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    format: Format = "terminal"
    output: str | None = None
    run: str | None = None
    width: int | None = None
    top: int = 10


class DoctorSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter doctor`."""

    problems: tuple[str, ...] = ()
    proc_path: str = "/proc"
    cgroup_path: str | None = None


def run_settings(argv: Sequence[str], environ: Mapping[str, str]) -> RunSettings:
    """Settings of `run`; a step summary file of the forge is used when none was named."""
    values, rest, problems = parse(RUN_OPTIONS, argv, environ, stop_at_first=True)
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
    return RunSettings(command=tuple(rest), problems=tuple(problems), **values)


def collector_settings(argv: Sequence[str], environ: Mapping[str, str]) -> CollectorSettings:
    """Settings of `collector`."""
    values, rest, problems = parse(COLLECTOR_OPTIONS, argv, environ, stop_at_first=False)
    for field in ("push_endpoint", "receiver"):
        if values.pop(field, None) is not None:
            flag = "--" + field.replace("_", "-")
            if not any(word.lstrip("-").startswith(flag[2:]) for word in argv):
                problems.append(
                    f"{flag} was set by a variable and is not available in this release; it is left out"
                )
                continue
            raise UsageError(
                f"{flag} is not available in this release; leave it out, and the run is kept in the journal"
            )
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: the collector takes only flags")
    return CollectorSettings(problems=tuple(problems), **values)


def report_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ReportSettings:
    """Settings of `report`."""
    values, rest, problems = parse(REPORT_OPTIONS, argv, environ, stop_at_first=False)
    if not 1 <= len(rest) <= 2:
        raise UsageError(
            "report takes one journal or summary (- is stdin), or two to compare: jobmeter report [options] FILE [FILE]"
        )
    return ReportSettings(files=tuple(rest), problems=tuple(problems), **values)


def doctor_settings(argv: Sequence[str], environ: Mapping[str, str]) -> DoctorSettings:
    """Settings of `doctor`."""
    values, rest, problems = parse(DOCTOR_OPTIONS, argv, environ, stop_at_first=False)
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: doctor takes only flags")
    return DoctorSettings(problems=tuple(problems), **values)
