"""argv in, exit code out. What a command needs is imported when it is called."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from jobmeter import __version__
from jobmeter.model.errors import JobmeterError

Handler = Callable[[Sequence[str], Mapping[str, str]], int]


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.config.settings import run_settings

    settings = run_settings(argv, environ)
    _tell(settings.problems)
    if settings.pid is not None:
        from jobmeter.apps.attach import attach

        return attach(settings, environ)
    from jobmeter.apps.run import run

    return run(settings, environ)


def _collector(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.collector import collect
    from jobmeter.config.settings import collector_settings

    settings = collector_settings(argv, environ)
    _tell(settings.problems)
    return collect(settings, environ)


def _report(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.report import report
    from jobmeter.config.settings import report_settings

    settings = report_settings(argv, environ)
    _tell(settings.problems)
    return report(settings, environ)


def _size(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.size import size
    from jobmeter.config.size import size_settings

    settings = size_settings(argv, environ)
    _tell(settings.problems)
    return size(settings, environ)


def _check(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.check import check
    from jobmeter.config.check import check_settings

    settings = check_settings(argv, environ)
    _tell(settings.problems)
    return check(settings, environ)


def _receiver(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.config.receiver import receiver_settings

    settings = receiver_settings(argv, environ)
    from jobmeter.apps.receiver import receive

    return receive(settings)


def _exporter(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.config.exporter import exporter_settings

    settings = exporter_settings(argv, environ)
    from jobmeter.apps.exporter import export

    return export(settings, environ)


def _gateway(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.config.gateway import gateway_settings

    settings = gateway_settings(argv, environ)
    from jobmeter.apps.gateway import gateway

    return gateway(settings)


def _referee(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.referee import referee
    from jobmeter.config.referee import referee_settings

    settings = referee_settings(argv, environ)
    _tell(settings.problems)
    return referee(settings, environ)


def _admin(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.config.admin import admin_settings

    settings = admin_settings(argv, environ)
    from jobmeter.apps.admin import admin

    return admin(settings)


def _mark(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.mark import mark

    return mark(argv, environ)


def _doctor(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from jobmeter.apps.doctor import doctor
    from jobmeter.config.settings import doctor_settings

    settings = doctor_settings(argv, environ)
    _tell(settings.problems)
    return doctor(settings, environ)


def _tell(problems: Sequence[str]) -> None:
    for problem in problems:
        print(f"jobmeter: {problem}", file=sys.stderr)


COMMANDS: dict[str, tuple[str, Handler]] = {
    "run": ("run a command and report what it used", _run),
    "collector": ("meter the containers of a job from a sidecar", _collector),
    "report": ("show a journal, a summary or a referee's evidence, or compare two runs", _report),
    "size": ("say what a job should request, and why", _size),
    "check": ("hold a run against the budgets of a file", _check),
    "receiver": ("store runs and answer questions about them", _receiver),
    "exporter": ("show every container of this host to Prometheus", _exporter),
    "gateway": ("stand between runners and a forge: one poller, and their metrics", _gateway),
    "referee": ("attach to a job what Prometheus saw during it", _referee),
    "admin": ("give out tokens, copy the receiver's database", _admin),
    "mark": ("begin a named section of the run", _mark),
    "doctor": ("say what can be measured here, and what it costs when not", _doctor),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every error of ours is one sentence on stderr and an exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words else "--help"
    if name in ("--version", "-V", "version"):
        print(f"jobmeter {__version__}")
        return 0
    try:
        if name in ("--help", "-h", "help") or name not in COMMANDS or _asks_for_help(name, words):
            return _help(name, words)
        return COMMANDS[name][1](words, os.environ)
    except JobmeterError as error:
        print(f"jobmeter {name}: {error}", file=sys.stderr)
        return _exit_code(name, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _exit_code(name: str, error: JobmeterError) -> int:
    # `run` keeps 0 to 124 for the command, as timeout(1) does.
    return max(125, error.exit_code) if name == "run" else error.exit_code


def _asks_for_help(name: str, words: Sequence[str]) -> bool:
    # Flags after the command of `run` are the command's own.
    first = words[:1] if name == "run" else words
    return any(word in ("--help", "-h") for word in first)


def _help(name: str, words: Sequence[str]) -> int:
    from jobmeter.config.help import command_help, overview

    if name in ("help", "--help", "-h") and words[:1] and words[0] in COMMANDS:
        name = words[0]
    if name in COMMANDS:
        print(command_help(name, COMMANDS[name][0]))
        return 0
    text = overview({command: about for command, (about, _) in COMMANDS.items()})
    if name in ("help", "--help", "-h"):
        print(text)
        return 0
    print(f"jobmeter: the command {name!r} is not known; accepted are {', '.join(COMMANDS)}", file=sys.stderr)
    return 2
