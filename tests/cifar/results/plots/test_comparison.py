"""Two engines side by side."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.container import BarContainer

from cifar.results import plots
from cifar.results.plots.comparison import QUANTITIES
from tests.cifar.results.plots.common import compared


@pytest.mark.parametrize("speed", [True, False])
@pytest.mark.parametrize("threads", ["1 thread", "1, 3 threads"])
def test_comparison(figures, speed, threads):
    """However many runs PyTorch has, they are one line of the legend."""
    reruns = ["PyTorch, 1 thread", "PyTorch, 3 threads"][: threads.count(",") + 1]
    names, last = ("minigrad", "PyTorch", *reruns), f"PyTorch, {threads}"
    found = compared(2, 1, reruns, speed=speed)
    for lines in found["differences"].values():
        lines[1]["weights_relative"] = 1e-3
    plots.comparison(found, None)
    (figure,) = figures
    loss, by_epoch, differences, accuracy, _, bars = figure.axes
    assert all(axis.get_title() and axis.get_xlabel() and axis.get_ylabel() for axis in
               (loss, by_epoch, differences, accuracy))  # fmt: skip
    assert len(loss.get_lines()) == len(names)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        *names[:2], last, "train, by epoch", "test, by epoch", "difference of weights",
    ]  # fmt: skip
    np.testing.assert_allclose(accuracy.get_lines()[0].get_ydata(), [100, 75])
    assert len(by_epoch.get_lines()) == 2 * len(names)  # training and test
    for line in differences.get_lines():
        np.testing.assert_allclose(line.get_ydata(), [1e-3])  # a logarithm shows no 0
    assert differences.get_ylim() == pytest.approx((1e-4, 1e-2))  # not on the frame
    contestants = {line.get_color() for line in loss.get_lines()}
    assert not contestants & {colour for _, colour, _ in QUANTITIES}
    assert len([c for c in bars.containers if isinstance(c, BarContainer)]) == 4 * speed
    assert ("not measured" in [text.get_text() for text in bars.texts]) != speed
