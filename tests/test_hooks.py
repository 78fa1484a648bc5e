"""Hooks of tensors, retained gradients and handles: each program runs in PyTorch too."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.events import Listener, listen
from minigrad.hooks import Hooks
from minigrad.tape import is_grad_enabled
from tests.common import grid, host, leaf, refuses, seeds
from tests.test_tape import BINARY, UNARY


def vector(m, *values):
    return m.tensor(list(values), requires_grad=True)


def both(program):
    """What ``program`` makes, in PyTorch and here; both must agree."""
    ours, theirs = program(mg), program(torch)
    assert ours == theirs
    return ours


# ---------------------------------------------------------------------------- against PyTorch

EDITS = {
    "look": lambda g: None,
    "double": lambda g: g * 2,
    "add": lambda g: g + 1,
    "itself": lambda g: g,
    "clip": lambda g: g.clamp(-0.5, 0.5),
}


@given(st.data(), seeds)
def test_random_graphs(data, seed):
    """Drawn graphs, hooks, removals, retained gradients: what every hook sees, every ``grad``."""
    picks = st.tuples(st.sampled_from(BINARY + UNARY), st.tuples(*[st.integers(0, 99)] * 2))
    steps = data.draw(st.lists(picks, min_size=1, max_size=8))
    where = st.integers(0, len(steps) + 1)
    hooks = data.draw(st.lists(st.tuples(where, st.sampled_from([*EDITS, "retain"])), max_size=6))
    removed = data.draw(st.sets(st.integers(0, 5)))
    sweeps = data.draw(st.integers(1, 2))
    arrays = [grid((2, 3), seed + i, -0.5, 0.5) for i in range(2)]

    def run(library, leaves):
        seen = {}
        values = list(leaves)
        for function, (i, j) in steps:
            picked = values[i % len(values)], values[j % len(values)]
            values.append(function(*picked) if function in BINARY else function(picked[0]))
        for number, (place, edit) in enumerate(hooks):
            if edit == "retain":
                values[place].retain_grad()
                continue

            def hook(g, number=number, place=place, edit=edit):
                seen.setdefault(place, []).append((number, np.array(g.tolist())))
                return EDITS[edit](g)

            handle = values[place].register_hook(hook)
            if number in removed:
                handle.remove()
        loss = values[-1].sum()
        for sweep in range(sweeps):
            loss.backward(retain_graph=sweep + 1 < sweeps)
        kept = [values[place] for place, edit in hooks if edit == "retain"]
        grads = [None if v.grad is None else np.array(v.grad.tolist()) for v in (*leaves, *kept)]
        return seen, grads, [v.retains_grad for v in values]

    seen, grads, retain = run(mg, [leaf(a) for a in arrays])
    expected = run(torch, [torch.tensor(a, requires_grad=True) for a in arrays])
    assert seen.keys() == expected[0].keys()
    for place, calls in seen.items():
        others = expected[0][place]
        assert [number for number, _ in calls] == [number for number, _ in others]
        for (_, g), (_, other) in zip(calls, others, strict=True):
            np.testing.assert_allclose(g, other, 1e-9, 1e-10)
    for g, other in zip(grads, expected[1], strict=True):
        assert (g is None) == (other is None)
        if g is not None:
            np.testing.assert_allclose(g, other, 1e-9, 1e-10)
    assert retain == expected[2]


def test_the_order_along_a_chain():
    def program(m):
        log = []
        x, w, v, b = (vector(m, 1.0, 2.0) for _ in "xwvb")
        hidden = x * w
        y = hidden * v + b
        loss = y.sum()
        tensors = {"x": x, "w": w, "v": v, "b": b, "hidden": hidden, "y": y, "loss": loss}
        for name, t in tensors.items():
            t.register_hook(lambda g, n=name: log.append((n, g.tolist())))
        loss.backward()
        return log

    names = [name for name, _ in both(program)]
    assert names == ["loss", "y", "b", "v", "hidden", "x", "w"]


def test_a_leaf_sees_the_sum_of_the_sweep():
    def program(m):
        seen = []
        x = vector(m, 2.0)
        x.register_hook(lambda g: seen.append(g.tolist()))
        y = x * x + x
        y.backward(retain_graph=True)
        y.backward()
        return seen, x.grad.tolist()

    assert both(program) == ([[5], [5]], [10])


def test_leaves():
    def program(m):
        late, root, frozen = (vector(m, 2.0) for _ in range(3))
        y = late * 2
        late.register_hook(lambda g: g * 10)  # after it was used
        y.backward()
        root.register_hook(lambda g: g * 10)
        root.backward()
        seen = []
        y = frozen * 2
        frozen.register_hook(lambda g: seen.append(g.tolist()))
        frozen.requires_grad_(False)
        y.backward()
        return late.grad.tolist(), root.grad.tolist(), frozen.grad, seen

    assert both(program) == ([20], [10], None, [[2]])


def test_removal():
    def program(m):
        log, handles = [], {}
        x = vector(m, 2.0)

        def first(g):
            log.append("first")
            handles["first"].remove()
            handles["second"].remove()  # runs once more: its call has begun
            x.register_hook(lambda g: log.append("third"))

        handles["first"] = x.register_hook(first)
        handles["second"] = x.register_hook(lambda g: log.append("second"))
        (x * 2).backward()
        (x * 2).backward()
        handles["first"].remove()
        with x.register_hook(lambda g: g * 5) as handle:
            (x * 2).backward()
        (x * 2).backward()
        handle.remove()
        return log, x.grad.tolist()

    assert both(program) == (["first", "second", "third", "third", "third"], [2 + 2 + 10 + 2])


def test_retained_gradients():
    def program(m):
        x = vector(m, 2.0)
        y = x * 3
        y.retain_grad()
        y.register_hook(lambda g: g * 2)
        y.register_hook(lambda g: g + 1)
        loss = y * 1
        loss.retain_grad()
        loss.backward(retain_graph=True)
        loss.backward()
        x.retain_grad()  # nothing new for a leaf
        flags = [t.retains_grad for t in (x, y, loss)]
        return y.grad.tolist(), loss.grad.tolist(), x.grad.tolist(), flags

    assert both(program) == ([6], [2], [18], [False, True, True])


def test_within_a_hook():
    """Nothing is recorded; ``data`` may be replaced; what is kept does not change."""

    def program(m):
        x, w = vector(m, 2.0), vector(m, 3.0)
        kept, recorded = [], []

        def hook(g):
            recorded.append((g * w).requires_grad)
            kept.append(g)

        def replace(g):
            g.data = (g * 5).data

        x.register_hook(hook)
        for _ in range(2):
            y = x * 2
            y.register_hook(replace)
            y.backward()
        return recorded, [g.tolist() for g in kept], x.grad.tolist()

    assert both(program) == ([False, False], [[10], [10]], [20])
    assert is_grad_enabled()


def test_copies_have_no_hooks():
    def program(m):
        p = m.nn.Parameter(m.tensor([2.0]))
        p.register_hook(lambda g: g * 10)
        copies = [copy.deepcopy(p), copy.copy(p), copy.deepcopy(p.detach().requires_grad_())]
        for t in (*copies, p):
            (t * 1).backward()
        return [t.grad.tolist() for t in (*copies, p)]

    assert both(program) == [[1], [1], [1], [10]]


def test_a_tensor_that_has_gone():
    def program(m):
        log = []

        def loss(x):
            y = x * 2
            y.retain_grad()
            y.register_hook(lambda g: log.append(g.tolist()))
            return y * 1

        loss(vector(m, 1.0)).backward()
        return log

    assert both(program) == [[1]]


# ---------------------------------------------------------------------------- errors


def test_arguments():
    x, plain = vector(mg, 1.0, 2.0), mg.ones(2)
    tx, tplain = vector(torch, 1.0, 2.0), torch.ones(2)
    for name, args in (("register_hook", [print]), ("retain_grad", [])):
        text = f"{name}: this tensor does not require grad"
        calls = (lambda t=t, n=name, a=args: getattr(t, n)(*a) for t in (plain, tplain))
        refuses(RuntimeError, text, *calls)
    refuses(TypeError, "hook: expected a function, got int", lambda: x.register_hook(3))
    with tx.register_hook(3), pytest.raises(TypeError):
        (tx * 2).sum().backward()


def float64(x):
    return x.to("float64") if isinstance(x, mg.Tensor) else x.double()


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (lambda m: 3, TypeError, "expected a Tensor, got int"),
        (lambda m: m.ones(3), ValueError, "expected shape (2,), got (3,)"),
        (lambda m: m.ones(()), ValueError, "expected shape (2,), got ()"),
        (lambda m: float64(m.ones(2)), ValueError, "expected dtype float32, got float64"),
        (lambda m: m.tensor([1, 2]), ValueError, "expected dtype float32, got int64"),
    ],
)
def test_a_result_that_is_no_gradient(result, error, text):
    def call(m, of_leaf):
        x = vector(m, 1.0, 2.0)
        y = x * 2
        (x if of_leaf else y).register_hook(lambda g: result(m))
        return y.sum().backward

    for of_leaf in (True, False):
        refuses(error, f"hook: its result: {text}", call(mg, of_leaf), call(torch, of_leaf))


def test_anomalies_made_by_hooks():
    x = vector(mg, 1.0)
    y = x * 2
    y.register_hook(lambda g: mg.tensor([float("nan")]))
    with mg.detect_anomaly(), pytest.raises(FloatingPointError, match="the gradient of mul's res"):
        y.backward()
    y = x * 2
    y.register_hook(lambda g: (g - 2).log())
    with mg.detect_anomaly(), pytest.raises(FloatingPointError, match="log made 1 NaN of 1 value"):
        y.backward()


def test_a_hook_that_fails():
    """Its exception goes through; the graph is as after any backward, and no ``grad`` changes."""
    x, w = vector(mg, 1.0), vector(mg, 2.0)
    (x * w).backward()
    y = x * 3

    def fail(g):
        raise KeyError(3)

    with y.register_hook(fail):
        loss = y * w
        with pytest.raises(KeyError):
            loss.backward(retain_graph=True)
        assert (x.grad.tolist(), w.grad.tolist()) == ([2], [1])
        assert is_grad_enabled()
    loss.backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([2 + 6], [1 + 3])


# ---------------------------------------------------------------------------- memory, events


def test_no_cycle_keeps_the_graph():
    enabled = gc.isenabled()
    gc.disable()
    try:
        x, kept = vector(mg, 1.0), []
        x.register_hook(kept.append)
        y = x * 2
        y.register_hook(lambda g: g * 2)
        y.retain_grad()
        z = y * 3
        handle = z.register_hook(kept.append)
        nodes, tensors = [weakref.ref(t.node) for t in (y, z)], [weakref.ref(t) for t in (y, z)]
        z.backward(retain_graph=True)
        z.backward()
        del y, z
        assert not any(ref() for ref in (*nodes, *tensors))
        handle.remove()  # of what has gone
        leaf = weakref.ref(x)
        del x
        assert leaf() is None
    finally:
        if enabled:
            gc.enable()


def test_a_handle_keeps_nothing_alive():
    hooks = Hooks()
    hook = type("Hook", (), {"__call__": lambda *_: None})()
    handle, ref = hooks.add(hook), weakref.ref(hook)
    del hook, hooks
    assert ref() is None
    handle.remove()
    assert pickle.loads(pickle.dumps(handle)).remove() is None


def test_handles_are_copied_with_their_hooks():
    hooks = Hooks()
    handle = hooks.add(len)
    hooks.add(abs, prepend=True)
    assert list(hooks.values()) == [abs, len]
    for copies in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        other, of_other = copies((hooks, handle))
        of_other.remove()
        assert list(other.values()) == [abs]
    assert list(hooks.values()) == [abs, len]


def test_listeners_hear_what_hooks_made():
    """A derivative is told with the gradient that it was given, and what a hook computes too."""
    heard = []

    class Everything(Listener):
        def operation(self, name, inputs, params, result):
            heard.append(name)

        def derivative(self, node, g, gradients):
            heard.append((node.operation.name, g.tolist()))

    x = vector(mg, 1.0)
    y = x * 2
    y.register_hook(lambda g: g + 4)
    with listen(Everything()):
        y.backward()
    assert heard == ["add", ("mul", [5.0])]


def test_on_a_device(device):
    x = leaf(grid((2, 3)), device)
    y = x * 2
    seen = []
    x.register_hook(lambda g: seen.append(g.device) or g * 2)
    y.retain_grad()
    y.sum().backward()
    assert seen == [mg.device(device)]
    assert (host(x.grad) == 4).all()
    assert (host(y.grad) == 1).all()


def test_the_page_on_hooks(capsys):
    page = Path(__file__).parents[1] / "docs/hooks.md"
    space = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), space)
    assert all(abs(host(p.grad)).max() <= 0.01 for p in space["model"].parameters())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["Linear", "ReLU", "Linear", "loss"]
