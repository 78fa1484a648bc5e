"""Test-time augmentation: the mean of a model's logits over six views of an image."""

from __future__ import annotations

from collections.abc import Iterator

import minigrad as mg

WEIGHTS = (1 / 2, 1 / 4, 1 / 4)  # of the image, and of it moved by one pixel either way


def views(images: mg.Tensor) -> Iterator[tuple[float, mg.Tensor]]:
    """Six views of images (N, C, H, W) with their weights, which sum to 1: the image (1/2), and the
    image shifted by one pixel down and right, and up and left (1/4 each), with its outermost pixels
    mirrored at the edges. Each view and its mirror image share the weight (Jordan, arXiv
    2404.00498).
    """
    xp = mg.get_xp(images.data)
    memory = images.data.transpose(1, 2, 3, 0)  # convolutions are fastest batch-innermost
    height, width = memory.shape[1:3]
    padded = xp.pad(memory, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    for weight, start in zip(WEIGHTS, (1, 0, 2), strict=True):
        view = padded[:, start : start + height, start : start + width]
        for one in (view, view[:, :, ::-1]):
            yield weight / 2, mg.Tensor(xp.ascontiguousarray(one).transpose(3, 0, 1, 2))


def logits(model: mg.nn.Module, images: mg.Tensor) -> mg.Tensor:
    """The weighted mean of the model's logits over the :func:`views`: (N, classes)."""
    first, *others = (model(view) * weight for weight, view in views(images))
    return sum(others, first)
