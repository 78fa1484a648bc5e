"""A recorded step is the step that would have run anyway, and leaves no trace."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.events import Listener, listen
from minigrad.explore.capture import record
from minigrad.explore.page import page
from minigrad.kept import kept_arrays, owner
from tests.common import host
from tests.explore.nets import Net, step


def named(recording, name):
    return next(value for value in recording.values if value.name == name)


def operations(recording, kind):
    return [recording.definitions[recording.runs[s.run].definition].name
            for s in recording.steps if s.kind == kind]  # fmt: skip


def test_gradients_are_those_of_a_plain_step():
    net, loss, inputs = step()
    recording = record(loss, inputs)
    mg.manual_seed(0)
    Net(), mg.randn(3, 3, 8, 8)  # the draws before the step
    loss(**inputs).backward()
    for name, p in net.named_parameters():
        value = named(recording, name)
        assert value.landed
        assert value.gradient.norm == pytest.approx(float(np.linalg.norm(p.grad.data)), rel=1e-5)
        shown = p.grad.data[:8, :8] if p.ndim == 4 else p.grad.data
        assert np.array_equal(value.gradient.maps.reshape(shown.shape), shown)


def test_no_trace_is_left():
    net, loss, inputs = step()
    loss(**inputs).backward()
    gradients = {name: (p.grad, p.grad.data.copy()) for name, p in net.named_parameters()}
    buffers = {name: (b.data, b.data.copy()) for name, b in net.named_buffers()}
    mg.manual_seed(7)
    expected = mg.randn(4).tolist()
    mg.manual_seed(7)
    record(loss, inputs)
    assert mg.randn(4).tolist() == expected
    for name, p in net.named_parameters():
        grad, values = gradients[name]
        assert p.grad is grad
        assert np.array_equal(grad.data, values)
    for name, b in net.named_buffers():
        array, values = buffers[name]
        assert b.data is array
        assert np.array_equal(array, values)


def test_a_loss_that_seeds_leaves_no_trace():
    """In the main thread, whose sequence others share, and in another."""
    _, loss, inputs = step()

    def seeding(images, labels):
        mg.manual_seed(5)
        return loss(images, labels) * mg.rand(1).sum()

    def draws(recorded):
        if recorded:
            record(seeding, inputs)
        with ThreadPoolExecutor(1) as pool:
            return mg.rand(2).tolist(), pool.submit(lambda: mg.rand(2).tolist()).result()

    found = []
    for recorded in (False, True):
        mg.manual_seed(7)
        found.append(draws(recorded))
    assert found[0] == found[1]
    with ThreadPoolExecutor(1) as pool:  # a thread that has not seeded
        mg.manual_seed(7)
        pool.submit(record, seeding, inputs).result()
        assert (mg.rand(2).tolist(), pool.submit(lambda: mg.rand(2).tolist()).result()) == found[0]


def test_no_trace_is_left_by_an_error():
    net, loss, inputs = step()
    net.stem.weight.grad = mg.ones(net.stem.weight.shape)
    before = net.blocks[0].bn.running_mean.tolist()

    def failing(images, labels):
        loss(images, labels)
        raise KeyError("labels")

    with pytest.raises(KeyError):
        record(failing, inputs)
    assert net.stem.weight.grad.tolist() == mg.ones(net.stem.weight.shape).tolist()
    assert net.blocks[0].bn.running_mean.tolist() == before


def test_terms_add_up():
    """To the blocks' inputs come two gradients each; sums are those of the terms."""
    _, loss, inputs = step()
    recording = record(loss, inputs)
    twice = [value for value in recording.values if len(value.terms) == 2]
    assert len(twice) == 2
    for value in twice:
        first, second = value.terms
        assert first.total is None
        np.testing.assert_allclose(
            second.total.maps, first.sample.maps + second.sample.maps, rtol=1e-5, atol=1e-8
        )
        assert value.gradient is second.total
    for value in recording.values:
        assert not value.terms or value.gradient is not None


def test_steps_come_in_the_true_order():
    heard = []

    class Order(Listener):
        def operation(self, name, inputs, params, result):
            heard.append(name)

        def derivative(self, node, g, gradients):
            heard.append(node.operation.name)

    _, loss, inputs = step()
    with listen(Order()):
        recording = record(loss, inputs)
    assert operations(recording, "forward") + operations(recording, "backward") == heard
    assert recording.steps[-1].kind == "leaves"


def test_memory_is_what_derivatives_keep():
    """After each forward step: the arrays that the closures so far name, each counted once, but for
    those of leaves. After the last backward step nothing but the leaves' gradients is left."""
    net, loss, inputs = step()
    leaves = {id(owner(t.data)) for t in (*net.parameters(), *inputs.values())}
    sizes: list[int] = []
    alive: dict[int, int] = {}

    class Sizes(Listener):
        def operation(self, name, inputs, params, result):
            for _, array in kept_arrays(result.node.backward):
                if id(owner(array)) not in leaves:
                    alive[id(owner(array))] = owner(array).nbytes
            sizes.append(sum(alive.values()))

    with listen(Sizes()):
        recording = record(loss, inputs)
    assert [s.kept for s in recording.steps if s.kind == "forward"] == sizes
    last = recording.steps[-1]
    assert (last.kept, last.moving) == (0, 0)
    assert last.leaves == sum(p.data.nbytes for p in net.parameters())
    assert recording.peak >= max(sizes)


def test_nothing_is_held():
    """Memory is freed as the sweep passes, as without being watched."""
    net, loss, inputs = step()
    leaves = {id(owner(t.data)) for t in (*net.parameters(), *inputs.values())}
    kept, alive = [], []

    class Kept(Listener):
        def operation(self, name, inputs, params, result):
            owners = [owner(array) for _, array in kept_arrays(result.node.backward)]
            kept.append([weakref.ref(a) for a in owners if id(a) not in leaves and a.ndim])

        def begin_derivative(self, node, g):
            alive.append([any(ref() is not None for ref in refs) for refs in kept if refs])

    with listen(Kept()):
        record(loss, inputs)
    assert all(alive[0])
    assert alive[-1] == [True, *[False] * (len(alive[-1]) - 1)]


def test_modules_by_their_paths():
    _, loss, inputs = step()
    recording = record(loss, inputs)
    paths = [recording.path(run.module) for run in recording.runs]
    names = [recording.definitions[run.definition].name for run in recording.runs]
    assert list(zip(names, paths, strict=True))[:4] == [
        ("conv2d", "stem"), ("conv2d", "blocks.0.conv"), ("batch_norm", "blocks.0.bn"),
        ("add", "blocks.0"),
    ]  # fmt: skip
    assert paths[-1] == ""
    assert {value.kind for value in recording.values} == {"result", "parameter", "input"}
    assert [value.name for value in recording.values if value.kind == "input"] == ["images"]


def test_a_tape_that_is_there_already():
    net, loss, inputs = step()
    mg.manual_seed(3)
    watched = record(loss, inputs)
    tape = loss(**inputs)
    recording = record(tape, {"stem": net.stem.weight})
    assert not recording.watched
    assert operations(recording, "backward") == operations(watched, "backward")
    assert named(recording, "stem").gradient.norm == named(watched, "stem.weight").gradient.norm
    assert [run.params for run in recording.runs] == [{}] * len(recording.runs)
    assert all(run.seconds is None and run.seconds_backward > 0 for run in recording.runs)
    assert any(kept.sample for run in recording.runs for kept in run.kept)
    assert net.stem.weight.grad is None
    tape.backward()
    assert net.stem.weight.grad is not None
    with pytest.raises(RuntimeError, match="freed"):
        record(tape)


def test_a_gradient_that_a_hook_changes():
    x = mg.tensor([1.0, 2.0], requires_grad=True)

    def loss():
        y = x * 3
        y.register_hook(lambda grad: grad * 10)
        return y.sum()

    recording = record(loss)
    y, leaf = (value for value in recording.values if value.shape == (2,) and value.terms)
    if leaf.kind == "result":
        y, leaf = leaf, y
    assert y.terms[0].sample.maps.ravel().tolist() == [1.0, 1.0]
    assert y.gradient.maps.ravel().tolist() == [10.0, 10.0]
    assert leaf.gradient.maps.ravel().tolist() == [30.0, 30.0]


def test_a_tensor_made_before_the_step():
    """Its gradient is shown; its graph, and the gradients of that, stay as they were."""
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    w.grad = mg.tensor([5.0, 5.0])
    before = (w * 3) * w
    recording = record(lambda before: (before * before).sum(), {"before": before})
    value = named(recording, "before")
    assert value.kind == "input"
    assert value.gradient.maps.ravel().tolist() == [6.0, 24.0]
    assert operations(recording, "backward") == ["sum", "mul"]
    assert w.grad.tolist() == [5.0, 5.0]
    assert recording.steps[-1].moving == 0
    before.sum().backward()
    assert w.grad.tolist() == [11.0, 17.0]


def test_what_runs_without_being_recorded():
    """The accuracy beside the loss is an operation, too, but has no derivative."""
    x = mg.tensor([1.0, -2.0], requires_grad=True)

    def loss():
        with mg.no_grad():
            x.abs()
        return x.sum()

    recording = record(loss)
    assert [run.recorded for run in recording.runs] == [False, True]
    assert operations(recording, "backward") == ["sum"]


@pytest.mark.parametrize(
    ("loss", "error", "match"),
    [
        (lambda: 3.0, TypeError, "loss: expected a Tensor, got 3.0"),
        (lambda: mg.ones(2, requires_grad=True), ValueError, r"one element, got shape \(2,\)"),
        (lambda: mg.ones(1), RuntimeError, "loss: it does not require grad"),
        ("loss", TypeError, "loss: expected a function"),
    ],
)
def test_refusals(loss, error, match):
    with pytest.raises(error, match=match):
        record(loss)


def test_a_leaf_is_a_loss():
    recording = record(mg.tensor(2.0, requires_grad=True))
    assert [step.kind for step in recording.steps] == ["leaves"]
    assert recording.values[0].gradient.norm == 1


def test_a_module_called_twice_and_two_models():
    first, second = nn.Linear(3, 3), nn.Linear(3, 1)
    recording = record(lambda x: second(first(first(x))).sum(), mg.ones((2, 3)))
    assert [recording.path(run.module) for run in recording.runs] == ["Linear"] * 3 + [""]
    shared = named(recording, "weight")
    assert (shared.shape, shared.uses, len(shared.terms)) == ((3, 3), 2, 2)
    assert named(recording, "Linear.weight").shape == (1, 3)
    assert named(recording, "input 0").shape == (2, 3)


@given(st.lists(st.sampled_from("asmr"), min_size=1, max_size=12), st.integers(0, 2**16))
def test_any_graph(names, seed):
    """Gradients of random graphs, in which values are used several times, are those of backward."""
    x = mg.tensor(np.random.default_rng(seed).normal(size=3).astype(np.float32), requires_grad=True)

    def loss():
        made = [x]
        for i, name in enumerate(names):
            a, b = made[-1], made[(seed >> i) % len(made)]
            made.append({"a": a + b, "s": a - b, "m": a * b, "r": a.relu()}[name])
        return made[-1].sum()

    recording = record(loss)
    loss().backward()
    value = recording.values[0]
    assert value.uses >= len(value.terms)
    if x.grad is None:
        assert not value.terms
    else:
        np.testing.assert_array_equal(value.gradient.maps.ravel(), x.grad.data)
    order = {s.run: i for i, s in enumerate(recording.steps) if s.kind == "backward"}
    for value in recording.values:
        assert [order[t.operation] for t in value.terms] == sorted(
            order[t.operation] for t in value.terms
        )


def test_on_each_device(device):
    net, loss, inputs = step()
    net.to(device)
    inputs = {name: x.to(device) for name, x in inputs.items()}
    recording = record(loss, inputs)
    loss(**inputs).backward()
    for name, p in net.named_parameters():
        expected = np.linalg.norm(host(p.grad))
        assert named(recording, name).gradient.norm == pytest.approx(float(expected), rel=1e-4)
    details = {run.details.get("kind") for run in recording.runs}
    assert details >= {"conv2d", "batch_norm", "max_pool2d", "cross_entropy"}
    assert (recording.steps[-1].kept, recording.steps[-1].moving) == (0, 0)
    assert page(recording, "")
