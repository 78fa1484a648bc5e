"""Muon takes PyTorch's steps, and its iteration takes singular values where its polynomial does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from minigrad.optim.muon import orthogonal
from tests.common import LAYOUTS, host, lay_out, refuses, seeds
from tests.optim.twins import STEPS, TIGHT, Twins, make

SHAPES = ((3, 5), (4, 4), (6, 2), (1, 3))
OPTIONS = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-4, 0.5),
        "weight_decay": st.sampled_from((0, 0.1, 0.5)),
        "momentum": st.sampled_from((0.0, 0.6, 0.95)),
        "nesterov": st.booleans(),
        "ns_coefficients": st.sampled_from(((3.4445, -4.7750, 2.0315), (1.5, -0.5, 0.0))),
        "eps": st.sampled_from((1e-7, 10.0)),
        "ns_steps": st.integers(0, 6),
        "adjust_lr_fn": st.sampled_from((None, "original", "match_rms_adamw")),
    }
)


def steps(options, dtype, seed):
    twins = Twins(SHAPES, dtype, seed)
    pair = make("Muon", twins, **options)
    for _ in range(STEPS):
        twins.step(*pair)
    return twins


@pytest.mark.parametrize("dtype", TIGHT)
@given(options=OPTIONS, seed=seeds)
@settings(max_examples=25)
def test_steps_are_pytorchs(dtype, options, seed):
    """But for its iteration in bfloat16, which is given the parameters' dtype here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        twins = steps(options, dtype, seed)
    scale = max(1.0, *(float(q.detach().abs().max()) for q in twins.theirs))
    twins.check({np.float64: 1e-10, np.float32: 1e-4}[dtype] * scale)


def test_steps_are_pytorchs_to_bfloat16():
    steps({"lr": 0.1, "weight_decay": 0}, np.float32, 0).check(0.02)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 1)])
@given(seed=seeds, count=st.integers(0, 8))
@settings(max_examples=10)
def test_singular_values_follow_the_polynomial(shape, seed, count):
    """The definition, by a singular value decomposition in float64."""
    matrix = np.random.default_rng(seed).normal(size=shape)
    left, s, right = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(count):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    found = orthogonal(matrix, (3.4445, -4.7750, 2.0315), count, 1e-7)
    np.testing.assert_allclose(found, left @ np.diag(s) @ right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_a_filter_is_a_matrix(layout):
    """(O, C, 3, 3) is (O, 9 C), whatever its memory order."""
    rng = np.random.default_rng(0)
    start, *gradients = rng.normal(size=(4, 6, 2, 3, 3))
    filters = mg.Tensor(lay_out(start, layout), requires_grad=True)
    matrix = mg.Tensor(start.reshape(6, 18), requires_grad=True)
    pair = optim.Muon([filters], lr=0.1), optim.Muon([matrix], lr=0.1)
    for g in gradients:
        filters.grad, matrix.grad = mg.Tensor(g), mg.Tensor(g.reshape(6, 18))
        for optimizer in pair:
            optimizer.step()
    np.testing.assert_allclose(host(filters).reshape(6, 18), host(matrix), rtol=1e-12)
    assert filters.data.strides == lay_out(start, layout).strides


@given(seed=seeds, nesterov=st.booleans())
@settings(max_examples=10)
def test_its_authors_steps_of_filters(seed, nesterov):
    """Jordan's: p ← √O p / ‖p‖ − η o with a momentum that sums gradients. The definition, by a
    singular value decomposition in float64."""
    rng = np.random.default_rng(seed)
    start, *gradients = rng.normal(size=(4, 4, 2, 3, 3))
    p = mg.tensor(start, requires_grad=True)
    options = {"momentum": 0.6, "nesterov": nesterov, "ns_steps": 3, "weight_decay": 0.0}
    optimizer = optim.Muon([p], lr=0.24, normalize_weight=True, **options)
    expected, momentum = start, 0.0
    for g in gradients:
        p.grad = mg.tensor(g)
        optimizer.step()
        momentum = 0.6 * momentum + g
        update = g + 0.6 * momentum if nesterov else momentum
        left, s, right = np.linalg.svd(update.reshape(4, 18), full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(3):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        expected = 2 * expected / np.linalg.norm(expected)
        expected = expected - 0.24 * (left @ np.diag(s) @ right).reshape(4, 2, 3, 3)
    np.testing.assert_allclose(host(p), expected, rtol=1e-9, atol=1e-9)


def test_no_rows():
    p = mg.zeros(0, 3, requires_grad=True)
    p.grad = mg.zeros(0, 3)
    optim.Muon([p]).step()
    assert p.shape == (0, 3)


def test_vectors_are_refused():
    for shape in ((3,), ()):
        text = f"params: expected matrices or filters, of 2 dimensions or more, got {shape}"
        refuses(ValueError, text, lambda s=shape: optim.Muon([mg.zeros(s)]))
