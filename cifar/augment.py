"""Augmentation and normalisation of whole batches, on the device that the batch is on."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from cifar.recipes import Recipe


def crop_and_flip(
    images: mg.Tensor, generator: np.random.Generator, crop: int, flip: bool
) -> mg.Tensor:
    """Shift each image by up to ``crop`` pixels either way, black filling in, and mirror half.

    Equal to a random crop of the image padded by ``crop`` zeros.

    Args:
        images: uint8 (N, C, H, W).
        generator: draws N row shifts, N column shifts, then N mirrorings.

    Returns:
        uint8 (N, C, H, W), its memory batch-innermost as the engine's convolutions like it.
    """
    xp = mg.get_xp(images.data)
    n, c, h, w = images.shape
    dy, dx = generator.integers(0, 2 * crop + 1, (2, n)) - crop
    mirror = generator.random(n) < 0.5 if flip else np.zeros(n, bool)
    # Source row and column of every target pixel, (H, N) and (W, N); outside the image: the last
    # pixel of a frame of one black pixel.
    rows = np.arange(h)[:, None] + dy
    cols = np.where(mirror, w - 1 - np.arange(w)[:, None], np.arange(w)[:, None]) + dx
    rows, cols = (np.where((i >= 0) & (i < size), i, size) for i, size in ((rows, h), (cols, w)))
    framed = xp.zeros((n, c, h + 1, w + 1), images.dtype)
    framed[:, :, :h, :w] = images.data
    source = rows[:, None] * (w + 1) + cols + np.arange(n) * (c * (h + 1) * (w + 1))
    planes = np.arange(c)[:, None, None, None] * ((h + 1) * (w + 1))
    picked = framed.reshape(-1)[xp.asarray(planes + source)]
    return mg.Tensor(picked.transpose(3, 0, 1, 2))


def normalize(images: mg.Tensor, mean: Any, std: Any) -> mg.Tensor:
    """uint8 pixels as float32 (pixel / 255 − mean) / std per channel, in the same memory order."""
    xp = mg.get_xp(images.data)
    scale = xp.asarray(1 / (255 * np.asarray(std)), np.float32)
    shift = xp.asarray(np.asarray(mean) / np.asarray(std), np.float32)
    memory = images.data.transpose(1, 2, 3, 0)  # batch innermost, so that convolutions need no copy
    out = memory * scale[:, None, None, None] - shift[:, None, None, None]
    return mg.Tensor(xp.ascontiguousarray(out).transpose(3, 0, 1, 2))


def training(recipe: Recipe) -> mg.data.Transform:
    """The transform of training batches."""

    def apply(images: mg.Tensor, generator: np.random.Generator) -> mg.Tensor:
        if recipe.crop or recipe.flip:
            images = crop_and_flip(images, generator, recipe.crop, recipe.flip)
        return normalize(images, recipe.mean, recipe.std)

    return apply


def evaluation(recipe: Recipe) -> mg.data.Transform:
    """The transform of test batches: normalisation alone."""
    return lambda images, _: normalize(images, recipe.mean, recipe.std)
