"""What a model does is recorded whole; what no graph can show is refused."""

from __future__ import annotations

import os
import weakref

import pytest

import minigrad as mg
from minigrad import nn
from tests.common import refuses
from tests.onnx.common import F, Function, assert_same


def test_tracing_keeps_no_results(tmp_path):
    """Batches of many sizes take no more memory than the largest of them."""
    alive = []

    def function(x):
        assert not any(result() for result in alive)
        y = F.relu(x)
        alive.append(weakref.ref(y.data))
        return y + 1

    assert_same(Function(function), (4,), tmp_path, sizes=())
    assert len(alive) > 2


def test_hooks_are_part_of_the_graph(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    model[0].register_forward_pre_hook(lambda module, args: args[0] + 1)
    model[0].register_forward_hook(lambda module, args, y: y * 2)
    assert_same(model, (4,), tmp_path)


def flips():
    state = iter(range(10))
    return lambda x: F.relu(x) if next(state) else F.sigmoid(x)


def doubled(x, y):
    return x - y if len(x) == 2 else y - x


def reused(x):
    """A NumPy array in the place of a result that is gone."""
    y = x * 2
    place = id(y.data)
    del y
    arrays = [x.numpy() * 3 for _ in range(100)]
    return x + mg.Tensor(next((a for a in arrays if id(a) == place), arrays[0]))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: F.dropout(x, 0.5), "no rule for the operation 'dropout'"),
        (lambda x: x.cumprod(1), "no rule for the operation 'cumprod'"),
        (lambda x: x.sort(0).values, "argsort's size depends on the batch size"),
        (lambda x: x.roll(1, 0), "a size of a roll depends on the batch size"),
        (lambda x: x * x.unique().reshape(2, -1)[:, :1], "an operand of reshape depends"),
        (lambda x: x * mg.Tensor(x.numpy() * 2), "an operand of mul depends"),
        (lambda x: x * x.mean().item(), "an operand of mul depends"),
        (lambda x: x / x.shape[0], "an operand of div depends on the batch size"),
        (lambda x: doubled(x, x * 2), "an operand of sub depends"),
        (lambda x: x[: x.shape[0] - 1], "getitem's index depends on the batch size"),
        (lambda x: x[x.numpy()[:, 0] > 0], "getitem's index depends on"),
        (lambda x: x[:, mg.tensor([True, False, True, True])], "an index of bools"),
        (lambda x: x.reshape(-1, 2, 2)[:, [0], [1]], "of several arrays"),
        (lambda x: x.var(0), "var's divisor depends on the batch size"),
        (
            lambda x: (x @ x.T).reshape(1, 1, x.shape[0], x.shape[0]),
            "more than one size of a reshape depends on the batch size",
        ),
        (lambda x: x * (x.shape[0] // 2), "an operand of mul depends on the batch size"),
        (lambda x: x * (x.shape[0] // 16), "an operand of mul depends on the batch size"),
        (lambda x: x + x.shape[0] % 2, "an operand of add depends on the batch size"),
        (lambda x: x + min(x.shape[0], 4), "an operand of add depends on the batch size"),
        (lambda x: x[: x.shape[0] // 2], "getitem's index depends on the batch size"),
        (lambda x: x[x.shape[0] // 3 :], "getitem's index depends on the batch size"),
        (lambda x: F.pad(x, (0, 0, 0, x.shape[0] // 2)), "pad's widths depends on the batch size"),
        (lambda x: x if x.shape[0] < 8 else F.relu(x), "the number of operations depends on the b"),
        (lambda x: x.squeeze() * 2, "reshape's shape depends on the batch size"),
        (lambda x: x.reshape(x.shape[0] // 2, 8), "takes 2 inputs at once and not 1 (ValueError"),
        (
            lambda x: F.adaptive_avg_pool2d(x.reshape(1, 1, *x.shape), 2),
            "adaptive_avg_pool2d's window depends on the batch size",
        ),
        (
            lambda x: F.max_pool2d(x.reshape(1, 1, *x.shape), 1),
            "max_pool2d's out depends on the batch size",
        ),
        (lambda x: x * x.mean().item(), "an operand of mul depends on the input's values"),
        (reused, "an operand of add depends on the input's values"),
        (lambda x: x[:1].expand(x.shape[0], -1), "a size of an expand depends on the batch size"),
        (lambda x: x.reshape(1, 1, *x.shape)[(0,) * (x.shape[0] - 1)], "getitem's index"),
        (lambda x: F.relu(x) if x.shape[0] == 2 else -F.relu(x), "the number of operations"),
        (flips(), "whether sigmoid or relu comes next"),
        (lambda x: x[:, :0].reshape(0), "a tensor without elements"),
        (lambda x: (x, x), "expected a model of one Tensor, got tuple"),
        (
            lambda x: F.batch_norm(x, mg.ones(4), mg.ones(4), training=True),
            "batch_norm's mean depends",
        ),
        (lambda x: (x > 0) + (x < 1), "ONNX does not allow"),
    ],
)
def test_what_no_graph_tells(function, text, tmp_path):
    path = tmp_path / "x.onnx"
    refuses(
        NotImplementedError,
        text,
        lambda: mg.onnx.export(Function(function), mg.zeros(1, 4), path),
    )
    assert os.listdir(tmp_path) == []
