"""Where the advice of `jobmeter size` comes from: a receiver that knows the job, or files of its runs."""

import os
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple
from urllib.parse import quote, urlencode

from jobmeter.apps.asking import ask
from jobmeter.apps.load import load
from jobmeter.apps.outputs import say
from jobmeter.config.size import SizeSettings, job_of
from jobmeter.model import summary as summaries
from jobmeter.model.errors import JournalError, UsageError
from jobmeter.model.job import Job
from jobmeter.model.sizing.advise import answer
from jobmeter.model.sizing.answer import Advice
from jobmeter.model.sizing.parameters import Parameters
from jobmeter.model.sizing.payload import observe_payload
from jobmeter.model.summary import Summary
from jobmeter.transport import Endpoint

_PATH = "/api/v1/sizing/repo"
# A receiver may have to read a thousand runs for it.
_PATIENCE_SECONDS = 60.0
_NO_LISTS = 0


class Sized(NamedTuple):
    """A job and what it should request."""

    job: Job
    advice: Advice


def sized(settings: SizeSettings) -> Sized:
    """The advice for the job or for the files that were named.

    Raises UsageError, JournalError for a file that is no run, SendError for a receiver that does not answer.
    """
    first, *others = settings.files
    if others or first == "-" or os.path.exists(first):
        if settings.parameters.days is not None:
            raise UsageError(
                "--days asks a receiver that knows the job; files are all looked at, whatever their days"
            )
        return _by_files(settings.files, settings.parameters)
    job = job_of(first)
    if job is None:
        raise UsageError(
            f"{first!r} is no file, and no job: that is ORG/REPO/WORKFLOW/JOB, with %2F for a slash within a name"
        )
    if settings.receiver is None:
        raise UsageError(
            f"{first!r} is no file, and no receiver was named to ask for such a job; "
            "--receiver or $JOBMETER_RECEIVER does"
        )
    with closing(Endpoint(settings.receiver, settings.read_token)) as endpoint:
        return Sized(job, _asked(endpoint, job, settings.parameters))


def _asked(endpoint: Endpoint, job: Job, parameters: Parameters) -> Advice:
    names = (job.organization, job.repository, job.workflow, job.job)
    query = {
        "runs": parameters.runs,
        "buffer": f"{parameters.buffer_percent:g}",
        "cpu_percentile": parameters.cpu_percentile,
    }
    if parameters.days is not None:
        query["days"] = parameters.days
    path = "/".join((_PATH, *(quote(name or "", safe="") for name in names)))
    return ask(endpoint, f"{path}?{urlencode(query)}", Advice, "sizing advice", _PATIENCE_SECONDS)


def _by_files(files: Sequence[str], parameters: Parameters) -> Sized:
    """By one run of each file, of a journal with several the last; a run that is in two of them counts once."""
    runs: dict[str, Summary] = {}
    for file in files:
        found = load(file, None, _NO_LISTS)
        if found.running:
            say(f"{file} is left out: its run goes on")
        else:
            runs[found.summary.run_uid] = found.summary
    observations = []
    for run in runs.values():
        observation = observe_payload(summaries.encode(run), run_uid=run.run_uid, end_time=run.end_time)
        if observation is None:
            raise JournalError(f"the run {run.run_uid} has numbers that no machine has")
        observations.append(observation)
    return Sized(_one_job(list(runs.values())), answer(observations, parameters))


def _one_job(runs: Sequence[Summary]) -> Job:
    """The job that all of them are runs of. Raises UsageError."""
    jobs = {
        (job.organization, job.repository, job.workflow, job.job): None for job in (run.job for run in runs)
    }
    if len(jobs) > 1:
        known = " and ".join("/".join(name or "?" for name in names) for names in list(jobs)[:2])
        raise UsageError(f"the files are of several jobs, as {known}; one request is for one job")
    organization, repository, workflow, job = next(iter(jobs), (None, None, None, None))
    return Job(organization=organization, repository=repository, workflow=workflow, job=job)
