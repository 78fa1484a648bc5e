"""Curves show the figures of the runs and of the study."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer

from cifar.results import plots
from cifar.results.metrics import EpochMetrics
from tests.cifar.results.plots.common import COURSE, HISTORY, record

HELD = [
    EpochMetrics(**{k.replace("test", "validation"): v for k, v in line.as_dict().items()})
    for line in HISTORY
]


def test_another_network_is_not_held_against_the_study(figures):
    changed = dataclasses.replace(record(), overrides={"model_options": {"channels": [8]}})
    plots.curves(HISTORY, changed, None, COURSE)
    dashed = [
        line
        for axis in figures[0].axes
        for line in axis.get_lines()
        if line.get_linestyle() == "--" or line.get_marker() == "D"
    ]
    assert dashed == []


@pytest.mark.parametrize("dataset", ["cifar10", "synthetic"])
def test_curves(figures, dataset):
    plots.curves(HISTORY, record(dataset), None)
    (figure,) = figures
    for axis, metric, scale, claims in zip(
        figure.axes, ("loss", "accuracy"), (1, 100), ([1.5], [70]), strict=True
    ):
        lines = {line.get_label(): line for line in axis.get_lines()}
        assert {lines[part].get_color() for part in ("train", "test")} == {
            plots.BLUE, plots.VERMILION,
        }  # fmt: skip
        for part in ("train", "test"):
            np.testing.assert_allclose(lines[part].get_xdata(), [1, 2, 3])
            values = [scale * getattr(line, f"{part}_{metric}") for line in HISTORY]
            np.testing.assert_allclose(lines[part].get_ydata(), values)
        study = [line.get_ydata()[0] for line in axis.get_lines() if line.get_linestyle() == "--"]
        assert study == pytest.approx(claims if dataset == "cifar10" else [])
        assert axis.get_xlabel() == "epoch"
        assert metric in axis.get_ylabel() or "nats" in axis.get_ylabel()
    title = figure.get_suptitle()
    for part in ("tiny", dataset, "seed 3", "test accuracy 45.00% after epoch 3"):
        assert part in title
    assert "dropout" not in title  # of which curves know nothing
    studied = ["the study in the end"] * (dataset == "cifar10")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["train", "test", *studied]


def test_curves_before_the_test_set_was_looked_at(figures):
    plots.curves(HELD, record(), None)
    assert "validation accuracy 45.00% after epoch 3" in figures[0].get_suptitle()


def diamonds(axis):
    """(x, y) of the study's figures on its way."""
    lines = [line for line in axis.get_lines() if line.get_marker() == "D"]
    return [
        (list(line.get_xdata()), list(line.get_ydata())) for line in lines if len(line.get_xdata())
    ]


def test_a_studys_way_is_drawn_as_far_as_the_run(figures):
    plots.curves(HISTORY, record(), None, COURSE)
    plots.curves(HISTORY, record("synthetic"), None, COURSE)
    plots.overlaid([("a", HISTORY)], "", None, course=COURSE)
    for figure in (figures[0], figures[2]):
        loss, accuracy = figure.axes
        assert diamonds(accuracy) == [([2], [25.0])]
        assert diamonds(loss) == [([2], [1.0])]
    assert not any(diamonds(axis) for axis in figures[1].axes)
    assert "the study on its way" in [t.get_text() for t in figures[2].legends[0].get_texts()]


def points(axis):
    """(x, y) of every drawn line by colour and style; legend entries and study lines left out."""
    return {
        (line.get_color(), line.get_linestyle()): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axis.get_lines()
        if len(line.get_xdata()) and line.get_linestyle() != "--"
    }


def test_overlaid(figures):
    # The one look at the test set is after the last epoch.
    held = [*HELD[:-1], dataclasses.replace(HELD[-1], test_loss=0.0)]
    claim = {"test_accuracy": 0.7}
    plots.overlaid([("a", HISTORY), ("b", held), ("a", HISTORY[:2])], "runs of $", None, claim)
    (figure,) = figures
    for axis, metric, scale in zip(figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        drawn = points(axis)
        assert len(drawn) == 4
        for colour, part in ((plots.BLUE, "test"), (plots.VERMILION, "test")):
            x, y = drawn[colour, "-"]
            np.testing.assert_allclose(
                y, [scale * getattr(line, f"{part}_{metric}") for line in HISTORY][: len(x)]
            )
            x, y = drawn[colour, ":"]
            np.testing.assert_allclose(
                y, [scale * getattr(line, f"train_{metric}") for line in HISTORY][: len(x)]
            )
        studies = [line.get_ydata()[0] for line in axis.get_lines() if line.get_linestyle() == "--"]
        assert studies == ([] if metric == "loss" else [70])
        assert axis.get_xlabel() == "epoch"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["a", "b", "held-out images", "training", "the study in the end"]
    named = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert named == ["test"]  # beside its line


def test_overlaid_without_training(figures):
    plots.overlaid([("a", HISTORY)], "", None, training=False)
    assert {style for axis in figures[0].axes for _, style in points(axis)} == {"-"}
    assert [t.get_text() for t in figures[0].legends[0].get_texts()] == ["a", "held-out images"]


def test_overlaid_runs_of_very_different_length(figures, tmp_path):
    long = [dataclasses.replace(line, epoch=10 * line.epoch) for line in HISTORY]
    plots.overlaid([("a", HISTORY), ("b", long)], "", None)
    assert {axis.get_xscale() for axis in figures[0].axes} == {"log"}
    assert {axis.get_xlabel() for axis in figures[0].axes} == {"epoch (logarithmic)"}


def test_many_runs_can_be_told_apart(figures):
    plots.overlaid([(f"run {i}", HISTORY) for i in range(20)], "", None)
    styles = {(x.get_color(), x.get_marker()) for x in figures[0].legends[0].get_lines()[:20]}
    assert len(styles) == 20


def test_a_run_has_one_look_in_all_pictures(figures):
    looks = plots.looks(["other", "a", "b"])
    assert looks == plots.looks(["other", "a", "other", "b"])
    runs = {"a": [{"cat": 0.5}], "b": [{"cat": 0.5}]}
    plots.overlaid([("b", HISTORY), ("a", HISTORY)], "", None, known=looks)
    plots.recalls(runs, "", None, {}, looks)
    lines, bars = figures
    drawn = {x.get_label(): x.get_color() for x in lines.legends[0].get_lines()[:2]}
    assert drawn == {label: looks[label].colour for label in "ba"}
    filled = [to_hex(c.patches[0].get_facecolor()).upper() for c in bars.axes[0].containers
              if isinstance(c, BarContainer)]  # fmt: skip
    assert filled == [looks[label].colour for label in "ab"]


def test_seeds_share_their_recipes_colour():
    look = plots.Look(plots.GREEN, "v")
    shades = plots.shades(["seed 0", "seed 1"], look)
    assert [one.colour for one in shades.values()] == [plots.GREEN] * 2
    assert len({one.marker for one in shades.values()}) == 2
