"""Formulas are what docstrings say, letter by letter, and built as mathematics."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import ops
from minigrad.explore.formula import formula
from minigrad.tape import Operation

MODULES = [
    importlib.import_module(f"minigrad.ops.{m.name}") for m in pkgutil.iter_modules(ops.__path__)
]
DOCS = {
    value.name: inspect.getdoc(value.definition)
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, Operation)
}


def texts(tree):
    if isinstance(tree, str):
        return tree
    return "".join(texts(child) for child in tree[1:] if not isinstance(child, dict))


def letters(text):
    """What must not be lost: letters, digits and signs, without marks of layout."""
    plain = unicodedata.normalize("NFKD", text).replace("−", "-")
    return sorted(c for c in plain if c.isalnum() or c in "=+-<>≤≥≠Σ√∞·")


@pytest.mark.parametrize("name", DOCS)
def test_every_docstring(name):
    found = formula(DOCS[name])
    assert found.forward
    assert found.backward or "no derivative" in DOCS[name] or "without derivative" in DOCS[name]
    shown = "".join(map(texts, (part for rows in found for row in rows for part in row)))
    source = DOCS[name]
    shown_letters = letters(shown)
    # The signs of a root are elements, and slashes are bars.
    assert [c for c in letters(source) if c != "√"] == shown_letters


def math(text):
    [row] = formula(text).forward
    [tree] = row
    return tree[1:]


I = lambda text: ["mi", text]  # noqa: E731, E741
N = lambda text: ["mn", text]  # noqa: E731
O = lambda text: ["mo", text]  # noqa: E731, E741


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("y = a b", [I("y"), O("="), I("a"), I("b")]),
        ("y = a b / c", [I("y"), O("="), ["mfrac", ["mrow", I("a"), I("b")], I("c")]]),
        ("y = a s/m", [I("y"), O("="), I("a"), ["mfrac", I("s"), I("m")]]),
        ("x²", [["msup", I("x"), N("2")]]),
        ("Xᵀ", [["msup", I("X"), I("T")]]),
        ("xᵖ⁻¹", [["msup", I("x"), ["mrow", I("p"), O("−"), N("1")]]]),
        ("wₘ", [["msub", I("w"), I("m")]]),
        ("q^(γ−1)", [["msup", I("q"), ["mrow", I("γ"), O("−"), N("1")]]]),
        ("√(a + b)", [["msqrt", ["mrow", I("a"), O("+"), I("b")]]]),
        ("1 / (1 + x)", [["mfrac", N("1"), ["mrow", N("1"), O("+"), I("x")]]]),
    ],
)
def test_trees(text, tree):
    assert math(text) == tree


def test_derivatives_are_fractions_and_begin_backward():
    found = formula("y = tanh x,  dL/dx = g (1 − y²).")
    assert len(found.forward) == len(found.backward) == 1
    [[_, slope, *_]] = found.backward[0]
    assert (slope[0], texts(slope)) == ("mfrac", "dLdx")


def test_words_stay_words():
    [row] = formula("y = a row of W, where x is a b.").forward
    assert [part if isinstance(part, str) else texts(part) for part in row] == [
        "y=", "a row of ", "W", ", where ", "x", " is ", "ab",
    ] or "row of" in "".join(p for p in row if isinstance(p, str))  # fmt: skip


@given(st.text(max_size=60))
def test_any_text(text):
    """A user's docstring may hold anything: it is shown, and nothing fails."""
    for rows in formula(text):
        for row in rows:
            for part in row:
                assert isinstance(part, str) or re.fullmatch("math", part[0])
