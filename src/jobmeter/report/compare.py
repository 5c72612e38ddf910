"""Two runs side by side: what changed, by how much, and which programs changed most."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from jobmeter.model.quantities import format_change
from jobmeter.model.summary import ContainerSummary, Summary
from jobmeter.report.figures import cores as cores_text
from jobmeter.report.figures import distinct_names, duration, size, total_cpu_seconds
from jobmeter.report.layout import UNKNOWN, Column, Line, paint, table
from jobmeter.report.markdown import escape_markdown
from jobmeter.report.notes import identity
from jobmeter.report.text import clean, wrap
from jobmeter.report.verdict import tone, verdict

_MAX_PROGRAMS = 8
# Changes smaller than this share are within what two runs of the same job differ by.
_NOISE = 0.05


class Change(Struct, frozen=True):
    """One number of two runs; None where a run does not have it."""

    name: str
    before: float | None
    after: float | None
    form: Callable[[float | None], str]

    @property
    def is_known(self) -> bool:
        """Whether a run has it."""
        return self.before is not None or self.after is not None

    @property
    def difference(self) -> str:
        """``+12.0 s``, ``-3 MiB`` or ``same``; empty unless both are known."""
        if self.before is None or self.after is None:
            return ""
        if self.before == self.after:
            return "same"
        sign = "+" if self.after >= self.before else "-"
        return sign + self.form(abs(self.after - self.before))

    @property
    def ratio(self) -> str:
        """``+18 %``; empty where a run does not have it, both are the same, or there was nothing before."""
        if self.before is None or self.after is None or self.before == self.after:
            return ""
        return format_change(self.before, self.after)

    @property
    def style(self) -> str:
        """How the change should look: more of a resource is a warning, less is good, noise is neither."""
        if not self.before or self.after is None or self.before < 0:
            return ""
        share = self.after / self.before - 1
        return "" if abs(share) < _NOISE else "warn" if share > 0 else "good"


def render_comparison(before: Summary, after: Summary, *, width: int = 80, colour: bool = False) -> str:
    """Two runs of a job in lines of at most ``width`` cells."""
    lines: list[Line] = []
    for label, summary in (("before", before), ("after", after)):
        first = f"{label:<8}"
        lines += [
            [(text, tone(summary))] for text in wrap(verdict(summary), width, first=first, indent=" " * 8)
        ]
        if identity(summary):
            lines.append([(" " * 8 + identity(summary), "faint")])
    for title, changes in groups(before, after):
        rows = _table(title, changes, width)
        lines += [[], *rows] if rows else []
    return paint(lines, width, colour=colour)


def compare_markdown(before: Summary, after: Summary) -> str:
    """The same as Markdown tables under a heading of level three."""
    blocks = [
        "### jobmeter: two runs compared",
        f"- before: {escape_markdown(verdict(before))}\n- after: {escape_markdown(verdict(after))}",
    ]
    for title, changes in groups(before, after):
        known = [change for change in changes if change.is_known]
        rows = [f"| {escape_markdown(title)} | before | after | difference | |", "|:--|--:|--:|--:|--:|"]
        rows += [
            f"| {escape_markdown(each.name)} | {each.form(each.before) or UNKNOWN} "
            f"| {each.form(each.after) or UNKNOWN} | {each.difference or UNKNOWN} | {each.ratio} |"
            for each in known
        ]
        blocks += ["\n".join(rows)] if known else []
    return "\n\n".join(blocks) + "\n"


def _table(title: str, changes: Sequence[Change], width: int) -> list[Line]:
    known = [change for change in changes if change.is_known]
    columns = [
        Column("before", [each.form(each.before) for each in known]),
        Column("after", [each.form(each.after) for each in known]),
        Column("difference", [each.difference for each in known], rank=1),
        Column("change", [each.ratio for each in known], blank=""),
    ]
    lines = table(title, [(each.name, "") for each in known], columns, width, name_width=22)
    for line, change in zip(lines[1:], known, strict=False):
        line[-1] = (line[-1][0], change.style)
    return lines


def groups(before: Summary, after: Summary) -> list[tuple[str, list[Change]]]:
    """What is compared: of the run, of each container by its name, of programs."""
    groups = [
        (
            "run",
            [
                Change("duration", before.duration_seconds, after.duration_seconds, duration),
                Change("CPU time", total_cpu_seconds(before), total_cpu_seconds(after), duration),
            ],
        )
    ]
    old, new = _by_name(before.containers), _by_name(after.containers)
    groups += [
        (clean(name), _container_changes(old.get(name), new.get(name)))
        for name in dict.fromkeys((*new, *old))
    ]
    return [*groups, ("programs, CPU time", _program_changes(before, after))]


def _by_name(containers: Sequence[ContainerSummary]) -> dict[str, ContainerSummary]:
    return dict(zip(distinct_names(containers), containers, strict=True))


def _container_changes(before: ContainerSummary | None, after: ContainerSummary | None) -> list[Change]:
    def change(
        name: str, value: Callable[[ContainerSummary], float | None], form: Callable[[float | None], str]
    ) -> Change:
        return Change(name, value(before) if before else None, value(after) if after else None, form)

    def notable(
        name: str, value: Callable[[ContainerSummary], float | None], form: Callable[[float | None], str]
    ) -> Change:
        found = change(name, value, form)
        return found if found.before or found.after else Change(name, None, None, form)

    return [
        change("CPU time", lambda box: box.cpu_seconds, duration),
        change("cores, average", lambda box: box.cpu_cores.avg, cores_text),
        change("cores, p95", lambda box: box.cpu_cores.p95, cores_text),
        change("cores, peak", lambda box: box.cpu_cores.peak, cores_text),
        notable("throttled", lambda box: box.throttled_seconds, duration),
        change("memory, average", lambda box: box.memory_bytes.avg, size),
        change("memory, peak", lambda box: box.memory_bytes.peak, size),
        change("largest process", lambda box: box.memory_high_water_bytes, size),
        change("with page cache", lambda box: box.memory_charged_peak_bytes, size),
        notable("read", lambda box: box.io_read_bytes, size),
        notable("written", lambda box: box.io_write_bytes, size),
        notable(
            "OOM kills",
            lambda box: box.oom_kills,
            lambda count: "" if count is None else f"{count:,}",
        ),
    ]


def _program_changes(before: Summary, after: Summary) -> list[Change]:
    """The programs whose CPU time changed most; one that a run does not list sorts as if it used none."""
    old = {program.name: program.cpu_seconds for program in before.programs}
    new = {program.name: program.cpu_seconds for program in after.programs}
    changes = [Change(name, old.get(name), new.get(name), duration) for name in dict.fromkeys((*new, *old))]
    changes = [change for change in changes if change.before != change.after]
    changes.sort(key=lambda each: -abs((each.after or 0) - (each.before or 0)))
    return changes[:_MAX_PROGRAMS]
