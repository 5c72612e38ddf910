"""The encoding of a profile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.ops.pprof.profile import Frame, Label, Profile, Quantity, Sample, encode
from tests.ops.pprof.reading import go_pprof, read

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
FRAMES = st.builds(Frame, TEXTS, TEXTS, st.integers(0, 10**6), st.integers(0, 10**6))
LABELS = st.builds(Label, TEXTS, TEXTS, st.just(0), st.just("")) | st.builds(
    Label, TEXTS, st.just(""), INT64, st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
)


def profiles() -> st.SearchStrategy[Profile]:
    quantities = st.lists(st.builds(Quantity, TEXTS, TEXTS), min_size=1, max_size=3)
    return quantities.flatmap(
        lambda found: st.builds(
            Profile,
            st.just(tuple(found)),
            st.lists(
                st.builds(
                    Sample,
                    st.lists(FRAMES, max_size=5).map(tuple),
                    st.tuples(*[INT64] * len(found)),
                    st.lists(LABELS, max_size=3).map(tuple),
                ),
                max_size=5,
            ),
            INT64,
            INT64,
            st.sampled_from(found).map(lambda one: one.type),
            st.lists(TEXTS, max_size=3).map(tuple),
            st.none() | st.builds(Quantity, TEXTS, TEXTS),
            INT64,
        )
    )


def decoded(profile: bytes) -> Profile:
    """The profile that a message means."""
    message = read(profile)
    texts = list(message.string_table)
    functions = {one.id: one for one in message.function}
    places = {one.id: one for one in message.location}
    assert texts[0] == ""
    assert len(set(texts)) == len(texts)
    assert {one.mapping_id for one in places.values()} <= {message.mapping[0].id}

    def quantity(one: object) -> Quantity:
        return Quantity(texts[one.type], texts[one.unit])  # type: ignore[attr-defined]

    def frame(number: int) -> Frame:
        (line,) = places[number].line
        function = functions[line.function_id]
        return Frame(texts[function.name], texts[function.filename], line.line, function.start_line)

    def label(one: object) -> Label:
        return Label(texts[one.key], texts[one.str], one.num, texts[one.num_unit])  # type: ignore[attr-defined]

    return Profile(
        tuple(map(quantity, message.sample_type)),
        [
            Sample(tuple(map(frame, one.location_id)), tuple(one.value), tuple(map(label, one.label)))
            for one in message.sample
        ],
        message.time_nanos,
        message.duration_nanos,
        texts[message.default_sample_type],
        tuple(texts[one] for one in message.comment),
        quantity(message.period_type) if message.HasField("period_type") else None,
        message.period,
    )


@given(profiles())
def test_what_is_encoded_is_read_again(profile: Profile) -> None:
    """By protobuf; a period without a quantity is not written."""
    expected = profile if profile.period_of is not None else profile._replace(period=0)
    assert decoded(encode(profile)) == expected


def test_what_is_no_unicode_becomes_a_question_mark() -> None:
    """A file's name may be any bytes, which Python keeps as surrogates."""
    quantity = Quantity("cpu", "nanoseconds")
    frame = Frame("f", b"/tmp/\xff.py".decode(errors="surrogateescape"), 1)
    profile = Profile((quantity,), [Sample((frame,), (1,))], 0, 0, "cpu")
    assert decoded(encode(profile)).samples[0].stack == (Frame("f", "/tmp/?.py", 1),)


def test_go_reads_each_field_as_it_is_meant() -> None:
    """Values, their types, the first to be shown, labels, functions with brackets, files, lines, comments."""
    profile = Profile(
        (Quantity("samples", "count"), Quantity("cpu", "nanoseconds")),
        [
            Sample(
                (
                    Frame("Room.make.<locals>.inner", "/src/room.py", 7, 5),
                    Frame("<module>", "/src/main.py", 3),
                ),
                (2, 20_000_000),
                (Label("thread", "main"), Label("start", number=5, unit="nanoseconds")),
            )
        ],
        1_700_000_000_000_000_000,
        2_000_000_000,
        "samples",
        ("Nothing is true.",),
        Quantity("cpu", "nanoseconds"),
        10_000_000,
    )
    text = go_pprof(encode(profile), "-raw")
    for expected in (
        "Comment: Nothing is true.", "PeriodType: cpu nanoseconds", "Period: 10000000", "Duration: 2",
        "samples/count[dflt] cpu/nanoseconds", "thread:[main]", "start:[5 nanoseconds]",
        "Room.make.<locals>.inner /src/room.py:7", "s=5", "<module> /src/main.py:3", "2   20000000: 1 2",
    ):  # fmt: skip
        assert expected in text, text


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_value_has_64_bits(value: int) -> None:
    """No other number is written in its place."""
    profile = Profile((Quantity("a", "b"),), [Sample((), (value,))], 0, 0, "a")
    with pytest.raises(ValueError, match=r"range|out of|Value"):
        encode(profile)
