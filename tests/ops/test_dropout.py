"""dropout: frequency, scale, determinism and gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.layout import to_batch_last
from minigrad.rng import Part, part_of_batch
from tests.common import grid, lay_out, layouts, leaf, refuses, seeds, shapes

pytestmark = pytest.mark.usefixtures("each_way")

dropout = mg.functional.dropout


@given(st.sampled_from([0.1, 0.5, 0.9, 1]), shapes(), seeds, layouts)
def test_value_and_gradient(device, p, shape, seed, layout):
    """y = x k / (1 − p) with k of zeros and ones, and the gradient with the same k."""
    for dtype in (np.float32, np.float64):
        a = grid(shape, seed).astype(dtype)
        x = leaf(a, device, layout)
        mg.manual_seed(seed)
        y = dropout(x, p)
        kept = y.detach().cpu().numpy() != 0
        scale = 0 if p == 1 else 1 / (1 - p)
        np.testing.assert_allclose(y.detach().cpu().numpy(), a * kept * scale, rtol=1e-6)
        y.backward(leaf(np.ones(shape, dtype), device, requires_grad=False))
        np.testing.assert_allclose(x.grad.cpu().numpy(), kept * np.float64(scale), rtol=1e-6)
        assert y.dtype == x.grad.dtype == dtype
        assert y.shape == x.grad.shape == shape
        np.testing.assert_array_equal(x.detach().cpu().numpy(), a)


def test_finite_differences():
    def same_mask(x):
        mg.manual_seed(3)
        return dropout(x, 0.4)

    mg.gradcheck(same_mask, leaf(grid((3, 4))))


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
def test_frequency_and_mean(p):
    y = dropout(mg.ones(200, 500), p)
    kept = (y.numpy() != 0).mean()
    assert abs(kept - (1 - p)) < 5 * np.sqrt(p * (1 - p) / y.numel())
    assert abs(y.mean().item() - 1) < 0.02


def test_no_layer_repeats_anothers_mask_and_a_seed_repeats_both(device):
    def draw():
        mg.manual_seed(1, 2)
        return [dropout(mg.ones(8, 8, device=device)).cpu().numpy() for _ in range(2)]

    first, again = draw(), draw()
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (3, 2, 4, 5)])
def test_mask_does_not_depend_on_layout_and_is_drawn_batch_innermost(shape):
    masks = []
    for layout in ("C", "batch innermost", "reversed"):
        mg.manual_seed(0)
        masks.append(dropout(mg.Tensor(lay_out(np.ones(shape), layout))).numpy())
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])
    mg.manual_seed(0)
    flat = dropout(mg.ones(masks[0].size, dtype="float64")).numpy()
    np.testing.assert_array_equal(to_batch_last(masks[0]).reshape(-1), flat)


def test_identity_in_evaluation_or_without_probability():
    x = mg.ones(3)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0) is x
    assert dropout(mg.ones(0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        ((mg.ones(2), 1.5), ValueError, "p: expected a number between 0 and 1, got 1.5"),
        ((mg.ones(2), -0.1), ValueError, "p: expected a number between 0 and 1, got -0.1"),
        ((mg.ones(2), float("nan")), ValueError, "p: expected a number between 0 and 1, got nan"),
        ((mg.ones(2), "half"), TypeError, "p: expected a number, got 'half'"),
        ((mg.tensor([1]),), TypeError, "input: expected a floating dtype, got int64"),
        (([1.0],), TypeError, "input: expected a Tensor, got list"),
    ],
)
def test_errors(args, error, match):
    refuses(error, match, lambda: dropout(*args))


@pytest.mark.parametrize("shape", [(10,), (10, 3), (20, 2, 3), (0, 3)])
@pytest.mark.parametrize("of", [2, 3])
def test_part_of_a_batch(shape, of):
    """Each process draws its rows of the mask of the whole batch; a batch's row may be several of
    the array's."""
    rows = 10 if shape[0] else 0
    each = shape[0] // rows if rows else 1
    mg.manual_seed(1)
    whole = mg.functional.dropout(mg.ones(*shape)).numpy()
    after = mg.rand(1).item()
    for first in range(of):
        part = Part(first, of, rows)
        mine = [r * each + k for r in range(rows)[part.rows] for k in range(each)]
        mg.manual_seed(1)
        with part_of_batch(part):
            found = mg.functional.dropout(mg.ones(len(part) * each, *shape[1:]))
        assert found.tolist() == whole[mine].tolist()
        assert mg.rand(1).item() == after
    with part_of_batch(Part(0, 2, 10)):
        refuses(ValueError, "multiple of the 5 rows", lambda: mg.functional.dropout(mg.ones(7)))
