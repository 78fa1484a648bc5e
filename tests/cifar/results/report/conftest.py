"""Tiny runs, and pictures that are quickly drawn."""

from __future__ import annotations

import pytest

from cifar.results import plots
from cifar.training import train
from tests.cifar import tiny
from tests.cifar.results.report.common import PIXEL


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of three tiny runs, one of them with other settings."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(folder / "b"))
        train.run(tiny.settings(folder / "a", seed=1))
        train.run(tiny.settings(folder / "deep" / "er" / "c", epochs=1, lr=0.5))
    (folder / "b" / "predictions.png").write_bytes(PIXEL)
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """Quickly drawn ones; the runs that were asked for."""
    drawn = []

    def overlaid(runs, title, path, claim, training, course, known):
        assert title == ""  # the page's own headings and captions say it
        drawn.append(([label for label, _ in runs], claim, known))
        path.write_bytes(PIXEL)

    monkeypatch.setattr(plots, "overlaid", overlaid)
    monkeypatch.setattr(plots, "recalls", lambda *given: given[2].write_bytes(PIXEL))
    monkeypatch.setattr(plots, "confusion", lambda *given: given[3].write_bytes(PIXEL))
    monkeypatch.setattr(plots, "mistakes", lambda *given: given[3].write_bytes(PIXEL))
    return drawn


@pytest.fixture
def recalls(no_pictures, monkeypatch):
    """What pictures of recall were asked for."""
    drawn = []

    def draw(runs, title, path, counts, known):
        assert title == ""
        drawn.append((runs, counts, known))
        path.write_bytes(PIXEL)

    monkeypatch.setattr(plots, "recalls", draw)
    return drawn
