"""Frames: gradients by finite differences, and errors; values are in tests/parity."""

from __future__ import annotations

import pytest
import torch

import minigrad as mg
from tests.common import LAYOUTS, compare, grid, refuses

F, T = mg.functional, torch.nn.functional
X = mg.ones(2, 3)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients(device, mode, layout):
    for amounts, shape in (((1, 2), (2, 3, 4)), ((2, 0, 1, 1), (2, 2, 3, 3))):
        params = {"pad": amounts, "mode": mode}
        compare(F.pad, T.pad, [grid(shape)], params, device=device, layout=layout)


def test_frames_wider_than_the_image(device):
    for mode, amounts in (("reflect", (3, 3)), ("circular", (4, 4)), ("replicate", (9, 7))):
        params = {"pad": amounts, "mode": mode}
        compare(F.pad, T.pad, [grid((1, 2, 4))], params, device=device)


def test_negative_amounts_take_away(device):
    for amounts in ((-1, 2), (-2, -1), (0, 0, -1, 3)):
        compare(F.pad, T.pad, [grid((3, 4))], {"pad": amounts}, device=device)


@pytest.mark.parametrize(
    ("amounts", "options", "error", "text"),
    [
        ((1,), {}, ValueError, "pad: expected pairs for at most 2 dimensions, got (1,)"),
        ((1,) * 6, {}, ValueError, "pad: expected pairs for at most 2 dimensions"),
        ((1, 0.5), {}, TypeError, "pad: expected a whole number, got 0.5"),
        (2, {}, TypeError, "pad: expected a tuple or list, got 2"),
        ((-2, -2), {}, ValueError, "pad: (-2, -2) takes away more than shape (2, 3) has"),
        ((1, 1), {"mode": "mirror"}, ValueError, "mode: expected 'constant', 'reflect', "),
        ((3, 0), {"mode": "reflect"}, ValueError, "pad: expected at most 2 for a size of 3"),
        ((0, 4), {"mode": "circular"}, ValueError, "pad: expected at most 3 for a size of 3"),
        ((1, 1), {"mode": "reflect", "value": 1.0}, ValueError, "value: mode 'reflect' takes none"),
        ((1, 1, 1, 1), {"mode": "reflect"}, ValueError, "pad: mode 'reflect' expects pairs for"),
    ],
)
def test_errors(amounts, options, error, text):
    x = torch.ones(2, 3)
    refuses(error, text, lambda: F.pad(X, amounts, **options), lambda: T.pad(x, amounts, **options))


def test_negative_amounts_of_copies():
    text = "pad: negative amounts are not supported in mode 'circular'"
    refuses(NotImplementedError, text, lambda: F.pad(X, (-1, 1), "circular"))
