"""Which series are those of a job: matchers of PromQL, by the executor that ran it or from a template."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_META = re.compile(r"([\\.+*?()|\[\]{}^$])")
_PORT = re.compile(r":[0-9]{1,5}$")
# Of a template: a matcher with its operator and its text in quotes, or anything else that is one placeholder.
_MATCHER = re.compile(r"""(=~|!~|!=|=)(\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_ONE = r"""\s*[A-Za-z_]\w*\s*(?:=~|!~|!=|=)\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*"""
_MATCHERS = re.compile(rf"{_ONE}(?:,{_ONE})*,?\s*", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


class Executor(Protocol):
    """What tells the series of a job from others: the two questions that GitLab's runner asks an executor.

    A new executor is one small class, or ``label_name`` and ``label_value`` of the configuration.
    """

    def metrics_label_name(self) -> str:
        """The name of a label, as ``instance``."""

    def metrics_label_value(self) -> str:
        """Its value, as ``shared-runner-1234``."""


@dataclass(frozen=True)
class Labelled:
    """An executor by a label and its value."""

    label_name: str
    label_value: str

    def metrics_label_name(self) -> str:
        """As it was said."""
        return self.label_name

    def metrics_label_value(self) -> str:
        """As it was said."""
        return self.label_value


@dataclass(frozen=True)
class Host:
    """docker, docker+machine and shell: all that a host shows is its job's. ``host`` may have a port."""

    host: str

    def metrics_label_name(self) -> str:
        """What Prometheus itself gives to all series of a target."""
        return "instance"

    def metrics_label_value(self) -> str:
        """The host."""
        return self.host


@dataclass(frozen=True)
class Pod:
    """kubernetes: a pod, which is of one job."""

    pod: str

    def metrics_label_name(self) -> str:
        """As cAdvisor and kube-state-metrics call it."""
        return "pod"

    def metrics_label_value(self) -> str:
        """The pod's name."""
        return self.pod


@dataclass(frozen=True)
class Container:
    """A container that `jobmeter exporter` shows, by the engine's id."""

    container_id: str

    def metrics_label_name(self) -> str:
        """As the exporter calls it."""
        return "id"

    def metrics_label_value(self) -> str:
        """The whole id."""
        return self.container_id


EXECUTORS: Mapping[str, Callable[[str], Executor]] = {
    "docker": Host,
    "docker+machine": Host,
    "shell": Host,
    "kubernetes": Pod,
    "container": Container,
}
"""By the words of the configuration; ``custom`` is Labelled."""


def values_of(job: Job, task: str | None) -> dict[str, str | None]:
    """What placeholders of a selector stand for; None is what is not known of this job."""
    return {
        "runner_name": job.runner,
        "task_id": task,
        "repository": job.repository,
        "workflow": job.workflow,
        "job": job.job,
        "run_id": job.run_id,
    }


PLACEHOLDERS = tuple(values_of(Job(), None))


def selector_of(executors: Iterable[Executor], values: Mapping[str, str | None]) -> str:
    """The matchers of all of these together, without braces; their values may have placeholders.

    Raises UsageError for a label that there cannot be, and for a value that is not known.
    """

    def value_of(executor: Executor) -> str:
        return _PLACEHOLDER.sub(lambda found: _known(found, values), executor.metrics_label_value())

    return ",".join(matcher(one.metrics_label_name(), value_of(one)) for one in executors)


def matcher(name: str, value: str) -> str:
    """One matcher. Raises UsageError.

    A host is matched with or without a port, unless it has one: ``instance`` is ``host:9100`` where nobody changed it.
    """
    check_label(name)
    check_text(value)
    if name == "instance" and not _PORT.search(value):
        return f"{name}=~{_quoted(_as_pattern(value) + '(:[0-9]+)?')}"
    return f"{name}={_quoted(value)}"


def check_label(name: str) -> None:
    """Raises UsageError for what is no name of a label."""
    if not _LABEL.fullmatch(name):
        raise UsageError(f"{name[:60]!r} is no name of a label; accepted are letters, digits and _")


def check_text(text: str) -> None:
    """Raises UsageError for text that cannot be sent."""
    if not text:
        raise UsageError("the label's value is empty; accepted is a text")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise UsageError(f"{text[:60]!r} is not UTF-8")


def bare(selector: str) -> str:
    """A selector without the braces that somebody may have written around it."""
    selector = selector.strip()
    if selector.startswith("{") and selector.endswith("}"):
        return selector[1:-1].strip()
    return selector


def placeholders(template: str) -> list[str]:
    """The names in the braces of a template, in their order."""
    return _PLACEHOLDER.findall(template)


def check_placeholders(text: str) -> None:
    """Raises UsageError for a placeholder that is not known."""
    for name in placeholders(text):
        if name not in PLACEHOLDERS:
            raise UsageError(f"{{{name}}} is not known; accepted are {', '.join(map(_braced, PLACEHOLDERS))}")


def check_template(template: str) -> None:
    """Raises UsageError for a placeholder that is not known, or stands outside of quotes."""
    check_placeholders(template)
    for name in placeholders(_MATCHER.sub("", template)):
        raise UsageError(
            f'{{{name}}} stands outside of quotes; accepted is a matcher, as runner="{{{name}}}"'
        )
    if template and not _MATCHERS.fullmatch(template):
        raise UsageError(
            f"{template[:60]!r} is none; accepted are matchers of PromQL with commas between them, as "
            '\'instance="runner-1",env=~"ci|test"\''
        )


def fill(template: str, values: Mapping[str, str | None]) -> str:
    """The selector of a template such as ``runner="{runner_name}"``; a value cannot get out of its quotes.

    In a pattern (``=~``) it stands for itself. Raises UsageError for a value that is not known.
    """

    def filled(match: re.Match[str]) -> str:
        operator, blank, text = match.groups()
        pattern = operator in ("=~", "!~")

        def value(found: re.Match[str]) -> str:
            known = _known(found, values)
            return "".join(_escaped(_as_pattern(known) if pattern else known, text[0]))

        return f"{operator}{blank}{_PLACEHOLDER.sub(value, text)}"

    return _MATCHER.sub(filled, template)


def _known(found: re.Match[str], values: Mapping[str, str | None]) -> str:
    value = values.get(found[1])
    if not value:
        raise UsageError(f"{found[0]} of the selector is not known of this job")
    return value


def _quoted(text: str) -> str:
    escaped = "".join(_escaped(text, '"'))
    return f'"{escaped}"'


def _escaped(text: str, quote: str) -> Iterator[str]:
    """As within such quotes of PromQL."""
    for sign in text:
        if sign in ("\\", quote):
            yield f"\\{sign}"
        elif sign.isprintable():
            yield sign
        else:
            yield f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def _as_pattern(text: str) -> str:
    """A pattern that only this text is; what is escaped is what RE2 lets one escape."""
    return _META.sub(r"\\\1", text)


def _braced(name: str) -> str:
    return f"{{{name}}}"
