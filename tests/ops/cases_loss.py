"""Losses: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import loss, pair_loss
from tests.common import seeds
from tests.ops.cases_activation import STRIPS
from tests.ops.driver import Arguments, Cases

SHAPES = st.sampled_from([(0, 3), (1, 1), (1, 10), (5, 3), (130, 4), (2, 40), (3, 4, 2), (2, 3, 5)])
REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


@st.composite
def cross_entropy(draw: st.DrawFn) -> Arguments:
    generator, shape = np.random.default_rng(draw(seeds)), draw(SHAPES)
    x = generator.standard_normal(shape) * draw(st.sampled_from([1, 100, 1e4]))
    options = {"reduction": draw(REDUCTIONS), "from_log": draw(st.booleans())}
    weight = generator.random(shape[1]) * (generator.random(shape[1]) < 0.8)
    options |= {"smoothing": draw(st.sampled_from([0.0, 0.1, 1.0]))}
    options |= {"weight": draw(st.sampled_from([None, weight]))}
    if draw(st.booleans()):  # probabilities
        p = generator.random(shape)
        return [x], options | {"target": np.where(p < 0.3, 0, p), "used": None}
    index = generator.integers(0, shape[1], x.size // shape[1])
    return [x], options | {"target": index, "used": generator.random(index.shape) < 0.8}


@st.composite
def focal_loss(draw: st.DrawFn) -> Arguments:
    generator, shape = np.random.default_rng(draw(seeds)), draw(SHAPES)
    x = generator.standard_normal(shape) * draw(st.sampled_from([1, 30]))
    target = generator.integers(0, shape[1], x.size // shape[1])
    options = {"gamma": draw(st.sampled_from([0.0, 0.5, 2.0])), "reduction": draw(REDUCTIONS)}
    return [x], options | {"target": target, "weight": generator.random(target.shape), "norm": 2.5}


@st.composite
def class_indices(draw: st.DrawFn) -> Arguments:
    generator, shape = np.random.default_rng(draw(seeds)), draw(SHAPES)
    integer = draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    x = generator.standard_normal(shape)
    flat = generator.integers(0, shape[1], x.size // shape[1]).astype(integer)
    return [x, flat, draw(st.sampled_from([None, -100, 0]))], {}


@st.composite
def distribution(draw: st.DrawFn) -> Arguments:
    (x, flat, _), _ = draw(class_indices())
    generator = np.random.default_rng(draw(seeds))
    weight = draw(st.sampled_from([None, generator.random(x.shape[1])]))
    used = generator.random(flat.shape) < 0.8
    options = {"weight": weight, "smoothing": draw(st.sampled_from([0.2, 0.1, 0.0]))}
    return [x], options | {"flat": flat.astype(np.int64), "used": used}


@st.composite
def pairs(draw: st.DrawFn, *choices: dict[str, float]) -> Arguments:
    """Predictions and targets, some of them equal."""
    generator = np.random.default_rng(draw(seeds))
    shape = draw(st.sampled_from([(), (0, 3), (1,), (5, 3), (2, 40), (3, 700)]))
    a, b = 2 * generator.standard_normal((2, *shape))
    b = np.where(generator.random(shape) < 0.2, a, b)
    options = draw(st.sampled_from(choices or ({},)))
    return [np.asarray(a), np.asarray(b)], {"reduction": draw(REDUCTIONS), **options}


@st.composite
def probabilities(draw: st.DrawFn) -> Arguments:
    (p, t), options = draw(pairs())
    p, t = (np.asarray(np.clip(abs(x) / 2, 0, 1)) for x in (p, t))
    return [p, t, draw(st.sampled_from([None, np.full(p.shape[-1:], 0.5)]))], options


@st.composite
def divergence(draw: st.DrawFn) -> Arguments:
    """Some probabilities are 0."""
    (a, p), options = draw(pairs({"log_target": False}, {"log_target": True}))
    return [a, p if options["log_target"] else np.asarray(np.maximum(p, 0))], options


@st.composite
def logits(draw: st.DrawFn) -> Arguments:
    (x, t), options = draw(pairs())
    x = np.asarray(x * draw(st.sampled_from([1, 20])))
    positive = draw(st.sampled_from([np.full((1,) * x.ndim, 3.0), np.full(x.shape, 3.0), None]))
    return [x, t, None, positive], options


FLOATS = (np.float32, np.float64)  # the targets of float16 are float32
PIECES = {"minigrad.cpu.loss.FEW": (0,), "minigrad.cpu.loss.PIECE": (1, 1 << 16)}
BLOCKS = {"minigrad.cpu.blocks.LARGE": (0,), "minigrad.cpu.elementwise.BLOCK": (16, 1 << 18)}
CASES = {
    loss._cross_entropy: Cases(
        cross_entropy(), dtypes=FLOATS, limits=STRIPS, special=True, batch_last=False
    ),
    loss._focal_loss: Cases(focal_loss(), dtypes=FLOATS, limits=STRIPS, batch_last=False),
    loss._class_indices: Cases(class_indices()),
    loss._distribution: Cases(distribution()),
    pair_loss._kl_div: Cases(
        divergence(), dtypes=FLOATS, limits=BLOCKS, special=True, batch_last=False
    ),
    **{
        operation: Cases(drawn, limits=PIECES, special=True, batch_last=False)
        for operation, drawn in {
            pair_loss._mse_loss: pairs(),
            pair_loss._l1_loss: pairs(),
            pair_loss._smooth_l1_loss: pairs({"beta": 0.7}, {"beta": 1e-3}),
            pair_loss._huber_loss: pairs({"delta": 0.7}, {"delta": 100.0}),
            pair_loss._binary_cross_entropy: probabilities(),
            pair_loss._bce_with_logits: logits(),
        }.items()
    },
}
