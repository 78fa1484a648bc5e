"""A write into what a derivative keeps is found; other writes are none of its business."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import writes
from tests.common import refuses

KEPT = "an array that 'mul' keeps has been changed in place since forward"


@pytest.mark.parametrize(
    "change", [lambda x: x.zero_(), lambda x: x[0].fill_(1), lambda x: x.sigmoid_()]
)
def test_kept_memory(change):
    def backward(m):
        x, w = m.ones(3), m.ones(3, requires_grad=True)
        y = (x * w).sum()
        change(x)
        return y.backward

    refuses(RuntimeError, KEPT, backward(mg), backward(torch))


def test_memory_that_is_not_kept():
    for m in (mg, torch):
        x, w = m.ones(3), m.ones(3, requires_grad=True)
        x.add_(1)  # before the operation
        y = (x + w).sum() + (x * w).sum()
        m.ones(3).add_(1)  # of something else
        y.backward()
        x.add_(1)  # afterwards
        assert w.grad.tolist() == [3, 3, 3]


def test_closures_in_closures():
    """The array stands in the closure of a closure."""
    x = mg.ones(2, 2)
    w = mg.ones(2, 2, requires_grad=True)
    y = (x @ w).sum()
    x.zero_()
    refuses(RuntimeError, "'matmul' keeps has been changed in place", y.backward)


def test_objects_in_closures():
    """The array is an attribute of an object that a compiled loss keeps."""
    x, target = mg.rand(1 << 14, requires_grad=True), mg.rand(1 << 14)
    y = mg.functional.mse_loss(x, target)
    target.zero_()
    refuses(RuntimeError, "'mse_loss' keeps has been changed in place", y.backward)


@pytest.mark.parametrize("change", ["step", "init", "load"])
def test_parameters_changed_between_forward_and_backward(change):
    for m in (mg, torch):
        layer = m.nn.Linear(2, 2, bias=False)
        w, x = layer.weight, m.ones(2, requires_grad=True)
        y = (w @ x).sum()
        if change == "step":
            optimizer = m.optim.SGD([w], lr=0.1)
            (w * w).sum().backward()
            optimizer.step()
        elif change == "init":
            m.nn.init.constant_(w, 7.0)
        else:
            layer.load_state_dict({"weight": m.zeros(2, 2)})
        with pytest.raises(RuntimeError, match=r"in.?place"):
            y.backward()


@pytest.mark.parametrize("change", ["norm", "value"])
def test_gradients_clipped_before_they_are_differentiated(change):
    for m in (mg, torch):
        w = m.ones(3, requires_grad=True)
        (w.grad,) = m.autograd.grad((w * w * w).sum(), w, create_graph=True)
        y = (w.grad * w.grad).sum()
        if change == "norm":
            m.nn.utils.clip_grad_norm_(w, 0.1)
        else:
            m.nn.utils.clip_grad_value_(w, 0.1)
        with pytest.raises(RuntimeError, match=r"in.?place"):
            y.backward()


def test_an_average_changed_between_forward_and_backward():
    for m in (mg, torch):
        layer = m.nn.Linear(2, 2, bias=False)
        average = m.optim.swa_utils.AveragedModel(layer)
        for _ in range(2):  # a copy, and an average
            y = (average.module.weight @ m.ones(2, requires_grad=True)).sum()
            average.update_parameters(layer)
            with pytest.raises(RuntimeError, match=r"in.?place"):
                y.backward()


def test_parameters_from_a_vector():
    w, x = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    y = (w * x).sum()
    mg.nn.utils.vector_to_parameters(mg.zeros(3), [w])
    refuses(RuntimeError, KEPT, y.backward)


def test_memory_used_again_is_not_taken_for_what_it_was():
    for _ in range(5):
        a = np.ones(1000)
        writes.note(a)
        del a
        gc.collect()
        w = mg.ones(1000, dtype="float64", requires_grad=True)
        (mg.Tensor(np.ones(1000)) * w).sum().backward()


def test_the_notes_do_not_grow():
    for _ in range(3000):
        writes.note(np.ones(1))
    assert len(writes._written) < 1100
