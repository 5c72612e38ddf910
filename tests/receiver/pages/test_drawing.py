"""The process that draws: begun when it is needed, alone, bounded, and replaced when it fails."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jobmeter.ops.problems import Problem
from jobmeter.receiver.pages import drawing as module
from jobmeter.receiver.pages.charts import Pair, figures, picture_response
from jobmeter.receiver.pages.drawing import Drawing
from jobmeter.report.charts import Chart, Sign

EVIL = "</script><script>alert(1)</script>&\"'\u2028"


def chart(title: str = "CPU", **mark: object) -> Chart:
    """Three points."""
    values = [{"x": place, "y": place, "name": title} for place in range(3)]
    spec = {
        "data": {"values": values},
        "mark": {"type": "line", "color": "var(--cpu)"} | mark,
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative", "title": title},
        },
    }
    return Chart("cpu", title, f"About {title}.", (Sign("mean", "cpu"),), spec)


def drawn(work: Callable[[Drawing], Awaitable[None]], **options: float) -> None:
    """Do that with a process of its own, which is gone afterwards."""

    async def run() -> None:
        drawing = Drawing(**options)
        try:
            await work(drawing)
        finally:
            await drawing.close()
            assert children() == []

    asyncio.run(run())


def children() -> list[int]:
    """The processes that draw for this one."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in found if b"drawing_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_pictures_come_from_one_process_and_are_kept() -> None:
    """Nothing is begun before the first; the same chart is drawn once; it is nicer than all others."""

    async def work(drawing: Drawing) -> None:
        assert children() == []
        one, other = await asyncio.gather(drawing.svg(chart()), drawing.svg(chart("memory")))
        assert one.startswith("<svg")
        assert "About memory." in other
        (pid,) = children()
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.nice(0) + 10)
        os.kill(pid, 9)
        assert await drawing.svg(chart()) == one

    drawn(work)


def test_nothing_of_the_working_directory_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write there could else do what the receiver may."""
    for name in ("msgspec.py", "vl_convert.py", "jobmeter.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)

    async def work(drawing: Drawing) -> None:
        assert (await drawing.svg(chart())).startswith("<svg")

    drawn(work)


def test_the_script_for_browsers_is_made_once() -> None:
    """Compressed, and with the one name that pages use."""

    async def work(drawing: Drawing) -> None:
        script = await drawing.script()
        assert await drawing.script() is script
        assert b"window.vegaEmbed=" in gzip.decompress(script)

    drawn(work)


def test_it_ends_when_nothing_is_drawn_and_begins_again() -> None:
    """So that an idle receiver holds no memory for it."""

    async def work(drawing: Drawing) -> None:
        await drawing.svg(chart())
        async with asyncio.timeout(20):
            while children():
                await asyncio.sleep(0.05)
        assert (await drawing.svg(chart("again"))).startswith("<svg")

    drawn(work, idle_seconds=0.05)


def test_a_process_that_was_killed_or_is_too_slow_is_replaced() -> None:
    """Who asked is told to try again, and then it is drawn."""

    async def work(drawing: Drawing) -> None:
        await drawing.svg(chart())
        (pid,) = children()
        os.kill(pid, 19)  # SIGSTOP
        drawing._answer_seconds = 0.2
        with pytest.raises(Problem, match="try again soon") as raised:
            await drawing.svg(chart("slow"))
        assert raised.value.status == 503
        drawing._answer_seconds = 30.0
        assert (await drawing.svg(chart("slow"))).startswith("<svg")

    drawn(work)


def test_what_cannot_be_drawn_is_said() -> None:
    """And the next chart is drawn by the same process."""

    async def work(drawing: Drawing) -> None:
        with pytest.raises(Problem, match="cannot be drawn") as raised:
            await drawing.svg(Chart("cpu", "CPU", "", (), {"mark": "no such mark"}))
        assert raised.value.status == 500
        assert (await drawing.svg(chart())).startswith("<svg")

    drawn(work)


def test_too_many_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who came before are served."""
    monkeypatch.setattr(module, "_MOST_WAITING", 2)

    async def work(drawing: Drawing) -> None:
        asked = [asyncio.create_task(drawing.svg(chart(str(number)))) for number in range(5)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(result, Problem) for result in results] == [False, False, True, True, True]

    drawn(work)


def test_pictures_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first; one that is larger than all room is drawn all the same."""
    monkeypatch.setattr(module, "_MOST_KEPT_BYTES", 10)

    async def work(drawing: Drawing) -> None:
        assert (await drawing.svg(chart())).startswith("<svg")
        assert not drawing._pictures

    drawn(work)


def picture(key: str, width: str) -> str:
    """Where a picture is."""
    return f'/p/{key}?a="&width={width}'


def test_a_figure_has_both_specifications_and_a_picture_for_who_runs_no_scripts() -> None:
    """No text in it can end the script early or begin another."""
    pair = Pair(chart(EVIL), chart("narrow"))
    figure = figures([pair], picture, Drawing())
    assert figure.count('<script type="application/json" data-width=') == 2
    assert figure.count("<script") == figure.count("</script>") == 2
    assert "\\u003c/script\\u003e" in figure
    assert (
        '<noscript><picture><source media="(max-width:640px)" srcset="/p/cpu?a=&quot;&amp;width=narrow">'
        in figure
    )


def test_without_the_library_one_sentence_says_what_brings_the_charts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages are there all the same, and name no script; who asks for a picture is told, too."""
    monkeypatch.setattr(module, "_version", lambda: None)
    drawing = Drawing()
    assert drawing.script_address is None
    told = figures([Pair(chart(), chart())], picture, drawing)
    assert "<figure" not in told
    assert "extra html" in told
    assert figures([], picture, drawing) == ""
    with pytest.raises(Problem, match="without the extra html"):
        asyncio.run(picture_response(chart(), drawing))
