"""One run as Markdown for a job's summary page ($GITHUB_STEP_SUMMARY and its kin): text alone, no image."""

import re
from collections.abc import Sequence

from msgspec import structs

from jobmeter.model.summary import ContainerSummary, ProcessSummary, Summary
from jobmeter.model.timeline import Timeline
from jobmeter.report.columns import (
    busiest,
    cpu_columns,
    memory_columns,
    process_columns,
    program_columns,
    section_columns,
    wait_columns,
)
from jobmeter.report.figures import distinct_names, tree
from jobmeter.report.layout import Column, paint
from jobmeter.report.notes import identity, machine, meter, remarks
from jobmeter.report.terminal_timeline import timeline_lines
from jobmeter.report.text import clean, fit, plural
from jobmeter.report.verdict import cause, outcome, tone, verdict

MAX_MARKDOWN_BYTES = 1024 * 1024
_MAX_ROWS = 50
_MAX_NAME = 80
_MAX_SENTENCE = 600
_CHART_WIDTH = 96
_CUT = "\n\n_The report was cut here: it is longer than a summary page may be._\n"

_SIGNS = {"good": "✅", "bad": "❌", "warn": "⚠️", "bold": "📊"}
# What Markdown, its tables, mathematics, mentions and automatic links give a meaning to.
_SPECIAL = re.compile(r"[\\`*_\[\]<>&|#~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """Text from users so that Markdown shows it as it is: one line, every special sign an entity."""
    return _SPECIAL.sub(lambda sign: f"&#{ord(sign[0])};", clean(text))


def render_markdown(summary: Summary, timeline: Timeline | None) -> str:
    """The report, at most MAX_MARKDOWN_BYTES long: verdict, key table, text charts; details are folded."""
    blocks = [
        _opening(summary),
        _key_table(summary),
        _charts(summary, timeline),
        _sections(summary),
        _notes(summary),
        folded("Programs and processes", _programs(summary)),
        folded("All numbers per container", _all_numbers(summary)),
        "<sub>"
        + escape_markdown(" · ".join(part for part in (meter(summary), machine(summary)) if part))
        + "</sub>",
    ]
    return bounded("\n\n".join(block for block in blocks if block) + "\n", MAX_MARKDOWN_BYTES)


def bounded(text: str, limit: int) -> str:
    """The text, or its first whole lines that fit into ``limit`` bytes, open folds closed, saying so."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    closing = "\n```\n\n</details>\n" + _CUT
    room = encoded[: limit - len(closing.encode())]
    kept = room[: room.rfind(b"\n") + 1].decode(errors="ignore")
    fence = "\n```\n" if kept.count("```") % 2 else ""
    fold = "\n</details>\n" if kept.count("<details>") > kept.count("</details>") else ""
    return kept + fence + fold + _CUT


def _opening(summary: Summary) -> str:
    happened = outcome(summary)
    facts = verdict(summary).removeprefix(clean(happened))
    name = identity(summary)
    lines = [
        "### jobmeter" + (f": {escape_markdown(fit(name, 2 * _MAX_NAME))}" if name else ""),
        "",
        f"{_SIGNS[tone(summary)]} **{escape_markdown(happened)}**{escape_markdown(facts)}",
    ]
    why = cause(summary)
    return "\n".join([*lines, "", f"Cause: {escape_markdown(fit(why, _MAX_SENTENCE))}"] if why else lines)


def _key_table(summary: Summary) -> str:
    ordered, names = _containers(summary)
    cpu = {column.title: column for column in cpu_columns(summary, ordered)}
    chosen = [
        _renamed(cpu["avg"], "cores avg"),
        _renamed(cpu["p95"], "p95"),
        _renamed(cpu["peak"], "peak"),
        _renamed(cpu["limit"], "CPU limit"),
        cpu["throttled"],
        cpu["CPU time"],
    ]
    for column in memory_columns(ordered):
        if column.title in ("working set", "RSS sum", "in use"):
            chosen.append(_renamed(column, f"memory peak ({column.title})"))
        elif column.title != "with page cache":
            chosen.append(_renamed(column, column.title.replace("limit", "memory limit", 1)))
    return table("container", names, chosen) + _more(summary.containers, "container")


def _renamed(column: Column, title: str) -> Column:
    return structs.replace(column, title=title)


def _containers(summary: Summary) -> tuple[list[ContainerSummary], list[str]]:
    ordered = tree(summary.containers)[:_MAX_ROWS]
    containers = [container for _, container in ordered]
    names = [
        "&nbsp;&nbsp;" * (depth - 1) + "└ " * (depth > 0) + _name(name)
        for (depth, _), name in zip(ordered, distinct_names(containers), strict=True)
    ]
    return containers, names


def _name(name: str) -> str:
    return escape_markdown(fit(clean(name), _MAX_NAME))


def table(title: str, names: Sequence[str], columns: Sequence[Column]) -> str:
    """A table of names that are escaped already; columns without any value are left out."""
    shown = [column for column in columns if any(column.cells)]
    if not shown or not names:
        return ""
    lines = [
        f"| {title} | " + " | ".join(column.title for column in shown) + " |",
        "|:--|" + "".join(":--|" if column.left else "--:|" for column in shown),
    ]
    for i, name in enumerate(names):
        lines.append(f"| {name} | " + " | ".join(_name(column.cell(i)) for column in shown) + " |")
    return "\n".join(lines)


def _more(rows: Sequence[object], noun: str) -> str:
    hidden = len(rows) - _MAX_ROWS
    return f"\n\n… and {plural(hidden, noun)} more." if hidden > 0 else ""


def _charts(summary: Summary, timeline: Timeline | None) -> str:
    lines = timeline_lines(summary, timeline, _CHART_WIDTH)
    text = paint(lines, _CHART_WIDTH, colour=False).replace("`", "'")
    return f"```text\n{text}```" if text else ""


def _sections(summary: Summary) -> str:
    shown = summary.sections[:_MAX_ROWS]
    rows = table("section", [_name(each.name) for each in shown], section_columns(shown))
    return rows + _more(summary.sections, "section") if rows else ""


def _notes(summary: Summary) -> str:
    return "\n".join(f"- {escape_markdown(fit(each.text, _MAX_SENTENCE))}" for each in remarks(summary))


def folded(title: str, text: str) -> str:
    """Markdown that is shown when its title is clicked; nothing when there is none."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>" if text else ""


def _programs(summary: Summary) -> str:
    programs = summary.programs[:_MAX_ROWS]
    tables = [
        table("programs", [_name(each.name) for each in programs], program_columns(programs))
        + _more(summary.programs, "program"),
        _processes("by CPU", summary, busiest(summary.top_cpu_processes)),
        _processes("by memory", summary, summary.top_mem_processes),
    ]
    return "\n\n".join(each for each in tables if each)


def _processes(title: str, summary: Summary, processes: Sequence[ProcessSummary]) -> str:
    shown = processes[:_MAX_ROWS]
    columns = process_columns(shown, containers=len(summary.containers) > 1)
    return table(f"processes {title}", [_name(each.name) for each in shown], columns)


def _all_numbers(summary: Summary) -> str:
    ordered, names = _containers(summary)
    tables = [
        table("CPU cores", names, cpu_columns(summary, ordered)),
        table("memory peaks", names, memory_columns(ordered)),
        table("waited", names, wait_columns(ordered)),
    ]
    return "\n\n".join(each for each in tables if each)
