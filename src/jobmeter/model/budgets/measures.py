"""What a budget can be about: each measure reads one number out of a summary, or says why there is none."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from jobmeter.model.errors import UsageError
from jobmeter.model.memory_need import in_use_peak_bytes, memory_need_bytes
from jobmeter.model.quantities import format_bytes, format_duration, parse_bytes, parse_duration
from jobmeter.model.summary import ContainerSummary, Summary

_BLANK_IN_NUMBER = re.compile(r"(?<=[0-9.]) (?=[A-Za-zµ])|(?<=[a-z]) (?=[0-9])")
_PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_MAX_SECONDS = 1e9


class Reading(Struct, frozen=True):
    """What a run used of one measure, in its unit; ``value`` is None where nothing was read.

    A lower bound can prove that too much was used, never that it was not. ``why`` says what is missing, in words that
    follow a colon; ``what`` names what was read where the measure alone does not.
    """

    value: float | None = None
    is_lower_bound: bool = False
    why: str = ""
    what: str = ""


class Measure(NamedTuple):
    """One thing that can be budgeted: its key in the file, its name for people, and its unit as text."""

    key: str
    title: str
    read: Callable[[Summary], Reading]
    parse: Callable[[str], float]
    form: Callable[[float], str]


def reading_of(measure: Measure, summary: Summary, *, is_running: bool = False) -> Reading:
    """The measure of a run; of one whose end nobody saw it is a lower bound."""
    reading = measure.read(summary)
    if reading.value is None or reading.is_lower_bound:
        return reading
    if is_running:
        return replace(reading, is_lower_bound=True, why="the run goes on")
    if summary.exit.reason == "lost":
        return replace(reading, is_lower_bound=True, why="the end of the run was not seen")
    return reading


def memory_need(container: ContainerSummary) -> Reading:
    """The highest of what ticks saw in use and of what one process held, in bytes.

    Never the kernel's charged peak: page cache is in it, which a job does not need.
    """
    seen, process = in_use_peak_bytes(container), container.memory_high_water_bytes
    if seen is None and process is None:
        return Reading(why=f"no memory of {container.name} was read", what=container.name)
    why = f"of {container.name} only its largest process was read" if seen is None else ""
    if container.oom_kills:
        why = f"the kernel killed a process of {container.name}, which needed more memory than there was"
    of_process = process is not None and process > (seen or 0)
    what = f"the largest process of {container.name}" if of_process else container.name
    return Reading(memory_need_bytes(container), bool(why), why, what)


def _memory(summary: Summary) -> Reading:
    """The need of the container at the top that needs most."""
    needs = [memory_need(container) for container in at_the_top(summary)]
    if not needs:
        return Reading(why="no container was seen")
    most = max(needs, key=lambda need: -1.0 if need.value is None else need.value)
    unread = next((need for need in needs if need.value is None or need.is_lower_bound), None)
    if most.value is not None and unread is not None:
        return replace(most, is_lower_bound=True, why=unread.why)
    if most.value is not None and summary.exit.reason == "oom":
        return replace(most, is_lower_bound=True, why="the run was killed for want of memory")
    return most


def _cpu(summary: Summary) -> Reading:
    """CPU time of the containers, and what could be given to none of them."""
    if summary.cpu_seconds is None:
        if not summary.unattributed_cpu_seconds:
            return Reading(why="no CPU time was read")
        return Reading(summary.unattributed_cpu_seconds, True, "the CPU time of no container was read")
    total = summary.cpu_seconds + (summary.unattributed_cpu_seconds or 0.0)
    if summary.cpu_complete:
        return Reading(total)
    if any(box.cpu_source == "exit_records" for box in summary.containers):
        return Reading(total, True, "the kernel's exit records lack the end of each process")
    return Reading(total, True, "some processes may have ended unseen")


def _duration(summary: Summary) -> Reading:
    return Reading(summary.duration_seconds)


def _network(summary: Summary) -> Reading:
    """Bytes received and sent by the containers at the top."""
    containers = at_the_top(summary)
    if not containers:
        return Reading(why="no container was seen")
    counts = [(box, box.network_rx_bytes, box.network_tx_bytes) for box in containers]
    known = [count for _, *both in counts for count in both if count is not None]
    unread = next((box.name for box, *both in counts if None in both), None)
    why = "" if unread is None else f"the network of {unread} was not read; it may be shared with others"
    return Reading(sum(known), bool(why), why) if known else Reading(why=why)


def at_the_top(summary: Summary) -> list[ContainerSummary]:
    """Containers nested in no other that is known; all of them where they are nested in a circle."""
    boxes = summary.containers
    labels = Counter(label for box in boxes for label in {box.id, box.name})
    top = [
        box for box in boxes if box.parent is None or labels[box.parent] <= (box.parent in (box.id, box.name))
    ]
    return top or boxes


def _bytes(text: str) -> float:
    """As elsewhere, and as reports write it: ``2 GiB``."""
    short = _BLANK_IN_NUMBER.sub("", text.strip())
    try:
        return parse_bytes(short.removesuffix("B"))
    except UsageError:
        return parse_bytes(text)


def _seconds(text: str) -> float:
    """As elsewhere, and as reports write it: ``1 m 05 s``."""
    try:
        return parse_duration(_BLANK_IN_NUMBER.sub("", text.strip()))
    except UsageError:
        return parse_duration(text)


def _cpu_seconds(text: str) -> float:
    """A plain number too: the key says its unit."""
    if not _PLAIN_NUMBER.fullmatch(text.strip()):
        return _seconds(text)
    if float(text) > _MAX_SECONDS:
        raise UsageError(f"{text!r} is too long a time; at most 1e9 seconds are accepted")
    return float(text)


MEASURES = (
    Measure("memory", "peak memory need", _memory, _bytes, format_bytes),
    Measure("cpu_seconds", "CPU time", _cpu, _cpu_seconds, format_duration),
    Measure("duration", "duration", _duration, _seconds, format_duration),
    Measure("network", "network traffic", _network, _bytes, format_bytes),
)
BY_KEY: Mapping[str, Measure] = {measure.key: measure for measure in MEASURES}
