"""Reductions."""

from __future__ import annotations

from tests.parity.driver import Call, Drawer
from tests.parity.table import entry


@entry("Tensor.sum", bound="sum")
@entry("Tensor.mean", bound="sum")
def total(d: Drawer) -> Call:
    x = d.array(d.shape())
    options = {"dim": d.dims(x.ndim), "keepdim": d([True, False])}
    return Call([x], options=d([options, options, {}]))


@entry("var_mean", bound="all", examples=60)
@entry("std_mean", bound="all", examples=60)
@entry("Tensor.var", bound="all")
@entry("Tensor.std", bound="all")
def variance(d: Drawer) -> Call:
    call = total(d)
    if call.options.get("dim") == ():  # where PyTorch's gradient is that of another variance
        del call.options["dim"]
    if call.options and d.rarely(3):
        dim = call.options.pop("dim", None)
        call.args = (dim, d([True, False]))  # unbiased
    elif d.rarely(3):
        return Call(call.arrays, (d([True, False]),))
    else:
        call.options |= d([{}, {"correction": d([0, 1, 2, 0.5, 100])}])
    return call


@entry("Tensor.max")
@entry("Tensor.min")
@entry("Tensor.argmax")
def extreme(d: Drawer) -> Call:
    x = d.array(d.shape())
    options = {"dim": d.dim(x.ndim), "keepdim": d([True, False])}
    return Call([x], options=d([options, options, {}]))
