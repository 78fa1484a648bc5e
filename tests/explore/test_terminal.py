"""minigrad.trace: the tape as a table."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

import minigrad as mg
from tests.explore.nets import step


def test_the_tape_of_two_scalars(capsys):
    a, b = mg.tensor(2.0, requires_grad=True), mg.tensor(-3.0, requires_grad=True)
    y = (a * b + a).exp()
    mg.trace(y, {"a": a, "b": b})
    assert capsys.readouterr().out == (
        "   operation  inputs  result          kept  ‖gradient‖\n"
        "──────────────────────────────────────────────────────\n"
        "0  mul        a, b    scalar float32   0 B     0.01832\n"
        "1  add        #0, a   scalar float32     –     0.01832\n"
        "2  exp        #1      scalar float32   4 B           1\n"
        "3 operations; gradients of 2 leaves; at most 8 B at once\n"
    )
    assert a.grad is None
    y.backward()


def test_modules_are_named():
    _, loss, inputs = step()
    mg.trace(loss, inputs, file=(file := io.StringIO()))
    text = file.getvalue()
    assert "blocks.0.conv: conv2d" in text
    assert "images, stem.weight, stem.bias" in text
    assert "gradients of 12 leaves" in text


def test_a_name_is_one_line_of_text(capsys):
    x = mg.tensor(2.0, requires_grad=True)
    mg.trace(x * 2, {"a\x1b[2J\nb": x})
    assert "\x1b" not in (text := capsys.readouterr().out)
    assert "a?[2J b" in text


def test_the_page_on_the_explorer(capsys, tmp_path, monkeypatch):
    """What docs/explorer.md tells a reader to type runs, and prints what it says."""
    pytest.importorskip("py_mini_racer")
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs/explorer.md").read_text(encoding="utf-8")
    space = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "explorer.md", "exec"), space)
    assert (tmp_path / "backprop.html").is_file()
    [table] = re.findall(r"\n\n```\n(.*?)```", text, re.DOTALL)
    assert table in capsys.readouterr().out
