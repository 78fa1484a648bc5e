"""torch.autograd's functions and modes: each program runs in PyTorch too."""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from tests.common import grid, refuses, seeds
from tests.test_tape import BINARY, UNARY


def both(program):
    """What ``program`` makes, in PyTorch and here; both must agree."""
    ours, theirs = program(mg), program(torch)
    assert ours == theirs
    return ours


def numbers(tensors):
    return [None if t is None else np.round(t.detach().numpy(), 9).tolist() for t in tensors]


# ---------------------------------------------------------------------------- grad


@given(st.data(), seeds)
def test_random_graphs(data, seed):
    """Any graph, any of its tensors as inputs and outputs, hooks and retained gradients: first and
    second gradients, what the hooks see, and every ``grad``."""
    picks = st.tuples(st.sampled_from(BINARY + UNARY), st.tuples(*[st.integers(0, 99)] * 2))
    steps = data.draw(st.lists(picks, min_size=1, max_size=8))
    some = st.lists(st.integers(0, len(steps) + 1), min_size=1, max_size=3)
    wanted, outputs, hooked, retained = (data.draw(some) for _ in range(4))
    arrays = [grid((2, 3), seed + i, -0.5, 0.5) for i in range(2)]

    def run(m, grad, tensor):
        leaves = [tensor(a).requires_grad_() for a in arrays]
        values = list(leaves)
        for function, (i, j) in steps:
            picked = values[i % len(values)], values[j % len(values)]
            values.append(function(*picked) if function in BINARY else function(picked[0]))
        seen = []
        for k in hooked:
            values[k].register_hook(lambda g, k=k: seen.append((k, *numbers([g]))))
        for k in retained:
            values[k].retain_grad()
        y = sum((values[k] * tensor(grid(tuple(values[k].shape), 1))).sum() for k in outputs)
        xs = [values[k] for k in wanted]
        found = grad(y, xs, create_graph=True, allow_unused=True)
        if all(g is None for g in found):
            return None
        sums = [(g * g).sum() for g in found if g is not None and g.requires_grad]
        second = grad(sums, leaves, allow_unused=True, materialize_grads=True) if sums else []
        grads = numbers(v.grad for v in (*leaves, *(values[k] for k in retained)))
        return numbers(found), numbers(second), grads, sorted(seen, key=str)

    ours = run(mg, mg.autograd.grad, mg.tensor)
    theirs = run(torch, torch.autograd.grad, torch.tensor)
    if theirs is None:
        assert ours is None
        return
    for mine, right in zip(ours[:3], theirs[:3], strict=True):
        assert len(mine) == len(right)
        for a, b in zip(mine, right, strict=True):
            assert (a is None) == (b is None)
            np.testing.assert_allclose(a or 0, b or 0, atol=1e-7)
    assert [k for k, _ in ours[3]] == [k for k, _ in theirs[3]]


def test_what_grad_leaves_alone():
    def program(m):
        x = m.tensor([1.0, 2.0], requires_grad=True)
        y = (x * x).sum()
        (first,) = m.autograd.grad(y, x, retain_graph=True)
        both_of_x = m.autograd.grad(y, [x, x], retain_graph=True)
        itself = m.autograd.grad(y, y, retain_graph=True)
        leaf = m.autograd.grad(x, x, m.tensor([5.0, 7.0]))
        y.backward()
        return numbers([first, *both_of_x, *itself, *leaf, x.grad]), first.requires_grad

    both(program)


def test_inputs_of_backward():
    def program(m):
        x, w = (m.tensor([1.0, 2.0], requires_grad=True) for _ in "xw")
        h = x * w
        (h * h).sum().backward(inputs=[x, h])
        m.autograd.backward([w * 2, (w * w).sum()], [m.tensor([1.0, 2.0]), None], inputs=w)
        return numbers([x.grad, h.grad, w.grad])

    both(program)


def test_freed_graphs():
    x = mg.tensor([1.0], requires_grad=True)
    h = x * x
    y, z = h * 2, h * 3
    mg.autograd.grad(y, x)
    text = "the graph behind 'mul' has been freed"
    refuses(RuntimeError, text, lambda: mg.autograd.grad(z, x))
    assert mg.autograd.grad(h * 4, h)[0].item() == 4  # what was freed is not passed
    (g,) = mg.autograd.grad(x * x * x, x, create_graph=True, retain_graph=False)
    assert g.item() == 3


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda y, x: mg.autograd.grad(y, mg.ones(2)), RuntimeError, "number 0 does not require"),
        (lambda y, x: mg.autograd.grad(y, []), RuntimeError, "inputs: expected at least one"),
        (lambda y, x: mg.autograd.grad([], x), RuntimeError, "outputs: expected at least one"),
        (lambda y, x: mg.autograd.grad(y.detach(), x), RuntimeError, "does not require grad"),
        (lambda y, x: mg.autograd.grad(y, x, [None, None]), RuntimeError, "one for each of 1"),
        (lambda y, x: mg.autograd.grad(x * 2, x), RuntimeError, "needs an explicit gradient"),
        (lambda y, x: mg.autograd.grad(y, x, mg.ones(2)), ValueError, "gradient: expected shape"),
        (
            lambda y, x: mg.autograd.grad(y, mg.ones(2, requires_grad=True)),
            RuntimeError,
            "no output depends on number 0; allow_unused=True gives None",
        ),
        (
            lambda y, x: mg.autograd.grad(y, x, is_grads_batched=True),
            NotImplementedError,
            "is_grads_batched",
        ),
        (
            lambda y, x: mg.autograd.grad(y, x, allow_unused=False, materialize_grads=True),
            ValueError,
            "allow_unused",
        ),
    ],
)
def test_errors(call, error, text):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    refuses(error, text, lambda: call(y, x))
    assert mg.autograd.grad(y, x)[0].numpy().tolist() == [2, 4]  # nothing was freed


def test_grad_fn():
    def program(m):
        x, w = (m.tensor([1.0, 2.0], requires_grad=True) for _ in "xw")
        y = x * w
        z = y + 1
        (edge, _), (none, _) = z.grad_fn.next_functions
        leaf = y.grad_fn.next_functions[0][0]
        return (
            z.grad_fn.name(), edge is y.grad_fn, none, leaf.name(), leaf.variable is x, x.grad_fn,
            "grad_fn=<AddBackward0>" in repr(z),
        )  # fmt: skip

    both(program)


def test_backward_with_create_graph():
    def program(m):
        x = m.tensor([1.0, 2.0], requires_grad=True)
        (x * x * x).sum().backward(create_graph=True)
        first = x.grad
        x.grad = None
        first.sum().backward()
        return numbers([first, x.grad]), first.requires_grad

    with pytest.warns(UserWarning, match="reference cycle"):  # of PyTorch
        both(program)
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    (y * x).sum().backward(create_graph=True)
    node, x.grad = weakref.ref(y.node), None
    del y
    assert node() is None


def test_no_circle_keeps_a_recorded_gradient():
    gc.collect()
    gc.disable()
    try:
        x = mg.tensor([1.0, 2.0], requires_grad=True)
        y = x.sigmoid().sum()
        (g,) = mg.autograd.grad(y, x, create_graph=True)
        nodes = [weakref.ref(t.node) for t in (y, g)]
        del y, g
        assert not any(node() for node in nodes)
    finally:
        gc.enable()


# ---------------------------------------------------------------------------- whole programs


def network(m, smooth=True):
    layers = m.nn if m is torch else nn
    return layers.Sequential(
        layers.Conv2d(3, 4, 3, padding=1), layers.GELU() if smooth else layers.LeakyReLU(0.2),
        layers.AvgPool2d(2), layers.Conv2d(4, 5, 3), layers.SiLU() if smooth else layers.ReLU(),
        layers.Flatten(), layers.Linear(20, 6), layers.Tanh(), layers.Linear(6, 3),
    )  # fmt: skip


def twins(smooth):
    ours, theirs = network(mg, smooth).to("float64"), network(torch, smooth).double()
    ours.load_state_dict({k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def test_hessian_vector_products_of_a_network():
    def products(m, model):
        f = m.nn.functional if m is torch else mg.functional
        x, target = m.tensor(grid((2, 3, 8, 8))), m.tensor([0, 2])
        parameters = list(model.parameters())
        loss = f.cross_entropy(model(x), target, label_smoothing=0.1)
        slopes = m.autograd.grad(loss, parameters, create_graph=True)
        along = sum((s * m.tensor(grid(tuple(s.shape), 3))).sum() for s in slopes)
        third = m.autograd.grad(along, parameters, create_graph=True)
        return [*third, *m.autograd.grad(sum((t * t).sum() for t in third), parameters)]

    ours, theirs = twins(smooth=True)
    for mine, right in zip(products(mg, ours), products(torch, theirs), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), right.detach().numpy(), 1e-9, 1e-11)


def test_training_with_a_gradient_penalty():
    def train(m, model):
        optimizer = m.optim.Adam(model.parameters(), lr=0.01)
        losses = []
        for step in range(3):
            x = m.tensor(grid((4, 3, 8, 8), step)).requires_grad_()
            scores = model(x)
            (g,) = m.autograd.grad(scores.sum(), x, create_graph=True)
            norms = (g.reshape(4, -1) ** 2).sum(1).sqrt()
            loss = scores.mean() + 10 * ((norms - 1) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    ours, theirs = twins(smooth=False)
    np.testing.assert_allclose(train(mg, ours), train(torch, theirs), 1e-9)
    for mine, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), right.detach().numpy(), 1e-7, 1e-9)


FUNCTIONS = {
    "vector": (lambda a, b: (a * b).exp().sum(1), 2),
    "pair": (lambda a, b: (a * a * b, b.sin().sum()), 2),
    "scalar": (lambda a, b: (a * a * b).sum() + (b * b * b).sum(), 2),
    "unused": (lambda a, b: (a * a).sum(), 2),
    "one": (lambda a: (a * a * a).sum(), 1),
}


def nested(result):
    return [nested(r) for r in result] if isinstance(result, tuple) else result.tolist()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("product", ["jacobian", "hessian", "hvp", "vhp", "vjp", "jvp"])
def test_functional(product, name, create_graph):
    function, count = FUNCTIONS[name]
    if product in ("hessian", "hvp", "vhp") and name in ("vector", "pair"):
        return

    def run(m):
        inputs = [m.tensor(grid((2, 3), i)).requires_grad_(create_graph) for i in range(count)]
        given = tuple(inputs) if count > 1 else inputs[0]
        given_v = {}
        if product not in ("jacobian", "hessian"):
            y = function(*inputs)
            like = (y if isinstance(y, tuple) else (y,)) if product == "vjp" else inputs
            v = tuple(m.tensor(grid(tuple(t.shape), 7)) for t in like)
            given_v = {"v": v if len(v) > 1 else v[0]}
        of = getattr(m.autograd.functional, product)
        return nested(of(function, given, create_graph=create_graph, **given_v))

    mine, right = run(mg), run(torch)
    flat = lambda r: [x for part in r for x in flat(part)] if isinstance(r, list) else [r]  # noqa: E731
    assert str(np.shape(flat(mine))) == str(np.shape(flat(right)))
    np.testing.assert_allclose(flat(mine), flat(right), 1e-9, 1e-9)


# ---------------------------------------------------------------------------- modes


def test_modes():
    def program(m):
        seen = [m.is_grad_enabled()]
        note = lambda: seen.append((m.is_grad_enabled(), m.is_inference_mode_enabled()))  # noqa: E731
        with m.no_grad():
            note()
            with m.enable_grad():
                note()
            m.enable_grad(note)()
            m.enable_grad()(note)()
            note()
        m.no_grad(note)()
        with m.set_grad_enabled(False):
            note()
        note()
        m.set_grad_enabled(False)
        note()
        m.set_grad_enabled(True)
        decorated = m.set_grad_enabled(False)(note)
        note()
        decorated()
        note()
        with m.inference_mode():
            note()
            with m.inference_mode(False):
                note()
            note()
        with m.inference_mode(False):
            note()
        m.inference_mode(note)()
        with pytest.raises(KeyError), m.inference_mode():
            raise KeyError
        note()
        return seen

    both(program)


def test_gradgradcheck_finds_a_wrong_rule():
    @mg.op(twice=mg.Diagonal())
    def square(x):
        return x * x, lambda g, needs: (2 * g * x,)

    x = mg.tensor([0.5, -1.0], dtype="float64", requires_grad=True)
    assert mg.gradcheck(square, x)
    with pytest.raises(AssertionError, match="input 0, index"):
        mg.gradgradcheck(square, x)
    assert not mg.gradgradcheck(square, x, raise_exception=False)
    refuses(ValueError, "inputs: expected", lambda: mg.gradgradcheck(square, mg.ones(2)))


def test_the_page_on_autograd():
    page = Path(__file__).parents[1] / "docs/autograd.md"
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    assert len(names["products"]) == len(names["parameters"])


def test_variable_is_a_tensor_outside_of_its_graph():
    for m in (mg, torch):
        x = m.ones(3, requires_grad=True)
        y = m.autograd.Variable(x * 2)
        assert type(y) is m.Tensor
        assert (y.is_leaf, y.requires_grad) == (True, False)
        y.fill_(5)
        assert m.autograd.Variable(y, requires_grad=True).requires_grad
        assert isinstance(x, m.autograd.Variable)
        assert not isinstance(1.0, m.autograd.Variable)
    x = mg.zeros(2)
    mg.autograd.Variable(x).fill_(1)
    assert x.tolist() == [1, 1]  # one memory
    refuses(NotImplementedError, "volatile=True", lambda: mg.autograd.Variable(x, volatile=True))
    refuses(TypeError, "data: expected a Tensor", lambda: mg.autograd.Variable(1.0))
