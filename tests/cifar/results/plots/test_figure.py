"""Pictures are whole files that can be read, whatever else draws in the process."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from cifar.datasets.augment import Augmentation
from cifar.results import plots
from tests.cifar.results.plots.common import COURSE, DATA, HISTORY, compared, record


def test_files_are_whole_and_replaced(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("old")
    for draw in (
        lambda: plots.curves(HISTORY, record(), path),
        lambda: plots.predictions(DATA, np.eye(10)[:3], record(), path),
        lambda: plots.augmentations(DATA, Augmentation(2), "tiny", path, 2, 2),
    ):
        draw()
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            picture.load()
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


RC = {"font.size": 40, "text.usetex": True, "savefig.dpi": 7, "axes.facecolor": "red"}


def test_what_the_process_draws_with_is_neither_used_nor_changed(tmp_path):
    plots.curves(HISTORY, record(), tmp_path / "plain.png")
    with matplotlib.rc_context(RC):
        before = dict(matplotlib.rcParams)
        plots.curves(HISTORY, record(), tmp_path / "other.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "other.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_no_backend_and_no_rc_file_matters(tmp_path):
    """A Jupyter kernel's backend is unknown outside of its environment, and an rc file may ask for
    LaTeX."""
    plots.class_counts({"cat": 3}, "", tmp_path / "plain.png")
    (tmp_path / "matplotlibrc").write_text("".join(f"{k}: {v}\n" for k, v in RC.items()))
    code = (
        "import os; from cifar.results import plots; "
        "plots.class_counts({'cat': 3}, '', 'other.png'); "
        "print(os.environ['MPLBACKEND'])"
    )
    places = os.pathsep.join([str(Path(plots.__file__).parents[3]), *filter(None, sys.path)])
    environment = {**os.environ, "MPLBACKEND": "nonsense", "PYTHONPATH": places}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "nonsense\n"
    assert (tmp_path / "other.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_picture_beside_a_result_costs_no_result(tmp_path, capsys):
    with plots.beside(tmp_path / "no" / "x.png") as path:
        plots.curves(HISTORY, record(), path)
    assert (
        capsys.readouterr().err == f"note: {path} could not be drawn: No such file or directory\n"
    )


def trained_for(epochs, loss=2.43931):
    return [
        dataclasses.replace(HISTORY[0], epoch=1 + i, train_loss=loss, test_loss=loss)
        for i in range(epochs)
    ]


RERUNS = tuple(f"PyTorch, {n} thread{'s' * (n > 1)}" for n in (1, 3, 4, 5, 6, 8))

EVERY = {
    "curves": lambda n, path: plots.curves(trained_for(n), record(), path, COURSE),
    "overlaid": lambda n, path: plots.overlaid(
        [("a", trained_for(n)), ("b", trained_for(max(1, n // 8)))],
        "",
        path,
        {"test_loss": 2.43932},
    ),
    "compare": lambda n, path: plots.comparison(compared(n, n), path),
    "compare, apart": lambda n, path: plots.comparison(compared(n, n, RERUNS, 1e-6, False), path),
    "recalls": lambda n, path: plots.recalls({"a": n * [{"cat": 1.0}]}, "", path, {}),
}


@pytest.mark.parametrize(
    ("draw", "epochs"),
    [(draw, epochs) for draw in EVERY for epochs in (1, 9, 250)],
)
def test_every_picture_can_be_read(figures, draw, epochs):
    """At one epoch and at many: no legend over the data, no axis of millionths beside an offset,
    and epochs and steps as the whole numbers that they are."""
    EVERY[draw](epochs, None)
    (figure,) = figures
    figure.draw_without_rendering()
    assert all(axis.get_legend() is None for axis in figure.axes)
    (legend,) = figure.legends
    for axis in figure.axes:
        assert not legend.get_window_extent().overlaps(axis.get_tightbbox())
        for one in (axis.xaxis, axis.yaxis):
            texts = [
                label.get_text()
                for which in ("major", "minor")
                for label in one.get_ticklabels(which=which)
            ]
            assert not one.get_offset_text().get_text()
            assert not any("10^" in text or "e+0" in text for text in texts)
        if axis.get_xlabel().split(" ")[0] in ("epoch", "step"):
            low, high = axis.get_xlim()
            labels = axis.get_xticklabels()
            shown = [t.get_text() for t in labels if low <= t.get_position()[0] <= high]
            assert all(text.isdecimal() for text in shown), shown
        if axis.get_ylabel() in ("loss (nats)", "accuracy (%)"):
            assert np.ptp(axis.get_ylim()) >= 0.0999


def test_long_names_leave_room_for_the_picture(figures):
    long = 300 * "x"
    plots.overlaid([(long, HISTORY)], "", None)
    plots.recalls({"a": [{long: 0.5, "cat": 0.5}]}, "", None, {})
    plots.confusion(np.eye(2, dtype=int), (long, "cat"), "", None)
    for figure in figures:
        figure.draw_without_rendering()  # warns, which is an error here, where nothing is left
        assert figure.axes[0].get_window_extent().height > 100


def test_the_new_pictures_are_whole_files(tmp_path):
    logits = np.eye(10)[DATA.labels]
    logits[0] = np.roll(logits[0], 1)
    for number, draw in enumerate(
        (
            lambda path: plots.confusion(np.eye(2, dtype=int), ("$", "b$"), "$a$$", path),
            lambda path: plots.mistakes(DATA, logits, "$\\frac", path),
            lambda path: plots.overlaid([("$\\frac", HISTORY[:1])], "$_$", path, {"test_loss": 1}),
        )
    ):
        draw(tmp_path / f"{number}.png")
        with Image.open(tmp_path / f"{number}.png") as picture:
            picture.load()
            assert picture.format == "PNG"
