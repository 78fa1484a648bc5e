"""minigrad.draw: the graph as SVG."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET

import pytest

import minigrad as mg

SVG = "{http://www.w3.org/2000/svg}"


def drawn():
    a, b = mg.tensor(2.0, requires_grad=True), mg.tensor(-3.0, requires_grad=True)
    return mg.draw((a * b + a).exp(), {"<a>": a, "b": b})


def test_boxes_lines_and_names():
    pytest.importorskip("py_mini_racer")
    picture = drawn()
    tree = ET.fromstring(picture)
    texts = [text.text for text in tree.iter(f"{SVG}text")]
    assert sorted(texts[::2]) == ["<a>", "add", "b", "exp", "mul"]
    assert set(texts[1::2]) == {"scalar"}
    lines = [path for path in tree.iter(f"{SVG}path") if path.get("class") != "tip"]
    assert len(lines) == 5
    width, height = (float(n) for n in tree.get("viewBox").split()[2:])
    for box in tree.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    for path in lines:  # left to right
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d"))]
        assert numbers[0] < numbers[-2]
    assert picture._repr_svg_() == picture


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "py_mini_racer", None)
    with pytest.raises(ModuleNotFoundError, match=r"draw needs mini-racer; .*\[explore\]"):
        drawn()
