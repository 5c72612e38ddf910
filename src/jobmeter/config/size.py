"""The options of `jobmeter size`."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args
from urllib.parse import unquote

from msgspec import Struct

from jobmeter.config.options import Option, columns, parse, secret, secret_file, web_address
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from jobmeter.model.sizing.parameters import (
    CPU_PERCENTILES,
    MAX_BUFFER_PERCENT,
    MAX_DAYS,
    MAX_RUNS,
    CpuPercentile,
    Parameters,
)

Form = Literal["text", "json", "kubernetes", "docker", "gitlab"]

_DEFAULT = Parameters()
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%?")
_USAGE = "jobmeter size [options] ORG/REPO/WORKFLOW/JOB, or jobmeter size [options] FILE..."


def run_count(text: str) -> int:
    """How many runs are looked at."""
    if text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_RUNS:
        return int(text)
    raise UsageError(f"{text!r} is not accepted; accepted are 1 to {MAX_RUNS} runs")


def day_count(text: str) -> int:
    """All runs of how many days are looked at."""
    if text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_DAYS:
        return int(text)
    raise UsageError(f"{text!r} is not accepted; accepted are 1 to {MAX_DAYS} days")


def percent(text: str) -> float:
    """What is to spare, ``20`` or ``20 %``."""
    match = _PERCENT.fullmatch(text)
    if match and float(match[1]) <= MAX_BUFFER_PERCENT:
        return float(match[1])
    raise UsageError(f"{text!r} is not accepted; accepted are percentages from 0 to {MAX_BUFFER_PERCENT}")


SIZE_OPTIONS = (
    Option("receiver", "JOBMETER_RECEIVER", "ask the receiver at this address", web_address, "URL"),
    Option(
        "read-token",
        "JOBMETER_READ_TOKEN",
        "what the receiver asks for; as a flag every process of the machine can see it",
        secret,
        "TOKEN",
    ),
    Option("read-token-file", "JOBMETER_READ_TOKEN_FILE", "the file it is in", secret_file, "FILE"),
    Option(
        "runs",
        "JOBMETER_SIZE_RUNS",
        "the last runs that are looked at, of each leg of a matrix",
        run_count,
        "N",
        default=f"{_DEFAULT.runs}",
    ),
    Option(
        "days",
        "JOBMETER_SIZE_DAYS",
        "all runs of the last days instead of the last runs, of a job that the receiver knows",
        day_count,
        "N",
    ),
    Option(
        "buffer",
        "JOBMETER_SIZE_BUFFER",
        "what is added to the need of memory and to CPU",
        percent,
        "PERCENT",
        default=f"{_DEFAULT.buffer_percent:g}",
    ),
    Option(
        "cpu-percentile",
        "JOBMETER_SIZE_CPU_PERCENTILE",
        "which statistic of a run's CPU use is requested",
        metavar="WHICH",
        choices=CPU_PERCENTILES,
        default=_DEFAULT.cpu_percentile,
    ),
    Option(
        "format",
        "JOBMETER_SIZE_FORMAT",
        "how to say it",
        metavar="FORM",
        choices=get_args(Form),
        default="text",
    ),
    Option(
        "patch",
        "JOBMETER_SIZE_PATCH",
        "show how this manifest, compose file or .gitlab-ci.yml changes, as a unified diff",
        metavar="FILE",
    ),
    Option("write", "JOBMETER_SIZE_WRITE", "make that change instead of showing it", None),
    Option(
        "width",
        "JOBMETER_WIDTH",
        "columns of the text, from 40; it uses up to 160",
        columns,
        "N",
        default="the terminal's, else $COLUMNS, else 80",
    ),
)


class SizeSettings(Struct, frozen=True, kw_only=True):
    """Settings of `jobmeter size`; ``files`` may be one that is a job."""

    problems: tuple[str, ...] = ()
    files: tuple[str, ...]
    receiver: str | None = None
    read_token: str | None = None
    runs: int = _DEFAULT.runs
    days: int | None = None
    buffer: float = _DEFAULT.buffer_percent
    cpu_percentile: CpuPercentile = _DEFAULT.cpu_percentile
    format: Form = "text"
    patch: str | None = None
    write: bool = False
    width: int | None = None

    @property
    def parameters(self) -> Parameters:
        """How the advice is to be made."""
        return Parameters(
            runs=self.runs,
            days=self.days,
            buffer_percent=self.buffer,
            cpu_percentile=self.cpu_percentile,
        )


def size_settings(argv: Sequence[str], environ: Mapping[str, str]) -> SizeSettings:
    """Settings of `size`."""
    invocation = parse(SIZE_OPTIONS, argv, environ, stop_at_first=False)
    invocation.merge_file("read_token")
    values, rest, problems, flags = invocation
    if not rest:
        raise UsageError(f"size takes a job that a receiver knows, or journals and summaries: {_USAGE}")
    if {"format", "patch"} <= flags:
        raise UsageError("--patch shows a change of a file, --format another form: leave one of them out")
    if "format" in flags:
        values.pop("patch", None)
    if "write" in flags and "patch" not in values:
        raise UsageError("--write needs --patch FILE: it says which file to change")
    return SizeSettings(files=tuple(rest), problems=tuple(problems), **values)


def job_of(word: str) -> Job | None:
    """The job of ``ORG/REPO/WORKFLOW/JOB``, where a slash within a name is written ``%2F``; None where it is none."""
    names = [unquote(part) for part in word.split("/")]
    if len(names) != 4 or not all(names):
        return None
    organization, repository, workflow, job = names
    return Job(organization=organization, repository=repository, workflow=workflow, job=job)
