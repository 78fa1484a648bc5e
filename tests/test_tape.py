"""The sweep, memory, modes and events."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import op
from minigrad.events import Listener, listen
from minigrad.tape import is_grad_enabled
from tests.common import Operations, compare, grid, leaf, refuses, seeds

# ---------------------------------------------------------------------------- the sweep


def test_diamond_reuse_and_broadcast(device):
    def f(a, b):
        c = a * b
        d = c + c * c
        return d * c - a + b * b * b

    for shape in ((), (3,), (2, 3), (4, 1, 3)):
        compare(f, f, [grid((2, 3)), grid(shape, 1)], device=device)


BINARY = [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b]
UNARY = [
    lambda a: -a,
    lambda a: a * 0.5,
    lambda a: a.tanh(),
    lambda a: a.reshape(3, 2).permute(1, 0),
    lambda a: a.sum(0, keepdim=True).expand(2, 3),
    lambda a: a[:, [0, 0, 2]],
    lambda a: a + a,
]


@given(st.data(), seeds)
def test_random_graphs(data, seed):
    """Any way of combining three leaves: joins, forks, dead ends, leaves that are never used."""
    picks = st.tuples(st.sampled_from(BINARY + UNARY), st.tuples(*[st.integers(0, 99)] * 2))
    steps = data.draw(st.lists(picks, min_size=1, max_size=12))

    def f(*leaves):
        values = list(leaves)
        for function, (i, j) in steps:
            picked = values[i % len(values)], values[j % len(values)]
            values.append(function(*picked) if function in BINARY else function(picked[0]))
        return values[-1]

    arrays = [grid((2, 3), seed + i, -0.5, 0.5) for i in range(3)]
    compare(f, f, arrays, numerical=False)


@pytest.mark.parametrize("ending", ["backward", "drop"])
def test_chain_of_10000(ending):
    """No recursion in forward, backward or deletion."""
    x = mg.tensor([1.0], requires_grad=True)
    y = x + 1
    first = weakref.ref(y.node)
    for _ in range(9_999):
        y = y + 1
    assert y.item() == 10_001
    if ending == "backward":
        y.backward()
        assert x.grad.item() == 1
    del y
    assert first() is None


def test_scalar_chain():
    """Operations on 0-d arrays give NumPy scalars; the sweep carries them on all the same."""
    compare(*[lambda x: ((x.sum() * 2.0).exp() / 3.0 - 1.0).reshape(1, 1)] * 2, [grid((3,))])
    compare(*[lambda x: ((x * 2.0) * 3.0).relu() + x.sigmoid().tanh() - x.abs()] * 2, [grid(())])


def test_gradients_accumulate_and_retain_graph():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad.numpy().tolist() == [6, 6]
    assert x.grad is first
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.numpy().tolist() == [10, 14]


def test_second_backward_is_an_error():
    x = mg.tensor([1.0], requires_grad=True)
    middle = x * 2
    y, z = middle * 3, middle * 4
    y.backward()
    text = "has been freed by an earlier backward(); run forward again, or pass retain_graph=True"
    refuses(RuntimeError, f"backward: the graph behind 'mul' {text}", y.backward)
    refuses(RuntimeError, text, z.backward)
    assert x.grad.item() == 6


def test_backward_of_a_leaf():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    seed = mg.tensor([3.0, 4.0])
    x.backward(seed)
    x.backward(seed)
    assert x.grad.numpy().tolist() == [6, 8]
    assert seed.numpy().tolist() == [3, 4]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda y: y.backward(), RuntimeError, "a tensor of shape (2,) needs an explicit gradient"),
        (lambda y: y.detach().backward(), RuntimeError, "does not require grad"),
        (lambda y: y.backward(1.0), TypeError, "gradient: expected a Tensor, got float"),
        (lambda y: y.backward(mg.ones(3)), ValueError, "gradient: expected shape (2,), got (3,)"),
        (
            lambda y: y.backward(mg.ones(2, dtype="float64")),
            ValueError,
            "gradient: expected dtype float32, got float64",
        ),
    ],
)
def test_backward_errors(call, error, match):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    refuses(error, match, lambda: call(y))
    y.backward(mg.ones(2))  # a refused call has freed nothing
    assert x.grad.numpy().tolist() == [2, 2]


SHARING = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "cat": lambda a, b: mg.cat([a, b]),
    "stack": lambda a, b: mg.stack([a, b]),
    "cat of one twice": lambda a, b: mg.cat([a, b, a]) * 2,
    "parts": lambda a, b: mg.stack([a, b]) * 2,
    "views": lambda a, b: a.reshape(3, 2).permute(1, 0) + b.expand(2, 3),
    "views of products": lambda a, b: (a.reshape(3, 2) * 2).T * 3 + (b.reshape(-1) * 2).view(2, 3),
    "views beside others": lambda a, b: (a.reshape(-1) * 2).reshape(2, 3) * 3 + a * 2 + b,
    "sum": lambda a, b: a.sum() + b.sum(),
    "twice": lambda a, b: a + a + b + b,
    "where": lambda a, b: mg.where(a > b, a, b),
    "identity": lambda a, b: a.to("float64").reshape(2, 3) + b.unsqueeze(0).squeeze(0),
}


@pytest.mark.parametrize("name", SHARING)
def test_each_leaf_owns_its_gradient(name):
    a, b = (leaf(grid((2, 3), i)) for i in range(2))
    y = SHARING[name](a, b)
    seed = mg.ones(y.shape, dtype="float64")
    y.backward(seed)
    memory = [a.data, b.data, a.grad.data, b.grad.data, seed.data]
    for i, one in enumerate(memory):
        assert not any(np.shares_memory(one, other) for other in memory[:i])
        one += 1  # also: every one of them is writable


def test_parts_take_over_the_memory_of_the_whole():
    a, b, c = (leaf(grid((2, 3), i)) for i in range(3))
    (mg.stack([a, b, c]) * 2).backward(mg.ones(3, 2, 3, dtype="float64"))
    bases = [x.grad.data.base for x in (a, b, c)]
    assert bases[0] is not None
    assert all(base is bases[0] for base in bases)


def test_parts_that_overlap_are_copied():
    joined = op(lambda a, b: (np.append(a, b), lambda g, needs: (g[:2], g[1:3])))
    a, b = leaf(grid((2,))), leaf(grid((2,)))
    (joined(a, b) * 2).sum().backward()
    a.grad.data[...] = 0
    assert b.grad.tolist() == [2, 2]


def test_one_array_as_two_gradients():
    """An addition to one of them leaves the other."""
    halves = op(lambda a, b: (a + b, lambda g, needs: (half := g / 2, half)))
    for swapped in (False, True):
        a, b = leaf(grid((3,))), leaf(grid((3,)))
        y = halves(b, a) if swapped else halves(a, b)
        (y + a * 3 + b * 5).sum().backward()
        assert a.grad.tolist() == [3.5] * 3
        assert b.grad.tolist() == [5.5] * 3


@pytest.mark.parametrize("when", ["after forward", "and back again", "only after forward"])
def test_requires_grad_switched_between_forward_and_backward(when):
    found = []
    for module in (mg, torch):
        x, w = (module.ones(3, requires_grad=True) for _ in range(2))
        w.requires_grad_(when != "only after forward")
        y = (x * w).sum()
        w.requires_grad_(when == "only after forward")
        if when == "and back again":
            w.requires_grad_(True)
        y.backward()
        found.append([None if t.grad is None else t.grad.numpy().tolist() for t in (x, w)])
    assert found[0] == found[1]


def test_unused_and_integer_inputs_get_no_gradient():
    x, unused = leaf(grid((2,))), leaf(grid((2,)))
    count = mg.tensor([2, 3])
    (x * count + unused.detach()).sum().backward()
    assert x.grad.numpy().tolist() == [2, 3]
    assert unused.grad is None
    assert count.grad is None


# ---------------------------------------------------------------------------- memory


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("ending", ["backward", "drop"])
def test_graph_is_freed_by_reference_count(ending):
    x = leaf(grid((4, 4)))
    hidden = x.exp()  # its derivative keeps its array
    saved, node = weakref.ref(hidden.data), weakref.ref(hidden.node)
    y = (hidden * hidden).sum()
    del hidden
    assert saved() is not None
    if ending == "backward":
        y.backward()
    else:
        del y
    assert saved() is None
    assert node() is None


@pytest.mark.usefixtures("_no_collector")
def test_sweep_frees_as_it_passes():
    alive = []

    @op
    def probe(x):
        def backward(g, needs):
            alive.append(saved() is not None)
            return (g,)

        return x * 1, backward

    x = leaf(grid((4,)))
    late = probe(x).exp()
    saved = weakref.ref(late.data)
    y = late.sum()
    del late
    y.backward()
    assert alive == [False]


@pytest.mark.usefixtures("_no_collector")
def test_no_grad_keeps_nothing():
    x = leaf(grid((4,)))
    with mg.no_grad():
        hidden = x.exp()
        saved = weakref.ref(hidden.data)
        y = hidden.sum()
    del hidden
    assert saved() is None
    assert y.node is None
    assert not y.requires_grad


# ---------------------------------------------------------------------------- modes


def test_no_grad_nested_decorated_and_after_an_exception():
    @mg.no_grad()
    def frozen(depth):
        assert not is_grad_enabled()
        return frozen(depth - 1) if depth else leaf(1.0) * 2

    assert frozen(2).node is None
    assert is_grad_enabled()
    block = mg.no_grad()
    with block:
        with block, mg.no_grad():
            assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_listeners_hear_every_operation_of_their_thread():
    a, b = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([3.0])
    outer, inner = Operations(), Operations()
    with listen(outer):
        y = a * 2
        with mg.no_grad(), listen(inner):
            a + b
        z = y.sum(0)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: a - b).result()
    _ = a * 3
    assert [name for name, *_ in outer.calls] == ["mul", "add", "sum"]
    assert [name for name, *_ in inner.calls] == ["add"]
    _, inputs, params, result = outer.calls[0]
    assert (inputs[0] is a, inputs[1], params, result is y) == (True, 2, {}, True)
    assert outer.calls[2][2] == {"axes": (0,), "keepdim": False}
    assert outer.calls[2][3] is z

    class Failing(Listener):
        def operation(self, *call):
            raise KeyError

    with pytest.raises(KeyError), listen(Failing()):
        a * 2
    a * 2


def test_listeners_hear_derivatives_and_modules():
    heard = []

    class Everything(Operations):
        def operation(self, name, inputs, params, result):
            heard.append(name)

        def derivative(self, node, g, gradients):
            heard.append(
                (node.operation.name, g.tolist(), [d.tolist() for d in gradients if d is not None])
            )

        def enter(self, module, inputs):
            heard.append(("enter", module))

        def leave(self, module, inputs, result):
            heard.append(("leave", module, result))

    double = mg.nn.Identity()
    double.forward = lambda x: x * 2
    x = mg.tensor([1.0], requires_grad=True)
    with listen(Everything()):
        y = double(x)
        y.backward()
    assert heard == [
        ("enter", double), "mul", ("leave", double, y), ("mul", [1.0], [[2.0]])
    ]  # fmt: skip


def test_no_grad_belongs_to_its_thread():
    seen = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]
