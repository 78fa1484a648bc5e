"""The rehearsal of a session on a card: what CI can afford of it."""

from __future__ import annotations

import sys

import pytest

from benchmarks import gpu_parts, gpu_session
from cifar.results import plots
from tests.common import set_compiled
from tests.emulated import rehearsal, thin


def test_its_options_are_those_of_a_session(monkeypatch, tmp_path):
    out = str(tmp_path / "x.json")
    monkeypatch.setattr(sys, "argv", ["x", "--out", out, "--device", "cpu", "--budget", "0.001s"])
    monkeypatch.setattr(gpu_session, "PARTS", ())
    monkeypatch.setattr(gpu_session.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit, match="no answer within the budget"):
        rehearsal.main()


@pytest.mark.parametrize("recipe", ["long-tail-cb-focal", "speed-94"])
def test_recipes_fit_thin_networks(recipe, monkeypatch, tmp_path):
    """The one with a weight for each class, and the one that whitens."""
    thin.networks(monkeypatch.setattr)
    thin.work(monkeypatch.setattr)
    for name in ("curves", "predictions", "class_counts"):
        monkeypatch.setattr(plots, name, lambda *_: None)
    options = {"device": "cpu", "dataset": "synthetic", "overrides": {"epochs": 1}}
    with set_compiled(False):
        (found,) = gpu_parts.training(str(tmp_path / "run"), recipe=recipe, **options)
    assert found["finished"]
    assert found["runs"][0]["record"]["parameters"] < 10_000
