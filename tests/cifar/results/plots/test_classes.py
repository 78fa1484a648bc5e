"""Figures by class."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.container import BarContainer

from cifar.results import plots
from tests.cifar.results.plots.common import texts


def test_confusion(figures):
    counts = np.array([[90, 10, 0], [0, 5, 5], [0, 0, 0]])
    plots.confusion(counts, ("cat", "dog", "$x$ owl"), "tiny on $", None)
    (figure,) = figures
    axis = figure.axes[0]
    assert texts(axis) == {(0, 0): "90", (1, 0): "10", (1, 1): "5", (2, 1): "5"}  # (column, row)
    expected = [[90, 10, 0], [0, 50, 50], [0, 0, 0]]  # percent of the row
    np.testing.assert_allclose(axis.get_images()[0].get_array(), expected)
    assert [t.get_text() for t in axis.get_xticklabels()] == ["cat", "dog", "$x$ owl"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted class", "true class")
    assert "95 of 110 right: 86.36%" in figure.get_suptitle()
    assert "(%)" in figure.axes[1].get_ylabel()


def test_confusion_text_can_be_read_on_its_shade(figures):
    plots.confusion(np.array([[99, 1], [0, 1]]), ("a", "b"), "", None)
    colours = {t.get_text(): t.get_color() for t in figures[0].axes[0].texts}
    assert colours["99"] == "white"
    assert {t.get_color() for t in figures[0].axes[0].texts if t.get_position() == (1, 0)} == {
        "black"
    }


def test_recalls(figures):
    runs = {
        "cross-entropy": [{"cat": 0.5, "owl": 0.0}, {"cat": 0.7, "owl": 0.1}],
        "$focal$": [{"cat": 0.4, "owl": 0.3}],
    }
    plots.recalls(runs, "Recall", None, {"owl": 1234})
    (figure,) = figures
    axis = figure.axes[0]
    groups = [c for c in axis.containers if isinstance(c, BarContainer)]
    np.testing.assert_allclose(
        [[bar.get_height() for bar in g] for g in groups], [[60, 5], [40, 30]]
    )
    edges = sorted((p.get_x(), p.get_x() + p.get_width()) for p in axis.patches)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(edges))  # none hides another
    assert [t.get_text() for t in axis.get_xticklabels()] == ["cat", "owl\n1,234"]
    assert axis.get_xlabel() == "class, and its number of training images"
    assert axis.get_ylabel() == "recall (%)"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["cross-entropy", "$focal$"]
    spread = groups[0].errorbar.lines[2][0].get_segments()[0]  # of the first bar
    np.testing.assert_allclose(spread[:, 1], 60 + np.std([50, 70], ddof=1) * np.array([-1, 1]))


def test_class_counts(figures, tmp_path):
    plots.class_counts({"cat": 5000, "$owl$": 50, "a name of many letters": 0}, "tail", None)
    (figure,) = figures
    axis = figure.axes[0]
    assert [bar.get_height() for bar in axis.patches] == [5000, 50, 0]
    assert [text.get_text() for text in axis.texts] == ["5,000", "50", "0"]
    labels = axis.get_xticklabels()
    assert [t.get_text() for t in labels] == ["cat", "$owl$", "a name of many letters"]
    assert {t.get_rotation() for t in labels} == {30}  # too long to stand abreast
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("class", "training images")
    assert figure.get_suptitle() == "tail: 5,050 training images by class"
