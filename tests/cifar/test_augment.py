"""Augmentation of a whole batch equals the plain per-image loops it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from cifar import augment, recipes
from minigrad.data import replayable
from tests.common import host, lay_out, layouts, seeds

MEAN, STD = (0.5, 0.4, 0.1), (0.25, 0.2, 0.3)


def pixels(n=5, h=6, w=7, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (n, 3, h, w)).astype(np.uint8)


def one_by_one(images, generator, crop, flip):
    """Pad by zeros, cut out at a drawn place, mirror if drawn: one image after another."""
    n, _, h, w = images.shape
    tops, lefts = generator.integers(0, 2 * crop + 1, (2, n))
    mirrored = generator.random(n) < 0.5 if flip else [False] * n
    out = []
    for image, top, left, mirror in zip(images, tops, lefts, mirrored, strict=True):
        padded = np.pad(image, ((0, 0), (crop, crop), (crop, crop)))
        cut = padded[:, top : top + h, left : left + w]
        out.append(cut[:, :, ::-1] if mirror else cut)
    return np.stack(out)


@given(
    crop=st.integers(0, 9),
    flip=st.booleans(),
    n=st.integers(1, 6),
    layout=layouts,
    seed=seeds,
)
def test_crop_and_flip(crop, flip, n, layout, seed):
    images = pixels(n, seed=seed)
    given_ = mg.Tensor(lay_out(images, layout))
    ours = augment.crop_and_flip(given_, replayable(seed), crop, flip)
    expected = one_by_one(images, replayable(seed), crop, flip)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours.numpy(), expected)
    np.testing.assert_array_equal(given_.numpy(), images)
    assert ours.data.transpose(1, 2, 3, 0).flags.c_contiguous


def test_every_shift_and_both_mirrorings_come_about_equally_often():
    images = np.zeros((4000, 1, 5, 5), np.uint8)
    images[:, 0, 2, 1] = 1  # off the middle, so that a mirrored one can be told apart
    out = augment.crop_and_flip(mg.Tensor(images), replayable(0), 1, True).numpy()
    _, _, row, col = np.nonzero(out)
    counts = np.zeros((3, 5), int)
    np.add.at(counts, (row - 1, col), 1)
    assert len(row) == 4000
    # Three rows, and columns 0, 1, 2 as they were or 2, 3, 4 mirrored: eighteen equal chances.
    expected = np.tile(4000 / 18 * np.array([1, 1, 2, 1, 1]), (3, 1))
    np.testing.assert_allclose(counts, expected, rtol=0.25)


@given(layout=layouts, n=st.integers(1, 5))
def test_normalize(layout, n):
    images = pixels(n)
    ours = augment.normalize(mg.Tensor(lay_out(images, layout)), MEAN, STD)
    column = (3, 1, 1)
    expected = (images / 255 - np.reshape(MEAN, column)) / np.reshape(STD, column)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert ours.data.transpose(1, 2, 3, 0).flags.c_contiguous


@pytest.mark.parametrize(("crop", "flip"), [(0, False), (2, False), (0, True), (2, True)])
def test_transforms_of_a_recipe(crop, flip, device):
    recipe = recipes.Recipe("r", "m", 1, 1, "SGD", 0.1, crop=crop, flip=flip, mean=MEAN, std=STD)
    images = pixels(8)
    given_ = mg.tensor(images, device=device)
    train = augment.training(recipe)(given_, replayable(1))
    expected = augment.normalize(
        mg.Tensor(one_by_one(images, replayable(1), crop, flip)), MEAN, STD
    )
    assert train.device == mg.device(device)
    np.testing.assert_allclose(host(train), host(expected), rtol=1e-6)
    assert np.array_equal(host(train), host(augment.normalize(given_, MEAN, STD))) is (
        not crop and not flip
    )
    evaluation = augment.evaluation(recipe)(given_, replayable(1))
    np.testing.assert_allclose(
        host(evaluation), host(augment.normalize(given_, MEAN, STD)), rtol=1e-6
    )
