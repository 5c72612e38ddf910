"""`jobmeter check`: holds a run against the budgets of a reviewed file."""

import os
import sys
from collections.abc import Mapping

from msgspec.structs import replace

from jobmeter.apps import outputs
from jobmeter.apps.check_base import History, Question, ReceiverHistory
from jobmeter.apps.load import Loaded, load
from jobmeter.apps.newest import newest
from jobmeter.config.check import CheckSettings, read_plan
from jobmeter.model.budgets.judgement import Base, Judgement, base_of, judge
from jobmeter.model.budgets.plan import Plan, Terms
from jobmeter.model.errors import JobmeterError, JournalError, SendError
from jobmeter.model.history.usual import EARLIER_RUNS
from jobmeter.model.summary import Summary

EXCEEDED = 3
_NO_LISTS = 0


def check(settings: CheckSettings, environ: Mapping[str, str]) -> int:
    """Say what became of each budget, on stdout and in the files that were named; 3 where the check fails."""
    for flag in ("markdown", "junit", "code_quality"):
        outputs.check_file(f"--{flag.replace('_', '-')}", getattr(settings, flag))
    plan = read_plan(settings.budgets)
    file = settings.file or _newest(environ)
    run = load(file, settings.run, _NO_LISTS)
    history = ReceiverHistory(settings.receiver, settings.read_token) if settings.receiver else None
    judgement = _judge(run, plan, settings, history)
    _print(judgement, settings, environ)
    _write(judgement, settings, environ)
    return EXCEEDED if judgement.failed else 0


def _newest(environ: Mapping[str, str]) -> str:
    """The journal of the job that the environment names; another job's run is not judged. Raises JournalError."""
    found = newest(environ)
    if found.is_other:
        raise JournalError(f"{found.remark}: name the journal that is to be checked, {found.path} or another")
    if found.remark is not None:
        outputs.say(found.remark)
    return found.path


def _judge(run: Loaded, plan: Plan, settings: CheckSettings, history: History | None) -> Judgement:
    terms = plan.terms(run.summary.job)
    if settings.report_only:
        terms = replace(terms, fail=False)
    base = _base(run.summary, plan, settings.base or plan.base, terms, history)
    return judge(run.summary, terms, base, is_running=run.running, fail_on_unknown=plan.fail_on_unknown)


def _base(summary: Summary, plan: Plan, branch: str | None, terms: Terms, history: History | None) -> Base:
    """The base branch's runs, where a budget is about them; nobody is asked for what no budget needs."""
    job = summary.job
    name = branch or job.base_ref
    if not any(budget.is_relative for budget in terms.budgets):
        return Base()
    if name is None:
        return Base(problem="the base branch is not known; base in the file or --base names it")
    ref = name if name.startswith("refs/") else f"refs/heads/{name}"
    if history is None:
        return Base(ref=ref, problem="no receiver was named; --receiver or $JOBMETER_RECEIVER does")
    if job.repository is None or job.job is None:
        return Base(ref=ref, problem="the run does not say of which repository and job it is")
    question = Question(job, ref, summary.start_time, summary.run_uid, plan.runs + EARLIER_RUNS)
    try:
        return base_of(ref, history.runs(question), plan.runs)
    except SendError as error:
        return Base(ref=ref, problem=str(error))


def _print(judgement: Judgement, settings: CheckSettings, environ: Mapping[str, str]) -> None:
    from jobmeter.report.check_terminal import render_check

    width = settings.width or outputs.terminal_columns(sys.stdout, environ)
    colour = sys.stdout.isatty() and "NO_COLOR" not in environ and environ.get("TERM") != "dumb"
    sys.stdout.write(render_check(judgement, width=max(40, min(width, 160)), colour=colour))
    on_github = settings.annotations == "auto" and environ.get("GITHUB_ACTIONS") == "true"
    if on_github or settings.annotations == "github":
        from jobmeter.report.check_annotations import github_annotations

        sys.stdout.write(github_annotations(judgement, _in_repository(settings.budgets)))
    sys.stdout.flush()


def _write(judgement: Judgement, settings: CheckSettings, environ: Mapping[str, str]) -> None:
    """Raises JobmeterError for a file that was named and cannot be written."""
    step_summary = environ.get("GITHUB_STEP_SUMMARY")
    # In a container the variable may name a place of the machine around it.
    if step_summary and settings.markdown is None and os.path.isdir(os.path.dirname(step_summary) or "."):
        from jobmeter.report.check_markdown import check_markdown

        outputs.attempt(
            step_summary, lambda: outputs.append_markdown(step_summary, check_markdown(judgement))
        )
    try:
        _write_named(judgement, settings)
    except OSError as error:
        raise JobmeterError(f"{error.filename} could not be written: {error.strerror}") from None


def _write_named(judgement: Judgement, settings: CheckSettings) -> None:
    if settings.markdown is not None:
        from jobmeter.report.check_markdown import check_markdown

        outputs.append_markdown(settings.markdown, check_markdown(judgement))
    if settings.junit is not None:
        from jobmeter.report.check_junit import check_junit

        outputs.write_file(settings.junit, check_junit(judgement))
    if settings.code_quality is not None:
        from jobmeter.report.check_annotations import code_quality

        outputs.write_file(settings.code_quality, code_quality(judgement, _in_repository(settings.budgets)))


def _in_repository(path: str) -> str:
    """The file's path below the working directory, which is the repository's top in a job; else as it was named."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
