"""The options of `jobmeter referee`, and the settings that they and its configuration file make."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from msgspec import Struct

from jobmeter.config.file import read_toml
from jobmeter.config.options import Invocation, Option, age, duration, parse, secret, secret_file, web_address
from jobmeter.config.referee_table import (
    ADDRESS_OPTION,
    INTERVAL_OPTIONS,
    SELECTOR_OPTIONS,
    gitlab_values,
    referee_options,
    referee_values,
)
from jobmeter.config.referee_upload import GITLAB, upload_options, upload_place
from jobmeter.model.errors import EvidenceError, UsageError
from jobmeter.model.evidence.document import seconds_of
from jobmeter.referee.options import RefereeOptions
from jobmeter.referee.uploads.options import UploadOptions

Form = Literal["full", "compat", "markdown", "html"]
_WHICH_SERIES = ("selector", "executor", "label_value", "label_name", "namespace")
_LEAST_UNIX, _MOST_UNIX = 1e8, 2.5e11


def moment(text: str) -> float:
    """A time in RFC 3339, or in seconds since 1970."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            return seconds_of(text)
        except EvidenceError as error:
            raise UsageError(f"{error}, or seconds since 1970") from None
    if not _LEAST_UNIX <= seconds < _MOST_UNIX:
        raise UsageError(f"{text[:40]!r} is no time in seconds since 1970, as 1577836800")
    return seconds


REFEREE_OPTIONS = (
    Option("config", "JOBMETER_REFEREE_CONFIG", "a TOML file with [referee], or a gitlab-runner's config.toml",
           metavar="FILE"),
    Option("runner", "JOBMETER_REFEREE_RUNNER", "which of [[runners]] of a config.toml with several referees",
           metavar="NAME"),
    ADDRESS_OPTION,
    Option("start", "JOBMETER_JOB_START", "when the job began: RFC 3339, or seconds since 1970", moment, "TIME",
           default="$CI_JOB_STARTED_AT"),
    Option("end", "JOBMETER_JOB_END", "when it ended", moment, "TIME", default="now"),
    Option("since", "", "it began so long before its end, in place of --start", age, "DURATION"),
    *SELECTOR_OPTIONS,
    *INTERVAL_OPTIONS,
    Option("budget", "JOBMETER_REFEREE_BUDGET", "time for all questions together; what comes later is left out, and "
           "said", duration, "DURATION", default="1m"),
    Option("wait", "", "first wait until what happened at the job's end has been scraped", None),
    Option("out", "JOBMETER_REFEREE_OUT", "where the evidence is written, in place of stdout", metavar="FILE"),
    Option("format", "JOBMETER_REFEREE_FORMAT",
           "all of it; the form of GitLab's referee, first series only; or what people read",
           metavar="FORM", choices=get_args(Form), default="full"),
    Option("upload", "JOBMETER_REFEREE_UPLOAD",
           "attach it to the job: gitlab, actions (Forgejo, Gitea, GitHub), a directory, or a presigned URL, which "
           "as a flag every process of the machine can see", upload_place, "PLACE"),
    Option("receiver", "JOBMETER_RECEIVER", "where the run is that the evidence belongs to", web_address, "URL"),
    Option("run-uid", "JOBMETER_RUN_UID", "which run of it", metavar="UID"),
    Option("push-token", "JOBMETER_PUSH_TOKEN",
           "what the receiver asks for; as a flag every process of the machine can see it", secret, "TOKEN"),
    Option("push-token-file", "JOBMETER_PUSH_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option("task", "JOBMETER_TASK", "the forge's own number of the job", metavar="ID", default="$CI_JOB_ID"),
)  # fmt: skip


class RefereeSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter referee`; times in seconds since 1970, ``end`` is None for now.

    ``since`` is how long before its end the job began, where that is not told as ``start``; ``budget`` is in seconds.
    """

    problems: tuple[str, ...] = ()
    options: RefereeOptions
    start: float | None = None
    since: float | None = None
    end: float | None = None
    budget: float = 60.0
    wait: bool = False
    out: str | None = None
    format: Form = "full"
    upload: UploadOptions | None = None
    receiver: str | None = None
    run_uid: str | None = None
    push_token: str | None = None
    task: str | None = None


def referee_settings(argv: Sequence[str], environ: Mapping[str, str]) -> RefereeSettings:
    """Settings of `referee`: file < environment < flags. Raises UsageError."""
    invocation = parse(REFEREE_OPTIONS, argv, environ, stop_at_first=False)
    invocation.merge_file("push_token")
    values, rest, problems, _ = invocation
    if rest:
        raise UsageError(f"{rest[0]!r} is not accepted: the referee takes only flags")
    options = _options(values)
    _settle_times(invocation, environ)
    _settle_receiver(invocation)
    _settle_upload(values, environ)
    if "task" not in values and environ.get("CI_JOB_ID"):
        values["task"] = environ["CI_JOB_ID"]
    known = {field: value for field, value in values.items() if field in RefereeSettings.__struct_fields__}
    return RefereeSettings(problems=tuple(problems), options=options, **known)


def _options(values: Mapping[str, Any]) -> RefereeOptions:
    """Those of the file, with what is said beside it."""
    config: str | None = values.get("config")
    told = _of_file(config, values.get("runner")) if config is not None else {}
    if any(field in values for field in ("selector", "executor")):
        # Who says which series they are says all of it.
        told = {field: value for field, value in told.items() if field not in _WHICH_SERIES}
    fields = (*_WHICH_SERIES, "prometheus_address", "interval", "scrape_interval")
    told |= {field: values[field] for field in fields if field in values}
    return referee_options(told, config)


def _of_file(path: str, runner: str | None) -> dict[str, Any]:
    tables = read_toml(path)
    if "referee" not in tables:
        return gitlab_values(tables, path, runner)
    mistakes: list[str] = []
    values = referee_values(tables["referee"], f"{path}: [referee]", mistakes)
    if mistakes:
        raise UsageError(mistakes[0])
    return values


def _settle_times(invocation: Invocation, environ: Mapping[str, str]) -> None:
    """A flag wins over a variable, and those of jobmeter over those of the forge."""
    values, flags = invocation.values, invocation.flags
    if {"start", "since"} <= flags:
        raise UsageError("--start and --since both say when the job began; one of them is enough")
    if "since" in flags:
        values.pop("start", None)
    elif "start" not in values:
        begun = environ.get("CI_JOB_STARTED_AT")
        if not begun:
            raise UsageError(
                "--start is missing, or --since: when the job began, as --since 10m; a first step can say it as "
                "JOBMETER_JOB_START"
            )
        try:
            values["start"] = moment(begun)
        except UsageError as error:
            raise UsageError(f"CI_JOB_STARTED_AT: {error}") from None
    if values.get("end", _MOST_UNIX) < values.get("start", 0):
        raise UsageError("--end is before --start")


def _settle_upload(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    if "upload" not in values:
        return
    values["upload"] = upload_options(values["upload"], environ)
    if values["upload"].kind == GITLAB and values.get("format") in ("markdown", "html"):
        raise UsageError(
            "--upload gitlab takes --format full and compat: what people read is no such artifact"
        )


def _settle_receiver(invocation: Invocation) -> None:
    values, flags = invocation.values, invocation.flags
    if "receiver" in values and "run_uid" not in values:
        if "receiver" in flags:
            raise UsageError("--receiver needs --run-uid: which run the evidence belongs to")
        del values["receiver"]  # The variable is a whole fleet's.
