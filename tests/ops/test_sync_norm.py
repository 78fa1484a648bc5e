"""Batch norm over the batches of several ranks is that of the whole batch; ranks are threads."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.sync_norm import sync_batch_norm
from tests.common import grid, leaf, refuses
from tests.distributed.common import on_ranks

pytestmark = pytest.mark.usefixtures("each_way")


@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-12), ("float32", 2e-6)])
@pytest.mark.parametrize("fused", [False, True])
def test_ranks_with_different_numbers_of_images(dtype, limit, fused):
    """Values, gradients and running statistics; one rank has no image."""
    x, g = (grid((7, 3, 2, 2), seed).astype(dtype) for seed in (0, 1))
    z, w, b = grid((7, 3, 2, 2), 2).astype(dtype), grid((3,), 3).astype(dtype), np.ones(3, dtype)
    parts = [slice(0, 4), slice(4, 4), slice(4, 7)]

    def run(rows, function, **more):
        leaves = [leaf(a[rows]) for a in (x, z)] + [leaf(a) for a in (w, b)]
        xs, zs, ws, bs = leaves
        running = mg.zeros(3, dtype=dtype), mg.ones(3, dtype=dtype)
        residual = {"residual": zs, "relu": True} if fused else {}
        y = function(xs, *running, ws, bs, momentum=0.1, eps=1e-5, **more, **residual)
        y.backward(mg.tensor(g[rows]))
        found = [t.grad.numpy() for t in leaves if t.grad is not None]
        return [y.detach().numpy(), *(t.numpy() for t in running), *found]

    def on_rank(rank):
        return run(parts[rank.rank], sync_batch_norm, reduce=lambda a: rank.all_reduce(a).wait())

    whole = run(slice(None), mg.functional.batch_norm, training=True)
    ranks = on_ranks(3, on_rank)
    y, mean, var, gx, *rest = zip(*ranks, strict=True)
    np.testing.assert_allclose(np.concatenate(y), whole[0], rtol=0, atol=limit * 10)
    for each, expected in ((mean, whole[1]), (var, whole[2])):
        for found in each:
            np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)
    np.testing.assert_allclose(np.concatenate(gx), whole[3], rtol=0, atol=limit * 10)
    if fused:
        np.testing.assert_allclose(np.concatenate(rest.pop(0)), whole[4], rtol=0, atol=limit * 10)
    for each, expected in zip(rest, whole[-2:], strict=True):  # summed by the averager
        np.testing.assert_allclose(sum(each), expected, rtol=limit * 10, atol=limit * 10)


def test_what_is_refused():
    def normalize(x, mean):
        return sync_batch_norm(x, mean, mg.ones(2), None, None, 0.1, 1e-5, reduce=lambda _: None)

    refuses(ValueError, "one in all processes", lambda: normalize(mg.ones(1, 2), mg.zeros(2)))
    text = "running_mean: expected memory that can be written to"
    refuses(ValueError, text, lambda: normalize(mg.ones(3, 2), mg.zeros(1).expand(2)))
