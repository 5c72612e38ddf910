"""A block gives back the text it was made of, whatever that is, and takes little room where it is records."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobmeter.model import wire
from jobmeter.model.sample import ContainerSample, Sample
from jobmeter.receiver.store.block import coding, shapes
from jobmeter.receiver.store.block.coding import BEGINS, Damaged, Encoder, decoded

GOLDEN = Path(__file__).parents[3] / "golden/journal_v1.jsonl"


def block(*pieces: bytes) -> bytes:
    """Of text that comes in these pieces."""
    encoder = Encoder()
    for piece in pieces:
        encoder.add(piece)
    return encoder.block()


def back(*pieces: bytes) -> bytes:
    """What comes back."""
    return b"".join(decoded(block(*pieces)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=12), st.integers(1, 9), st.integers(1, 400))
def test_any_json_comes_back(values, times, cut):
    """However often its shapes come, and wherever it is cut."""
    text = b"".join(msgspec.json.encode(value) + b"\n" for value in values) * times
    assert back(*(text[place : place + cut] for place in range(0, len(text), cut))) == text


TOKENS = (
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    ".",
    "0",
    "00",
    "1",
    "9" * 18,
    "e5",
    "%",
    "\\x00",
    "\n",
    '"a"',
    "é",
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=60), st.integers(1, 6))
def test_what_is_no_json_comes_back(tokens, times):
    """It may look like it."""
    text = "".join(tokens).encode() * times
    assert back(text) == text


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_come_back(text):
    """Nothing is assumed of them."""
    assert back(text) == text


NUMBERS = (
    b"0 -0 0.0 -0.0 -1 1.0 1.50 0.5 -0.5 0.000001 0.0000001 1e5 -0.000001 01 999999999999999999 1000000000000000000 "
    b"-999999999999999999 999999999999.999999 9999999999999.5 123456.654321 -12.100 .5 5. 9223372036854775808"
).split()


@pytest.mark.parametrize("number", NUMBERS, ids=bytes.decode)
def test_a_number_comes_back_as_it_was_written(number):
    """Also one that would not be written so again."""
    text = b"".join(b'{"a":%s,"b":[%s,%d]}\n' % (number, number, one) for one in range(9))
    assert back(text) == text


@pytest.mark.parametrize("grown", [0, 1, 10**17, -(10**17)])
def test_columns_that_jump_as_far_as_they_can_come_back(grown):
    """Differences of differences need more bits than the numbers."""
    chance = random.Random(1)
    numbers = [chance.choice((-1, 1)) * (10**18 - 1) + 0 * grown for _ in range(50)] + [grown] * 50
    text = b"".join(b'{"a":%d}\n' % number for number in numbers)
    assert back(text) == text


def test_more_shapes_than_are_counted_come_back(monkeypatch):
    """Those above are kept as they are, among the others."""
    monkeypatch.setattr(shapes, "_MOST_SHAPES", 3)
    lines = [b'{"%d":%d}\n' % (one % 7, one) for one in range(100)]
    assert back(*lines) == b"".join(lines)


def test_a_journal_comes_back():
    """Each kind of record."""
    assert back(GOLDEN.read_bytes()) == GOLDEN.read_bytes()


def samples(ticks: int) -> bytes:
    """CPU and memory of a container, one tick a second: as a journal has them."""
    chance = random.Random(7)
    lines, cpu, memory = [], 0.0, 200
    for tick in range(ticks):
        cpu += max(0.0, chance.gauss(0.8, 0.1))
        memory = max(0, memory + round(chance.gauss(0, 40)))
        used = ContainerSample(key="a", cpu_seconds=round(cpu, 6), memory_bytes=4096 * memory)
        late = round(tick + abs(chance.gauss(0, 0.0005)), 6)
        sample = Sample(
            elapsed_seconds=late, due_seconds=float(tick), containers=(used,),
            unattributed_cpu_seconds=0.0, cpu_complete=True,
        )  # fmt: skip
        lines.append(wire.encode(wire.Tick(v=1, run_uid="u" * 36, sequence=tick, sample=sample)) + b"\n")
    return b"".join(lines)


def test_cpu_and_memory_take_few_bytes():
    """Their own and those of the time of the tick, which all containers share."""
    assert len(block(samples(3600))) / 3600 < 5.5


def test_pieces_are_of_bounded_size():
    """Those of a text without lines, too."""
    text = b"x" * 1_000_000
    assert max(map(len, decoded(block(text)))) <= 64 * 1024


def test_a_block_needs_memory_for_its_numbers_and_not_for_each_piece():
    """Of 4 MB of records it holds some, while it takes them and when it gives them back."""
    text = samples(20_000)
    tracemalloc.start()
    try:
        encoder = Encoder()
        for place in range(0, len(text), 64 * 1024):
            encoder.add(text[place : place + 64 * 1024])
        held = tracemalloc.get_traced_memory()[0]
        body = encoder.block()
        del encoder
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for _ in decoded(body):
            pass
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert held < len(text) / 2
    assert peak < len(text)


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_changed_byte_is_found_before_anything_is_given(place):
    """By the checksum."""
    body = bytearray(block(samples(50)))
    body[place % len(body)] ^= 0x55
    with pytest.raises(Damaged):
        next(decoded(bytes(body)))


def sealed(content: bytes) -> bytes:
    """A block with a checksum that fits."""
    return BEGINS + zlib.crc32(content).to_bytes(4) + content


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2000), st.integers(1, 255))
def test_what_was_never_made_is_one_error(place, change):
    """Whatever it is, with the right checksum: nothing but Damaged is raised, and no more memory taken than allowed."""
    content = bytearray(block(samples(20))[len(BEGINS) + 4 :])
    content[place % len(content)] ^= change
    try:
        for _ in decoded(sealed(bytes(content))):
            pass
    except Damaged:
        pass


def test_text_that_would_not_come_back_is_no_block(monkeypatch):
    """Its parts stay where they are then."""
    other = block(b"other")
    monkeypatch.setattr(coding, "_encoded", lambda found: other)
    encoder = Encoder()
    encoder.add(b"this")
    with pytest.raises(Damaged, match="does not come back"):
        encoder.block()
