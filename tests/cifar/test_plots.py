"""Pictures are whole PNG files that show what they were given."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from cifar import plots
from tests.cifar import tiny

HISTORY = [
    {
        "epoch": i + 1,
        "train_loss": 2.0 - 0.5 * i,
        "test_loss": 2.1 - 0.5 * i,
        "train_accuracy": 0.2 + 0.1 * i,
        "test_accuracy": 0.25 + 0.1 * i,
    }
    for i in range(3)
]
DATA = tiny.load("", "test")


def record(dataset="cifar10"):
    return {
        "recipe": {"name": "tiny", "claim": {"test_accuracy": 0.7, "train_loss": 1.5}},
        "dataset": dataset,
        "seed": 3,
    }


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, caught instead of written."""
    caught = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: caught.append(figure))
    return caught


def test_files_are_whole_and_replaced(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("old")
    for draw in (
        lambda: plots.curves(HISTORY, record(), path),
        lambda: plots.predictions(DATA, np.eye(10)[:3], record(), path),
    ):
        draw()
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            picture.load()
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_no_display_or_global_state_is_needed(figures):
    plots.curves(HISTORY, record(), None)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize("dataset", ["cifar10", "synthetic"])
def test_curves(figures, dataset):
    plots.curves(HISTORY, record(dataset), None)
    (figure,) = figures
    for axis, metric, scale, claims in zip(
        figure.axes, ("loss", "accuracy"), (1, 100), ([1.5], [70]), strict=True
    ):
        lines = {line.get_label(): line for line in axis.get_lines()}
        for part in ("train", "test"):
            np.testing.assert_allclose(lines[part].get_xdata(), [1, 2, 3])
            values = [scale * line[f"{part}_{metric}"] for line in HISTORY]
            np.testing.assert_allclose(lines[part].get_ydata(), values)
        study = [line.get_ydata()[0] for name, line in lines.items() if "in the study" in name]
        assert study == pytest.approx(claims if dataset == "cifar10" else [])
        assert axis.get_xlabel() == "epoch"
        assert metric in axis.get_ylabel() or "nats" in axis.get_ylabel()
    title = figure.get_suptitle()
    for part in ("tiny", dataset, "seed 3", "45.00%"):
        assert part in title


def test_one_epoch_can_be_drawn(tmp_path):
    plots.curves(HISTORY[:1], record(), tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 1000


@pytest.mark.parametrize("count", [1, 8, 11])
def test_predictions(figures, count):
    logits = np.zeros((count, 10))
    guesses = np.where(np.arange(count) % 3 == 1, 9, DATA.labels[:count])
    logits[np.arange(count), guesses] = np.log(9 * 4)  # probability 0.8
    plots.predictions(DATA, logits, record(), None)
    (figure,) = figures
    drawn = [axis for axis in figure.axes if axis.get_images()]
    assert len(drawn) == count
    right = 0
    for i, axis in enumerate(drawn):
        np.testing.assert_array_equal(
            axis.get_images()[0].get_array(), DATA.images[i].transpose(1, 2, 0)
        )
        guess, truth = int(guesses[i]), int(DATA.labels[i])
        text = axis.get_title()
        assert text.startswith(f"class {guess} 80%")
        assert (f"is: class {truth}" in text) is (guess != truth)
        right += guess == truth
    assert f"{right} of {count} right" in figure.get_suptitle()


def test_large_logits_do_not_overflow(figures):
    plots.predictions(DATA, np.array([[1e4, -1e4] + [0.0] * 8]), record(), None)
    assert "100%" in figures[0].axes[0].get_title()
