from __future__ import annotations

from jobmeter.report.layout import Column, Line, beside, paint, table


def lines_of(lines: list[Line], width: int = 80) -> list[str]:
    return paint(lines, width, colour=False).splitlines()


def test_a_table_aligns_numbers_right_and_names_left() -> None:
    """Every column is as wide as its widest cell."""
    rows = table("CPU", [("make", ""), ("postgres", "")], [Column("avg", ["1.93", "0.02"])], 40)

    assert lines_of(rows) == ["CPU          avg", "  make      1.93", "  postgres  0.02"]


def test_empty_columns_and_sparse_rows_are_left_out() -> None:
    """What nobody knows takes no room."""
    columns = [Column("a", ["", "1"]), Column("b", ["", ""])]

    assert lines_of(table("t", [("x", ""), ("y", "")], columns, 40, sparse=True)) == [
        "t         a",
        "  y       1",
    ]
    assert table("t", [("x", "")], [Column("b", [""])], 40) == []


def test_an_empty_cell_of_a_column_that_says_something_is_a_dash() -> None:
    """Unknown is seen to be unknown; a column may have nothing to say of a row instead."""
    columns = [Column("a", ["", "1"]), Column("b", ["2", ""], blank="")]

    assert lines_of(table("t", [("x", ""), ("y", "")], columns, 40)) == [
        "t         a  b",
        "  x       –  2",
        "  y       1",
    ]


def test_where_room_is_short_columns_go_by_rank_and_names_are_cut() -> None:
    """The least important column goes first; what has no rank stays."""
    columns = [
        Column("peak", ["2.01"]),
        Column("user", ["1 m 14 s"], rank=1),
        Column("sys", ["24.4 s"], rank=2),
    ]
    names = [("a-container-of-long-name", "")]

    assert lines_of(table("t", names, columns, 33), 33)[0].split() == ["t", "peak", "user"]
    assert lines_of(table("t", names, columns, 16), 16) == ["t           peak", "  a-conta…  2.01"]


def test_paint_colours_only_when_told() -> None:
    """Colour is the caller's choice; without it there is no escape sequence."""
    line = [("bad", "bad"), ("  ", "warn")]

    assert paint([line], 80, colour=True) == "\x1b[1;31mbad\x1b[0m\n"
    assert paint([line], 80, colour=False) == "bad\n"


def test_paint_is_the_last_guard() -> None:
    """Whatever reaches it is cleaned and cut."""
    assert paint([[("\x1b[2Jabcdef", "")]], 8, colour=False) == "\\x1b[2J…\n"


def test_tables_stand_beside_each_other_where_they_fit() -> None:
    """Two narrow tables share lines; too wide ones are stacked."""
    left = table("left", [("a", ""), ("b", "")], [Column("n", ["1", "2"])], 40)
    right = table("right", [("c", "")], [Column("n", ["3"])], 40)

    assert lines_of(beside(left, right, 40)) == [
        "left      n    right     n",
        "  a       1      c       3",
        "  b       2",
    ]
    assert len(beside(left, right, 20)) == 6
