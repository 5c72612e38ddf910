"""The answer to "what should this job request?": its JSON form, field by field."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from jobmeter.model.sample import ByteLimit, Limit

Phase = Literal["unknown", "learning", "confident"]


class Cpu(Struct, frozen=True):
    """CPU of a container or of all; null is what is not known."""

    request_cores: Annotated[float | None, Meta(description="What to reserve.")] = None
    limit_cores: Annotated[float | None, Meta(description="From where to throttle.")] = None


class Memory(Struct, frozen=True):
    """Memory of a container or of all; null is what is not known."""

    request_bytes: Annotated[int | None, Meta(description="What to reserve.")] = None
    limit_bytes: Annotated[int | None, Meta(description="From where to kill.")] = None


class ContainerAdvice(Struct, frozen=True):
    """What one container should request."""

    name: Annotated[str, Meta(description="Its name, with * for what is new in each run.")]
    cpu: Annotated[Cpu, Meta(description="Of CPU.")]
    memory: Annotated[Memory, Meta(description="Of memory.")]


class Total(Struct, frozen=True):
    """What a machine must have for the job: the most that the containers of one run request together."""

    cpu: Annotated[Cpu, Meta(description="Of CPU.")]
    memory: Annotated[Memory, Meta(description="Of memory.")]


class Outlier(Struct, frozen=True):
    """A run far above the others. It counts for memory all the same."""

    run_uid: Annotated[str, Meta(description="Which run.")]
    container: Annotated[str, Meta(description="Which container.")]
    resource: Annotated[Literal["memory", "cpu"], Meta(description="memory in bytes, cpu in cores.")]
    value: Annotated[int | float, Meta(description="What it needed.")]
    median: Annotated[int | float, Meta(description="What half of the runs looked at did not exceed.")]
    ref: Annotated[str | None, Meta(description="Full git reference of the run, as refs/heads/main.")] = None
    end_time: Annotated[str | None, Meta(description="When the run ended.")] = None


class About(Struct, frozen=True, kw_only=True):
    """How much the advice is worth, and why."""

    confidence_phase: Annotated[
        Phase,
        Meta(description="unknown: no clean run; learning: one or two, or a kill unexplained; confident."),
    ]
    runs_analyzed: Annotated[int, Meta(description="Runs with a reading that were looked at.")]
    reason: Annotated[str, Meta(description="Why this phase, in sentences.")]
    buffer_percent: Annotated[float, Meta(description="As asked for.")]
    cpu_percentile: Annotated[str, Meta(description="As asked for.")]
    outliers: Annotated[tuple[Outlier, ...], Meta(description="Runs far above the others.")] = ()


class Backtest(Struct, frozen=True, kw_only=True):
    """How the advice would have done: each run judged by what the runs before it would have advised."""

    runs: Annotated[int, Meta(description="Runs judged: those that had a clean run before them.")]
    would_be_killed: Annotated[int, Meta(description="Runs that needed more memory than the limit advised.")]
    would_be_throttled: Annotated[int, Meta(description="Runs with a CPU peak above the limit advised.")]
    saved_memory_byte_seconds: Annotated[
        float | None,
        Meta(description="Memory requested today but not by the advice, by time; below 0 it asks for more."),
    ]
    saved_core_seconds: Annotated[float | None, Meta(description="The same of CPU.")]


class Evidence(Struct, frozen=True, kw_only=True):
    """What the advice for one container rests on; null is what is not known."""

    name: Annotated[str, Meta(description="Its name.")]
    runs: Annotated[int, Meta(description="Runs looked at that had it.")]
    clean_runs: Annotated[int, Meta(description="Those that went to their end, and nothing was killed.")]
    memory_need_bytes: Annotated[
        int | None, Meta(description="The highest of working set and process high water of any run.")
    ]
    memory_need_median_bytes: Annotated[int | None, Meta(description="The median of these runs.")]
    memory_charged_peak_bytes: Annotated[
        int | None, Meta(description="The most the kernel charged, page cache included: not a need.")
    ]
    memory_unread_runs: Annotated[
        int,
        Meta(description="Runs in which its memory could not be read: it needs what is requested or more."),
    ] = 0
    killed_runs: Annotated[int, Meta(description="Runs in which it was killed for want of memory.")]
    killed_at_bytes: Annotated[int | None, Meta(description="The highest memory that was not enough.")]
    cpu_cores: Annotated[
        float | None, Meta(description="The highest of the chosen statistic, with what was withheld.")
    ]
    cpu_peak_cores: Annotated[float | None, Meta(description="The highest peak, with what was withheld.")]
    throttled_cores: Annotated[
        float | None, Meta(description="The most CPU a limit withheld, averaged over a run.")
    ]
    memory_request_bytes: Annotated[int | None, Meta(description="What the newest run requested.")]
    memory_limit_bytes: Annotated[ByteLimit, Meta(description="What bound the newest run.")]
    cpu_request_cores: Annotated[float | None, Meta(description="What the newest run requested.")]
    cpu_limit_cores: Annotated[Limit, Meta(description="What bound the newest run.")]
    memory_rule: Annotated[str, Meta(description="What its request of memory is made of, in words.")] = ""
    cpu_rule: Annotated[str, Meta(description="The same of CPU.")] = ""
    in_total: Annotated[
        bool,
        Meta(description="false for one that is not part of the job as it runs now; the reason says why."),
    ] = True
    notes: Annotated[tuple[str, ...], Meta(description="What to know of it, one sentence each.")] = ()


class Advice(Struct, frozen=True, kw_only=True):
    """The whole answer."""

    containers: Annotated[tuple[ContainerAdvice, ...], Meta(description="By name.")]
    total: Annotated[Total, Meta(description="Of the whole job.")]
    meta: Annotated[About, Meta(description="How sure the advice is, and why.")]
    backtest: Annotated[Backtest | None, Meta(description="null where it was not asked for.")] = None
    evidence: Annotated[tuple[Evidence, ...], Meta(description="By name, as containers.")] = ()
