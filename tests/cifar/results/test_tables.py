"""Tables: aligned, and safe to print or to open in a spreadsheet whatever the names in them."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar.results import tables


def test_a_table():
    rows = [("a", 1234567, "1.5 %", "x"), ("long name", None, "-10.25 %", "yy")]
    assert tables.table(("name", "count", "share", "word"), rows).splitlines() == [
        "name           count     share  word",
        "─────────  ─────────  ────────  ────",
        "a          1,234,567     1.5 %  x",
        "long name          –  -10.25 %  yy",
    ]


def test_the_first_column_names_the_rows_and_stays_left():
    assert tables.table(("id", "n"), [(1, 2), (10, 20)]).splitlines()[2:] == ["1    2", "10  20"]


def test_booleans_are_words():
    assert tables.cell(True) == "True"


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_one_line_per_row_and_nothing_that_steers_a_terminal(rows):
    text = tables.table(("a", "b"), rows)
    assert text.count("\n") == len(rows) + 1
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＠"])
def test_no_cell_is_a_formula(start):
    name = f"{start}1+cmd|' /C calc'!A0"
    text = tables.comma_separated([["ID", name], [name, -1], ["-5", "-5.25"]])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["ID", f"'{name}"], [f"'{name}", "-1"], ["-5", "-5.25"],
    ]  # fmt: skip


@given(st.lists(st.tuples(st.text('ab=,;"\n\r-1'), st.integers()), min_size=1, max_size=5))
def test_comma_separated_values_are_read_back(rows):
    found = list(csv.reader(io.StringIO(tables.comma_separated(rows), newline="")))
    for (name, number), (text, cell) in zip(rows, found, strict=True):
        assert text in (name, f"'{name}")
        assert text[:1] not in ("=", "\r", "\n")
        assert cell == str(number)
