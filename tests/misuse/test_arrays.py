"""Arrays that NumPy has and PyTorch has not: read-only, memory-mapped, subclasses, other byte
orders, float16. They work as any other, forward and backward, or are refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from tests.common import grid, host, refuses, set_compiled
from tests.parity.driver import OUR_REFUSALS, Call, Entry, drawn
from tests.parity.table import ENTRIES

F = mg.functional


def read_only(array: np.ndarray) -> np.ndarray:
    array = np.array(array, order="K")
    array.flags.writeable = False
    return array


def outcome(
    entry: Entry, call: Call, wanted: frozenset[int], change: Callable[[np.ndarray], np.ndarray]
) -> list[Any]:
    """Results and gradients where every array is first changed, or the refusal's text."""
    mg.manual_seed(0)
    given = enumerate(call.arrays)
    xs = [None if a is None else mg.Tensor(change(a), i in wanted) for i, a in given]
    try:
        outputs = entry.ours(*xs, *call.args, **call.options)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        first = outputs[0]
        if isinstance(first, mg.Tensor) and first.requires_grad:
            seed = change(grid(first.shape, seed=1).astype(first.dtype))
            first.backward(mg.Tensor(seed), retain_graph=True)
            first.backward(mg.Tensor(seed))
    except (*OUR_REFUSALS, OverflowError) as error:  # int(infinity)
        return [str(error)]
    grads = [x.grad for x in xs if x is not None and x.grad is not None]
    return [host(y) if isinstance(y, mg.Tensor) else y for y in (*outputs, *grads)]


@pytest.fixture
def plain():
    """Plain NumPy; the compiled kernels' loops are tried below, which compile for each kind."""
    with set_compiled(False):
        yield


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("name", ENTRIES)
def test_read_only_arrays_are_as_good_as_any(name):
    for number in range(8):
        call, _, wanted = drawn(ENTRIES[name], number)
        found = outcome(ENTRIES[name], call, wanted, read_only)
        expected = outcome(ENTRIES[name], call, wanted, lambda a: a.copy(order="K"))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


LAYERS = {  # that have compiled kernels, at sizes that take them
    "Winograd": (lambda x, w, b: F.conv2d(x, w, b, padding=1), (16, 16, 8, 8), (16, 16, 3, 3)),
    "direct": (lambda x, w, b: F.conv2d(x, w, b), (8, 2, 6, 6), (16, 2, 5, 5)),
    "batch norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (16, 4, 4), (4,)),
    "batch norm in evaluation": (
        lambda x, w, b: F.batch_norm(x, b.detach(), w.detach(), w, b, relu=True), (16, 4, 4), (4,)
    ),
    "max pooling": (lambda x, w, b: F.max_pool2d(x, 2), (16, 2, 4, 4), (2,)),
    "dropout": (lambda x, w, b: F.dropout(x, 0.5), (16, 4), (4,)),
    "relu": (lambda x, w, b: F.relu(x), (16, 4), (4,)),
}  # fmt: skip


def layer_outcome(name: str, change: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    layer, *shapes = LAYERS[name]
    shapes.append(shapes[1][:1])
    arrays = [grid(s, i, 0.1, 1.0).astype(np.float32) for i, s in enumerate(shapes)]
    x, w, b = (mg.Tensor(change(a), requires_grad=True) for a in arrays)
    mg.manual_seed(0)
    y = layer(x, w, b)
    # Not y: what batch norm makes of that is 0 but for rounding.
    y.backward(mg.Tensor(change(grid(y.shape, 9).astype(np.float32))))
    return [host(t) for t in (y, x.grad, w.grad, b.grad) if t is not None]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", LAYERS)
def test_read_only_arrays_in_compiled_kernels(name):
    found, expected = layer_outcome(name, read_only), layer_outcome(name, np.copy)
    for ours, theirs in zip(found, expected, strict=True):  # other loops, which round otherwise
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("name", LAYERS)
def test_float16_is_computed(name):
    found = layer_outcome(name, lambda a: a.astype(np.float16))
    for ours, theirs in zip(found, layer_outcome(name, np.copy), strict=True):
        assert ours.dtype == np.float16
        np.testing.assert_allclose(
            ours, theirs, rtol=0.01, atol=0.01 * max(1, np.abs(theirs).max())
        )


@pytest.mark.parametrize("rule", ["SGD", "Adam", "RMSprop"])
def test_float16_is_optimised_without_kernels(rule):
    p = mg.Tensor(np.ones(3, np.float16), requires_grad=True)
    options = {} if rule == "Adam" else {"momentum": 0.9}
    optimizer = getattr(mg.optim, rule)([p], lr=0.1, **options)
    for _ in range(2):
        p.grad = mg.Tensor(np.ones(3, np.float16))
        optimizer.step()
    assert p.dtype == np.float16
    assert (host(p) < 1).all()


def test_memory_mapped_arrays(tmp_path):
    np.arange(6, dtype=np.float32).tofile(tmp_path / "x")
    for mode in ("r", "r+", "c"):
        mapped = np.memmap(tmp_path / "x", np.float32, mode, shape=(2, 3))
        for x in (mg.Tensor(mapped, requires_grad=True), mg.tensor(mapped, requires_grad=True)):
            y = (x * mg.ones(2, 3)).sum() + x.mean()
            y.backward()
            assert type(y.data) is type(x.data) is np.ndarray
            assert y.item() == 17.5
            np.testing.assert_allclose(host(x.grad), 1 + 1 / 6, rtol=1e-6)
    layer = nn.Linear(3, 2)
    layer.load_state_dict({"weight": mapped, "bias": mapped[:, 0]})
    np.testing.assert_array_equal(host(layer.weight), mapped)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_multiplied_element_by_element():
    x = mg.Tensor(np.matrix([[1.0, 2.0], [3.0, 4.0]]))
    assert host(x * x).tolist() == [[1, 4], [9, 16]]
    assert x.reshape(4).shape == (4,)


def test_python_numbers_are_rounded_once():
    assert mg.tensor([0.1], dtype="float64").item() == 0.1
    assert mg.tensor(16777217.0, dtype="int64").item() == 16777217
    assert mg.tensor([0.1]).dtype == np.float32
    assert math.isinf(mg.tensor(1e300).item())
    assert math.isinf(mg.tensor([1e300], dtype="float32").item())
    for number in (2.0**63, -(2.0**64)):
        refuses(ValueError, "does not fit into int64", lambda n=number: mg.tensor([n], "int64"))


def test_a_tensor_is_iterated_by_its_first_dimension():
    assert [host(row).tolist() for row in mg.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert list(mg.zeros(0, 2)) == []
    refuses(TypeError, "iteration over a 0-d tensor", lambda: list(mg.tensor(5.0)))


def test_numbers_beyond_float64():
    for call in (
        lambda: F.pad(mg.ones(1), (1, 1), value=10**400),
        lambda: F.leaky_relu(mg.ones(1), 10**400),
        lambda: mg.ones(1).clamp(10**400),
    ):
        refuses(ValueError, "does not fit into float", call)
