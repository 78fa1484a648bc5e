"""Gradients of gradients: of every public operation PyTorch's, or it is refused by name."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import REFUSALS, grid, host
from tests.parity.differences import DIFFERENCES
from tests.parity.driver import ORDINARY, OUR_REFUSALS, Call, Drawer, Entry
from tests.parity.table import ENTRIES

NO_SECOND = "create_graph=True is not supported"


def drawn(entry: Entry, number: int) -> Call:
    drawer = Drawer(entry, number, kinds=(ORDINARY,), ints=False)
    drawer.dtype = "float64"
    return entry.draw(drawer)


def dtype_of(x: Any) -> str:
    return str(x.dtype).replace("torch.", "")


def second(
    name: str, m: Any, grad: Any, function: Any, call: Call, xs: list[Any], tensor: Any
) -> list[Any] | None:
    """The derivatives of Σ w · dL/dx by every input and by the gradient of the result; None where
    there is nothing to differentiate."""
    y = function(*xs, *call.args, **call.options)
    y = y[0] if isinstance(y, tuple) else y
    if not isinstance(y, m.Tensor) or not y.requires_grad or not math.isfinite(y.sum().item()):
        return None
    if name == "Tensor.std" and 0 in y.detach().numpy():
        return None  # of an element without a direction
    seed = tensor(grid(tuple(y.shape), seed=1).astype(dtype_of(y)))
    seed.requires_grad_()
    wanted = [x for x in xs if x is not None and x.requires_grad]
    first = grad(y, wanted, seed, create_graph=True, allow_unused=True)
    sums = [
        (g * tensor(grid(tuple(g.shape), seed=2).astype(dtype_of(g)))).sum()
        for g in first
        if g is not None and g.requires_grad
    ]
    if not sums:
        return None
    return list(grad(sums, [*wanted, seed], allow_unused=True))


@pytest.mark.parametrize("name", ENTRIES)
def test_as_pytorch(name):
    for number in range(12):
        agree(name, ENTRIES[name], drawn(ENTRIES[name], number))


def agree(name: str, entry: Entry, call: Call) -> None:
    active = [
        a is not None and a.dtype.kind == "f" and i not in call.fixed
        for i, a in enumerate(call.arrays)
    ]
    if not any(active) or not all(a is None or a.size for a in call.arrays):
        return
    ours, theirs = (
        [
            None if a is None else tensor(np.array(a, order="C"))
            for a in call.arrays
        ]
        for tensor in (mg.tensor, torch.tensor)
    )  # fmt: skip
    for i in np.flatnonzero(active):
        ours[i].requires_grad_()
        theirs[i].requires_grad_()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = second(
                name, torch, torch.autograd.grad, entry.theirs, call, theirs, torch.tensor
            )
    except (*REFUSALS, OverflowError, AssertionError):
        return  # of the call itself, or PyTorch has no second derivative
    try:
        entry.ours(*ours, *call.args, **call.options)
    except (*OUR_REFUSALS, OverflowError):
        return  # test_parity's matter
    try:
        found = second(name, mg, mg.autograd.grad, entry.ours, call, ours, mg.tensor)
    except NotImplementedError as error:
        if NO_SECOND in str(error):
            return
        raise
    if any(d.differs(entry, call) for d in DIFFERENCES.values()):
        return
    for i, (mine, right) in enumerate(zip(found or [], expected or [], strict=False)):
        if mine is right:  # None
            continue
        shape = tuple((mine if right is None else right).shape)
        mine = np.zeros(shape) if mine is None else host(mine)
        right = np.zeros(shape) if right is None else right.numpy(force=True)
        finite = np.isfinite(right)  # elsewhere there is no derivative
        rtol = 1e-3 if "float32" in f"{call} {right.dtype} {mine.dtype}" else 1e-8
        atol = rtol * max(1, np.abs(right[finite]).max(initial=0))
        np.testing.assert_allclose(mine[finite], right[finite], rtol, atol, err_msg=f"{name}, {i}")
    if expected is None or found is None:
        for gradient in expected or found or []:
            assert gradient is None or not np.any(host(gradient) if found else gradient.numpy())
