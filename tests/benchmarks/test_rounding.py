"""First gradients in float64 are PyTorch's; in float32 both are near them, and mistakes show."""

from __future__ import annotations

import json
import sys

import pytest

import minigrad as mg
from benchmarks import rounding
from cifar import datasets
from cifar.training.objective import make_objective
from cifar.twins import sides
from tests.cifar import pytorch_models, tiny


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(datasets, "load", tiny.load)
    with pytorch_models.small_models():
        yield


def test_figures():
    compiled = mg.is_compiled()
    found = rounding.measure("simple")
    assert mg.is_compiled() is compiled
    assert found["recipe"] == "simple"
    assert 0 < found["float64"] < 1e-12
    rounded = [found[name] for name in rounding.HEADER[2:]]
    assert all(1e-9 < value < 1e-4 for value in rounded)
    assert len(set(rounded)) == (3 if compiled else 2)  # else NumPy is there twice


def test_a_wrong_factor_shows(monkeypatch):
    objective = make_objective

    def wrong(*given):
        right = objective(*given)
        return lambda logits, labels: right(logits, labels) * 1.001

    monkeypatch.setattr(sides, "make_objective", wrong)
    assert rounding.measure("simple")["float64"] == pytest.approx(1e-3, rel=0.01)


def test_the_command_line(monkeypatch, tmp_path, capsys):
    out = tmp_path / "x.json"
    monkeypatch.setattr(sys, "argv", ["rounding", "--recipe", "four-block", "--out", str(out)])
    rounding.main()
    (row,) = json.loads(out.read_text())["results"]
    assert f"{row['float64']:.1e}" in capsys.readouterr().out
