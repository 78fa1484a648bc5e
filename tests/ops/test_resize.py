"""Images of another size: gradients by finite differences, and errors; values are in
tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import LAYOUTS, compare, grid, host, refuses

F, T = mg.functional, torch.nn.functional
CALLS = [
    ((2, 3, 4), {"size": 7, "mode": "linear"}),
    ((2, 3, 4), {"scale_factor": 1.7}),
    ((2, 3, 4, 5), {"size": (7, 3), "mode": "bilinear"}),
    ((2, 3, 4, 5), {"scale_factor": 1.7, "mode": "bilinear", "align_corners": True}),
    ((2, 3, 4, 5), {"scale_factor": (2, 0.5), "mode": "nearest-exact"}),
    ((2, 3, 4, 5), {"size": (3, 2), "mode": "area"}),
    ((1, 2, 2, 3, 4), {"size": (3, 5, 2), "mode": "trilinear"}),
]


@pytest.mark.parametrize(("shape", "params"), CALLS)
def test_gradients(device, shape, params):
    for layout in LAYOUTS[:3]:
        compare(F.interpolate, T.interpolate, [grid(shape)], params, device=device, layout=layout)


def test_nearest_pixels_are_pytorchs():
    """Where places lie on the edges of pixels, rounding decides."""
    for n in range(1, 8):
        x = np.arange(n, dtype=np.float32)
        for mode in ("nearest", "nearest-exact"):
            for factor in (0.3, 0.7, 1.0, 1.1, 1.3, 2.0, 2.3, 3.3):
                for shape, factors in (((1, 1, n), factor), ((1, 1, 1, n), (1.0, factor))):
                    if int(n * factor) < 1:
                        continue
                    params = {"scale_factor": factors, "mode": mode}
                    expected = T.interpolate(torch.tensor(x.reshape(shape)), **params)
                    found = F.interpolate(mg.tensor(x.reshape(shape)), **params)
                    np.testing.assert_array_equal(host(found), expected.numpy())


def test_pixels_and_channels(device):
    compare(F.pixel_shuffle, T.pixel_shuffle, [grid((2, 12, 2, 3))], {"upscale_factor": 2})
    options = {"downscale_factor": 3}
    compare(F.pixel_unshuffle, T.pixel_unshuffle, [grid((2, 6, 3))], options, device=device)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"size": 2, "mode": "bicubic"}, NotImplementedError, "mode='bicubic' is not supported"),
        ({"size": 2, "antialias": True}, NotImplementedError, "antialias=True is not supported"),
        ({}, ValueError, "size: expected it or scale_factor"),
        ({"size": 2, "scale_factor": 2}, ValueError, "size: expected it or scale_factor"),
        ({"size": (2, 3, 4)}, ValueError, "size: expected one or 2"),
        ({"size": 0}, ValueError, "size: expected a whole number from 1"),
        ({"scale_factor": 0.1}, ValueError, "input: expected at least one channel and pixel"),
        ({"size": 2, "mode": "linear"}, ValueError, "mode: 'linear' is for 1 dimensions"),
        ({"size": 2, "mode": "cubic"}, ValueError, "mode: expected 'nearest'"),
        ({"size": 2, "align_corners": True}, ValueError, "align_corners: only for the linear"),
        ({"size": 2, "recompute_scale_factor": True}, ValueError, "recompute_scale_factor: only"),
    ],
)
def test_errors(options, error, text):
    x = torch.ones(1, 2, 3, 3)
    theirs = (lambda: T.interpolate(x, **options)) if error is ValueError else None
    refuses(error, text, lambda: F.interpolate(mg.ones(1, 2, 3, 3), **options), theirs)


def test_wrong_shapes_of_shuffles():
    x = mg.ones(3, 1, 2)
    refuses(ValueError, "input: expected a multiple of 4", lambda: F.pixel_shuffle(x, 2))
    refuses(ValueError, "input: expected height", lambda: F.pixel_unshuffle(x, 2))
    refuses(ValueError, "input: expected shape (*, C, H, W)", lambda: F.pixel_shuffle(x[0], 2))
