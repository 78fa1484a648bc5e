"""Pictures are whole PNG files that show what they were given."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from PIL import Image

from cifar.datasets.augment import Augmentation
from cifar.results import plots
from cifar.results.metrics import EpochMetrics
from cifar.results.record import Record
from tests.cifar import tiny

HISTORY = [
    EpochMetrics(
        epoch=i + 1,
        train_loss=2.0 - 0.5 * i,
        test_loss=2.1 - 0.5 * i,
        train_accuracy=0.2 + 0.1 * i,
        test_accuracy=0.25 + 0.1 * i,
    )
    for i in range(3)
]
HELD = [
    EpochMetrics(**{k.replace("test", "validation"): v for k, v in line.as_dict().items()})
    for line in HISTORY
]
DATA = tiny.load("", "test")


def record(dataset="cifar10"):
    claim = {"test_accuracy": 0.7, "train_loss": 1.5}
    recipe = dataclasses.replace(tiny.RECIPE, claim=claim)
    return Record(recipe, dataset, ("cat", "owl"), seed=3)


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
    places = os.pathsep.join([str(Path(plots.__file__).parents[2]), *filter(None, sys.path)])
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


# ---------------------------------------------------------------------------- every picture


def compared(steps, epochs, reruns=(), apart=0.0, speed=True):
    """What ``cifar compare`` found: losses and figures, PyTorch's ``apart`` from minigrad's."""
    names = ("minigrad", "PyTorch", *reruns)
    falling = [2.0 - i / steps for i in range(steps)]
    line = {f"{q}_relative": apart for q in ("logits", "gradients", "weights")}

    def figures(i):
        return {"train_loss": 2.43931 + apart * i, "train_accuracy": 0.4,
                "test_loss": 2.43931, "test_accuracy": 0.4}  # fmt: skip

    return {
        "record": {
            "recipe": {"name": "tiny", "batch_size": 8},
            "dataset": "synthetic", "dtype": "float32", "device": "cpu", "seed": 0,
        },
        "losses": dict.fromkeys(names, falling),
        "accuracies": {name: [x / 2 for x in falling] for name in names},
        "differences": {
            name: [{"step": 1 + i, **line} for i in range(steps)] for name in (names[0], *reruns)
        },
        "epochs": [
            {"epoch": 1 + n, **{name: figures(i) for i, name in enumerate(names)}}
            for n in range(epochs)
        ],
        "speed": {name: {"seconds_per_step": 0.5, "peak_memory_mb": 12345.0} for name in names[:2]}
        if speed else {},
    }  # fmt: skip


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


COURSE = {2: {"test_accuracy": 0.25, "train_loss": 1.0}, 4: {"test_accuracy": 0.5}}


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
        assert axis.title.get_fontweight() == ("normal" if guess == truth else "bold")
        assert axis.title.get_color() == "black"  # colours mean recipes, on the page that shows it
        right += guess == truth
    assert f"{right} of {count} right" in figure.get_suptitle()


def test_large_logits_do_not_overflow(figures):
    plots.predictions(DATA, np.array([[1e4, -1e4] + [0.0] * 8]), record(), None)
    assert "100%" in figures[0].axes[0].get_title()


@pytest.mark.parametrize(("images", "versions"), [(6, 7), (1, 1), (99, 2)])
def test_augmentations(figures, images, versions):
    options = Augmentation(2, True, 20, 0.1, "edge", "bilinear")
    plots.augmentations(DATA, options, "a $title$", None, images, versions, seed=4)
    (figure,) = figures
    rows = min(images, 10)
    pictures = [axis.get_images()[0].get_array() for axis in figure.axes]
    assert len(pictures) == rows * (versions + 1)
    for i in range(rows):
        original, *changed = pictures[i * (versions + 1) : (i + 1) * (versions + 1)]
        np.testing.assert_array_equal(original, DATA.images[i].transpose(1, 2, 0))
        assert figure.axes[i * (versions + 1)].get_ylabel() == f"class {i}"
        for picture in changed:
            assert picture.dtype == np.uint8
            assert (picture != original).any()
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    names = [axis.get_title() for axis in figure.axes[: versions + 1]]
    assert names == ["original", *(f"version {i + 1}" for i in range(versions))]
    assert figure.get_suptitle() == f"a $title$\nAugmentation: {options}"


def test_augmentations_are_the_seeds(figures):
    for seed in (1, 1, 2):
        plots.augmentations(DATA, Augmentation(4), "", None, 2, 3, seed)
    first, again, other = (
        np.array([axis.get_images()[0].get_array() for axis in figure.axes]) for figure in figures
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# ---------------------------------------------------------------------------- evaluation


def texts(axis):
    return {(int(t.get_position()[0]), int(t.get_position()[1])): t.get_text() for t in axis.texts}


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


def test_mistakes_are_the_surest_ones(figures):
    logits = np.zeros((30, 10))
    logits[np.arange(30), DATA.labels] = 1.0
    for i, surety in ((4, 5.0), (7, 9.0), (20, 7.0)):
        logits[i, (DATA.labels[i] + 1) % 10] = surety
    plots.mistakes(DATA, logits, "tiny", None, count=2)
    (figure,) = figures
    drawn = [axis for axis in figure.axes if axis.get_images()]
    assert len(drawn) == 2
    for axis, i in zip(drawn, (7, 20), strict=True):
        np.testing.assert_array_equal(
            axis.get_images()[0].get_array(), DATA.images[i].transpose(1, 2, 0)
        )
        truth = DATA.labels[i]
        share = np.exp(logits[i]).max() / np.exp(logits[i]).sum()
        assert axis.get_title() == f"class {(truth + 1) % 10} {share:.1%}\nis: class {truth}"
    assert "the 2 surest of 3" in figure.get_suptitle()


def test_no_mistakes(figures):
    plots.mistakes(DATA, 9.0 * np.eye(10)[DATA.labels], "tiny", None)
    assert "none" in figures[0].get_suptitle()
    assert not any(axis.get_images() for axis in figures[0].axes)


# ---------------------------------------------------------------------------- many runs


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


def test_long_names_leave_room_for_the_picture(figures):
    long = 300 * "x"
    plots.overlaid([(long, HISTORY)], "", None)
    plots.recalls({"a": [{long: 0.5, "cat": 0.5}]}, "", None, {})
    plots.confusion(np.eye(2, dtype=int), (long, "cat"), "", None)
    for figure in figures:
        figure.draw_without_rendering()  # warns, which is an error here, where nothing is left
        assert figure.axes[0].get_window_extent().height > 100


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


# ---------------------------------------------------------------------------- two engines


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
    assert not contestants & {colour for _, colour, _ in plots.QUANTITIES}
    assert len([c for c in bars.containers if isinstance(c, BarContainer)]) == 4 * speed
    assert ("not measured" in [text.get_text() for text in bars.texts]) != speed
