"""The same parameters, gradients and steps in minigrad and PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from tests.common import host, lay_out

STEPS = 8
SHAPES = ((3, 2, 2, 2), (5,), (), (4, 3))
TIGHT = {np.float64: 1e-12, np.float32: 2e-6}

fractions = st.sampled_from((0.0, 0.5, 0.9, 0.99))
common = {
    "lr": st.floats(1e-4, 0.5),
    "weight_decay": st.sampled_from((0, 1e-4, 0.3)),
    "maximize": st.booleans(),
}


class Twins:
    """The same parameters and gradients in minigrad and PyTorch."""

    def __init__(self, shapes=SHAPES, dtype=np.float64, seed=0, layout="C", device="cpu"):
        self.rng = np.random.default_rng(seed)
        arrays = [self.rng.normal(size=s).astype(dtype) for s in shapes]
        self.ours = [mg.Tensor(lay_out(a, layout), True).to(device).detach() for a in arrays]
        for p in self.ours:
            p.requires_grad_()
        self.theirs = [torch.tensor(a, requires_grad=True) for a in arrays]

    def set_gradients(self, without=()):
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            g = self.rng.normal(size=p.shape).astype(p.dtype)
            p.grad = None if i in without else mg.Tensor(g).to(p.device)
            q.grad = None if i in without else torch.tensor(g)

    def step(self, ours, theirs, without=()):
        self.set_gradients(without)
        ours.step()
        theirs.step()

    def check(self, tolerance):
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            expected = q.detach().numpy()
            assert p.dtype == expected.dtype
            np.testing.assert_allclose(
                host(p), expected, rtol=tolerance, atol=tolerance, err_msg=f"parameter {i}"
            )


def make(name, twins, **options):
    pair = getattr(optim, name), getattr(torch.optim, name)
    return tuple(c(p, **options) for c, p in zip(pair, (twins.ours, twins.theirs), strict=True))


def assert_steps_are_pytorchs(name, options, dtype, seed):
    twins = Twins(dtype=dtype, seed=seed)
    pair = make(name, twins, **options)
    for _ in range(STEPS):
        twins.step(*pair)
    scale = max(1.0, *(float(q.detach().abs().max()) for q in twins.theirs))
    twins.check(TIGHT[dtype] * scale * 10)


def assert_factors_close_to_one_count(name, options, number):
    """1 − β in float32 would be mostly rounding, also of an option that is a float32."""

    def rounded(value, number):
        if isinstance(value, tuple):
            return tuple(rounded(v, number) for v in value)
        return value if isinstance(value, bool) else number(value)

    twins = Twins(dtype=np.float32)
    options = {key: rounded(value, number) for key, value in options.items()}
    ours = getattr(optim, name)(twins.ours, lr=1e-2, **options)
    options = {key: rounded(value, float) for key, value in options.items()}
    theirs = getattr(torch.optim, name)(twins.theirs, lr=1e-2, **options)
    for _ in range(3):
        twins.step(ours, theirs)
    twins.check(2e-5)
