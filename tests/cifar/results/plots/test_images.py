"""Images with what a model predicts of them."""

from __future__ import annotations

import numpy as np
import pytest

from cifar.datasets.augment import Augmentation
from cifar.results import plots
from tests.cifar.results.plots.common import DATA, record


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
