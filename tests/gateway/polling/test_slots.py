"""Who holds which slot: the rules told once more, task by task, over any history; and each ending by name."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.gateway.polling import slots as slots_module
from jobmeter.gateway.polling.slots import LONG_SILENT_SECONDS, SILENT_SECONDS, Ended, Holder, Slots, Why

LOST_AFTER = 10.0
DONE_AFTER = 5.0
IDS = ["1", "2", "3", "4"]
SETTLING: list[Why] = ["final", "terminal", "over"]
UNSETTLING: list[Why] = ["returned"]

Kind = Literal["take", "sign", "end", "asked", "lose"]


class Event(NamedTuple):
    """One call, ``at`` a time; of no task where it is for all."""

    kind: Kind
    at: float
    task_id: str = ""
    why: Why = "final"


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Any calls in the order of time, within less than SILENT_SECONDS."""
    at, events = 0.0, list[Event]()
    kinds: list[Kind] = ["take", "sign", "end", "asked", "lose"]
    for _ in range(draw(st.integers(0, 40))):
        at += draw(st.sampled_from([0.0, 1.0, 2.0, 2.5]))
        why = draw(st.sampled_from(SETTLING + UNSETTLING))
        events.append(Event(draw(st.sampled_from(kinds)), at, draw(st.sampled_from(IDS)), why))
    return events


def at(event: Event) -> float:
    """By which events are put in order."""
    return event.at


def slow(history: list[Event], task_id: str) -> tuple[Holder | None, list[Ended]]:
    """One task by itself: what it holds after this history, and every slot it had before."""
    holder: Holder | None = None
    settled, had = False, list[Ended]()
    for event in history:
        mine = event.task_id == task_id
        ended: Why | None = None
        if event.kind == "take" and mine and holder is None:
            holder, settled = Holder(task_id, event.at), False
        elif event.kind == "sign" and mine and holder is not None:
            holder.last_sign = event.at
        elif event.kind == "sign" and mine and not settled:
            holder = Holder(task_id, event.at, last_sign=event.at, adopted=True)
        elif event.kind == "end" and mine:
            ended = event.why
            settled = settled or event.why != "returned"
        elif event.kind == "lose" and holder is not None:
            heard = holder.since if holder.last_sign is None else holder.last_sign
            ended = "lost" if event.at - heard >= LOST_AFTER else None
        if ended is not None and holder is not None:
            had.append(Ended(holder, ended, event.at))
            holder = None
    return holder, had


def replay(slots: Slots, history: list[Event]) -> list[Ended]:
    """Make the calls; every slot that became free by one of them."""
    ended: list[Ended | None] = []
    for event in history:
        match event.kind:
            case "take":
                slots.take(event.task_id, event.at)
            case "sign":
                slots.sign(event.task_id, event.at)
            case "end":
                ended.append(slots.end(event.task_id, event.why, event.at))
            case "asked":
                ended += slots.asked(event.at)
            case "lose":
                ended += slots.lose(event.at)
    return [one for one in ended if one is not None]


@given(histories(), st.sampled_from([None, 1, 2, 3]))
def test_any_history_is_kept_as_the_rules_say(history: list[Event], capacity: int | None) -> None:
    """What each task holds and held, whatever the others do."""
    slots = Slots(capacity, LOST_AFTER)
    ended = replay(slots, history)
    expected = {task_id: slow(history, task_id) for task_id in IDS}
    assert dict(slots.held) == {task_id: holder for task_id, (holder, _) in expected.items() if holder}
    for task_id, (_, had) in expected.items():
        assert [one for one in ended if one.holder.task_id == task_id] == had


@given(histories(), st.sampled_from([None, 1, 2, 3]))
def test_free_and_held_are_the_capacity(history: list[Event], capacity: int | None) -> None:
    """Never below 0, also when more is held than may be; without a capacity nothing is refused."""
    slots = Slots(capacity, LOST_AFTER)
    replay(slots, history)
    if capacity is None:
        assert slots.free is None
        assert not slots.full
    else:
        assert slots.free == max(0, capacity - len(slots.held))
        assert slots.full == (len(slots.held) >= capacity)


@given(histories())
def test_the_next_loss_is_the_first(history: list[Event]) -> None:
    """Nothing is lost before that time, and something is at it."""
    slots = Slots(None, LOST_AFTER)
    replay(slots, history)
    due = slots.next_loss
    assert (due is None) == (not slots.held)
    if due is not None:
        assert slots.lose(due - 0.001) == []
        assert slots.lose(due) != []


def test_a_slot_is_held_from_the_hand_out_to_the_final_report() -> None:
    """And the time between is told."""
    slots = Slots(2)
    holder = slots.take("7", 100.0)
    assert holder == Holder("7", 100.0)
    assert slots.sign("7", 130.0) is None
    ended = slots.end("7", "final", 160.0)
    assert ended == Ended(Holder("7", 100.0, last_sign=130.0), "final", 160.0)
    assert ended.seconds == 60.0
    assert slots.end("7", "final", 161.0) is None


def test_the_same_task_twice_is_one() -> None:
    """A second delivery takes nothing."""
    slots = Slots(2)
    assert slots.take("7", 0.0) is not None
    assert slots.take("7", 1.0) is None
    assert slots.free == 1


def test_several_tasks_of_one_answer_take_a_slot_each() -> None:
    """More than were asked for, too."""
    slots = Slots(2)
    assert all(slots.take(task_id, 0.0) for task_id in IDS)
    assert len(slots.held) == 4
    assert slots.free == 0


def test_a_task_that_nobody_knows_is_adopted_over_capacity() -> None:
    """It runs; what we may ask for is less by one until it has ended."""
    slots = Slots(1)
    slots.take("7", 0.0)
    assert slots.sign("8", 5.0) == Holder("8", 5.0, last_sign=5.0, adopted=True)
    assert slots.end("7", "final", 6.0)
    assert slots.full
    assert slots.end("8", "final", 7.0)
    assert slots.free == 1


@pytest.mark.parametrize("why", SETTLING)
def test_late_reports_do_not_take_the_slot_again(why: Why) -> None:
    """A runner that was told that its job is cancelled sends its last rows, and its own idea of the result."""
    slots = Slots(1)
    slots.take("7", 0.0)
    slots.end("7", why, 1.0)
    assert slots.sign("7", 2.0) is None
    assert slots.free == 1


@pytest.mark.parametrize("why", ["asked", "lost", "returned"])
def test_what_we_only_thought_to_be_over_takes_its_slot_again(why: Why) -> None:
    """A sign is the better evidence: a runner that does two at a time, or was silent for long."""
    slots = Slots(1, LOST_AFTER, done_after_seconds=DONE_AFTER)
    slots.take("7", 0.0)
    slots.sign("7", 1.0)
    replay(slots, [Event("asked" if why == "asked" else "lose" if why == "lost" else "end", 20.0, "7", why)])
    assert not slots.held
    assert slots.sign("7", 21.0) is not None
    assert slots.full


def test_a_task_that_is_over_may_be_handed_out_anew() -> None:
    """The forge knows best."""
    slots = Slots(1)
    slots.end("7", "over", 0.0)
    assert slots.take("7", 1.0) is not None
    assert slots.sign("7", 2.0) is None
    assert slots.full


def test_a_runner_that_does_one_at_a_time_asks_for_the_next() -> None:
    """What it worked on is over when it is silent for as long as no work is; what it may never have got is not."""
    slots = Slots(1, done_after_seconds=DONE_AFTER)
    slots.take("7", 0.0)
    assert slots.asked(1.0) == []
    slots.sign("7", 2.0)
    slots.take("8", 3.0)
    assert slots.asked(2.0 + DONE_AFTER - 0.1) == []
    assert [(one.holder.task_id, one.why) for one in slots.asked(2.0 + DONE_AFTER)] == [("7", "asked")]
    assert slots.asked(1000.0) == []
    assert list(slots.held) == ["8"]


@pytest.mark.parametrize(
    "asked_at,signs,patience",
    [
        (2.0, [1.0, 3.0], SILENT_SECONDS),
        (2.0, [3.0, 4.0], DONE_AFTER),
        (1.0, [1.0, 4.0], DONE_AFTER),
    ],
    ids=["between two reports", "before the first, which an answer that was lost explains", "with a report"],
)
def test_a_runner_that_asks_at_work_has_more_slots_of_its_own(
    asked_at: float, signs: list[float], patience: float
) -> None:
    """It asks whatever becomes of its task, so that only a long silence says something."""
    slots = Slots(1, done_after_seconds=DONE_AFTER)
    slots.take("7", 0.0)
    replay(slots, sorted([Event("asked", asked_at), *(Event("sign", at, "7") for at in signs)], key=at))
    assert slots.asked(signs[-1] + patience - 0.1) == []
    assert [one.holder.task_id for one in slots.asked(signs[-1] + patience)] == ["7"]


@pytest.mark.parametrize("capacity", [None, 5])
def test_a_runner_that_may_do_several_asks_for_more(capacity: int | None) -> None:
    """That says nothing of the others, but of those that have been silent for longer than any runner is at work."""
    slots = Slots(capacity)
    slots.take("6", 0.0)
    slots.sign("7", 0.0)
    slots.sign("8", 0.0)
    slots.sign("9", 1.0)
    assert slots.asked(LONG_SILENT_SECONDS - 1.0) == []
    assert [(one.holder.task_id, one.why) for one in slots.asked(LONG_SILENT_SECONDS)] == [
        ("7", "asked"),
        ("8", "asked"),
    ]
    assert list(slots.held) == ["6", "9"]
    assert slots.sign("7", LONG_SILENT_SECONDS) is not None


def test_a_runner_that_asks_has_a_free_hand() -> None:
    """If all slots are held, the task that is silent the longest has ended where nobody heard it: one each time."""
    slots = Slots(3)
    slots.take("6", 0.0)
    slots.sign("7", 2.0)
    slots.sign("8", 1.0)
    assert slots.asked(SILENT_SECONDS) == []
    for at, task_ids in ((1.0, ["8"]), (2.0, []), (3.0, [])):
        assert [one.holder.task_id for one in slots.asked(SILENT_SECONDS + at)] == task_ids
    slots.sign("8", SILENT_SECONDS + 4.0)
    assert slots.full
    assert [(one.holder.task_id, one.why) for one in slots.asked(SILENT_SECONDS + 5.0)] == [("7", "asked")]


def test_silence_of_a_quarter_of_an_hour_is_a_loss() -> None:
    """Counted from the last sign, or from the hand-out if there was none."""
    slots = Slots(3)
    slots.take("7", 0.0)
    slots.take("8", 0.0)
    slots.sign("8", 300.0)
    assert slots.next_loss == 900.0
    assert slots.lose(899.0) == []
    assert [one.holder.task_id for one in slots.lose(900.0)] == ["7"]
    assert slots.next_loss == 1200.0


def test_what_a_former_process_knew_is_held() -> None:
    """After a restart in the midst of a job."""
    slots = Slots(2, held=[Holder("7", -100.0, last_sign=-5.0)])
    assert slots.free == 1
    assert slots.next_loss == 895.0


def test_memory_of_what_is_over_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ones of which something was heard stay; a report of one that was forgotten counts as any unknown."""
    monkeypatch.setattr(slots_module, "_MAX_REMEMBERED", 3)
    slots = Slots(None)
    for task_id in IDS:
        slots.end(task_id, "final", 0.0)
    slots.end("2", "over", 0.0)
    slots.end("5", "final", 0.0)
    assert len(slots._settled) == 3
    assert [task_id for task_id in IDS if slots.sign(task_id, 1.0) is None] == ["2", "4"]
