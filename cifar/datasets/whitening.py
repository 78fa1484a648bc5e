"""Whitening filters for small patches of images: a first layer that needs no training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar.datasets import augment
from cifar.errors import UserError

EPS = 5e-4  # of the paper: keeps the rarest components, mostly noise, from being magnified


def filters(images: NDArray[np.float32], side: int, eps: float = EPS) -> NDArray[np.float64]:
    """The principal components of all patches, scaled to variance 1, and their negatives.

    With E[p pᵀ] = Σ λᵢ vᵢ vᵢᵀ of the patches p, the filters are vᵢ / √(λᵢ + ε), then the negatives
    of these (Page, *How to train your ResNet*, 2018; Jordan, arXiv 2404.00498).

    Args:
        images: normalised, (N, C, H, W).
        side: of the patches.

    Returns:
        (2 C side², C, side, side), by rising λ.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), (2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * side * side)
    values, vectors = np.linalg.eigh((patches.T @ patches).astype(np.float64) / len(patches))
    scaled = (vectors / np.sqrt(values + eps)).T.reshape(-1, images.shape[1], side, side)
    return np.concatenate((scaled, -scaled))


def whiten(
    model: mg.nn.Module, images: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """Set the model's layer ``whiten`` to the filters of training images.

    Args:
        images: uint8 (N, C, H, W).
        mean, std: see :func:`cifar.datasets.augment.normalize`.

    Raises:
        UserError: the model has no such layer of the right shape.
    """
    layer = getattr(model, "whiten", None)
    weight = getattr(layer, "weight", None)
    channels, side = images.shape[1], getattr(weight, "shape", (0,))[-1]
    shape = (2 * channels * side * side, channels, side, side)
    if not isinstance(layer, mg.nn.Conv2d) or weight is None or weight.shape != shape:
        raise UserError(
            "whiten: expected a model with a convolution of that name to 2 C k² channels, such as "
            "speed-94; with others whiten is 0"
        )
    normalised = augment.normalize(mg.tensor(images), mean, std).numpy()
    with mg.no_grad():
        weight.copy_(mg.tensor(filters(normalised, side).astype(weight.dtype)).to(weight.device))
