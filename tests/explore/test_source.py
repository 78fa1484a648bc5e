"""Where functions stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.cpu import norm as fast
from minigrad.explore.source import argument_names, code, maker
from minigrad.ops import conv, norm, shape
from tests.common import set_compiled

ROOT = Path(__file__).parents[2]


def test_lines_are_those_of_the_file():
    found = code(conv.im2col)
    assert found.file == "minigrad/ops/conv.py"
    lines = (ROOT / found.file).read_text("utf-8").splitlines()
    assert lines[found.line - 1] == "def im2col(x: Array, padding: Pair, window: Window) -> Array:"
    assert found.text.splitlines()[0] == lines[found.line - 1]


def test_no_file():
    space = {}
    exec("def f(): pass", space)
    assert code(space["f"]) is None
    assert code(np.add) is None


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_implementation_that_ran(dtype):
    with set_compiled(False):
        x = mg.ones((2, 3, 4, 4), dtype=dtype, requires_grad=True)
        y = mg.functional.batch_norm(x, None, None, training=True)
        made_by = maker(y.node.backward)
        assert made_by.__module__ == fast.__name__
    mg.set_implementation("definition")
    try:
        y = mg.functional.batch_norm(x, None, None, training=True)
        assert maker(y.node.backward).__name__ == "_batch_norm"
        assert maker(y.node.backward).__module__ == norm.__name__
    finally:
        mg.set_implementation("auto")


def test_names_of_arguments():
    assert argument_names(norm._batch_norm.definition) == ["x", "w", "b", "residual"]
    assert argument_names(shape._cat.definition) == ["xs…"]
    assert argument_names(print) in ([], ["args…"])
