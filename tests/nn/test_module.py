"""Module trees have PyTorch's names, order, state and modes; loading is all or nothing."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import host, refuses, signature

MEMBERS = (
    "apply buffers children eval load_state_dict modules named_buffers named_children "
    "named_modules named_parameters parameters state_dict train zero_grad"
)
LIBRARIES = {"minigrad": nn, "torch": torch.nn}


def residual(lib):
    """A custom module: members of all kinds, defined in an order that is not that of the keys."""

    class Residual(lib.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = lib.BatchNorm2d(width)
            buffer = np.full(2, 7, np.float32)
            if lib is nn:
                self.steps = mg.tensor(buffer)
            else:
                self.register_buffer("steps", torch.tensor(buffer))
            self.convs = lib.ModuleList(
                [lib.Conv2d(width, width, 3, padding=1), lib.Conv2d(width, width, 1, bias=False)]
            )
            ones = np.ones((1,), np.float32)
            self.scale = lib.Parameter(mg.tensor(ones) if lib is nn else torch.tensor(ones))

        def forward(self, x, gain=1.0):
            y = self.norm(x)
            for conv in self.convs:
                y = conv(y)
            return x + y * self.scale * gain

    return Residual(4)


def sequential(lib):
    return lib.Sequential(
        lib.Conv2d(3, 4, 3, padding=1),
        lib.BatchNorm2d(4),
        lib.ReLU(),
        lib.Sequential(lib.Flatten(), lib.Linear(64, 5, bias=False), lib.BatchNorm1d(5)),
    )


def nested(lib):
    return lib.Sequential(lib.Conv2d(3, 4, 1), residual(lib), lib.Dropout(0.0), residual(lib))


def named(lib):
    return lib.Sequential(
        collections.OrderedDict(stem=lib.Conv2d(3, 4, 3, bias=False), act=lib.ReLU())
    )


def shared(lib):
    """One parameter under two names, one module in two places, and one twice in a Sequential."""
    first, second, conv = lib.Linear(4, 4), lib.Linear(4, 4), lib.Conv2d(3, 3, 1)
    second.weight = first.weight
    relu = lib.ReLU()
    return lib.Sequential(
        conv, relu, conv, relu, lib.AdaptiveAvgPool2d(2), lib.Flatten(1), lib.Linear(12, 4),
        first, relu, second,
    )  # fmt: skip


TREES = (sequential, nested, named, shared)
each_tree = pytest.mark.parametrize("tree", TREES, ids=lambda t: t.__name__)


def twins(tree):
    """The same tree in both libraries with PyTorch's random weights, buffers moved off defaults."""
    theirs, ours = tree(torch.nn), tree(nn)
    for b in theirs.buffers():
        b.copy_(torch.rand(b.shape) + 1)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def images():
    return np.random.default_rng(0).normal(size=(3, 3, 4, 4)).astype(np.float32)


@each_tree
def test_state_dict_is_pytorchs(tree):
    ours, theirs = twins(tree)
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(reference)
    for name, value in reference.items():
        assert f"torch.{mine[name].dtype}" == str(value.dtype)
        assert mine[name].shape == tuple(value.shape)
        np.testing.assert_array_equal(mine[name].numpy(), value.numpy())


@each_tree
def test_weights_go_to_pytorch(tree):
    mg.manual_seed(3)
    ours, theirs = tree(nn), tree(torch.nn)
    state = {k: torch.from_numpy(np.array(v.numpy())) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    y = ours(mg.tensor(images()))
    np.testing.assert_allclose(
        host(y), theirs(torch.tensor(images())).detach().numpy(), rtol=1e-4, atol=1e-5
    )


@each_tree
@pytest.mark.parametrize("training", [True, False])
def test_forward_and_gradients_are_pytorchs(tree, training):
    ours, theirs = twins(tree)
    ours.train(training)
    theirs.train(training)
    x, tx = mg.tensor(images(), requires_grad=True), torch.tensor(images(), requires_grad=True)
    y, ty = ours(x), theirs(tx)
    np.testing.assert_allclose(host(y), ty.detach().numpy(), rtol=1e-4, atol=1e-5)
    (y * y).sum().backward()
    (ty * ty).sum().backward()
    gradients = {"input": (x.grad, tx.grad)}
    reference = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        gradients[name] = (p.grad, reference[name].grad)
    for name, (g, tg) in gradients.items():
        scale = float(tg.abs().max())
        np.testing.assert_allclose(
            g.numpy(), tg.numpy(), rtol=1e-3, atol=1e-4 * scale + 1e-4, err_msg=name
        )
    assert len(gradients) == 1 + len(reference)
    for (name, b), tb in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(b.numpy(), tb.numpy(), rtol=1e-5, err_msg=name)


@each_tree
@pytest.mark.parametrize("duplicates", [True, False])
@pytest.mark.parametrize("what", ["named_modules", "named_parameters", "named_buffers"])
def test_names_are_pytorchs(tree, what, duplicates):
    ours, theirs = tree(nn), tree(torch.nn)

    def found(model):
        pairs = getattr(model, what)(prefix="net", remove_duplicate=not duplicates)
        return [(name, type(v).__name__, tuple(getattr(v, "shape", ()))) for name, v in pairs]

    mine = found(ours)
    reference = found(theirs)
    if what == "named_buffers":  # a plain Tensor either way
        assert [m[0::2] for m in mine] == [r[0::2] for r in reference]
    else:
        assert mine == reference
    unnamed = getattr(ours, what.removeprefix("named_"))()
    assert [*map(id, unnamed)] == [id(v) for _, v in getattr(ours, what)()]


@each_tree
def test_children_and_direct_members(tree):
    ours, theirs = tree(nn), tree(torch.nn)
    assert [n for n, _ in ours.named_children()] == [n for n, _ in theirs.named_children()]
    assert [type(m).__name__ for m in ours.children()] == [
        type(m).__name__ for m in theirs.children()
    ]
    for a, b in zip(ours.modules(), theirs.modules(), strict=True):
        names = [
            [n for n, _ in getattr(m, kind)(recurse=False)]
            for m in (a, b)
            for kind in ("named_parameters", "named_buffers")
        ]
        assert names[:2] == names[2:]
        assert len([*a.parameters(recurse=False)]) == len(names[0])
        assert len([*a.buffers(recurse=False)]) == len(names[1])


@each_tree
def test_repr_is_pytorchs(tree):
    assert repr(tree(nn)) == repr(tree(torch.nn))


def test_signatures_are_pytorchs():
    """Same names, order and defaults, except ``to``, which takes one device or dtype."""
    for name in MEMBERS.split():
        theirs = signature(getattr(torch.nn.Module, name))
        assert signature(getattr(nn.Module, name)) == theirs, name


def test_apply_visits_in_pytorchs_order():
    visits = []
    for lib in (nn, torch.nn):
        model, visited = nested(lib), []
        assert model.apply(lambda m, v=visited: v.append(type(m).__name__)) is model
        visits.append(visited)
    assert visits[0] == visits[1]


def test_train_eval_zero_grad():
    model = nested(nn)
    assert all(m.training for m in model.modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert model.train() is model
    assert all(m.training for m in model.modules())
    refuses(TypeError, "mode: ", lambda: model.train("yes"))
    model(mg.tensor(images())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_to_device_and_dtype(device):
    model = nested(nn)
    model(mg.tensor(images())).sum().backward()
    parameters = [*model.parameters()]
    before = [host(p) for p in parameters]
    assert model.to(device).to("float64") is model
    for p, q, b in zip(parameters, model.parameters(), before, strict=True):
        assert p is q
        for t in (p, p.grad):
            assert (t.dtype, t.device) == (np.float64, mg.device(device))
        np.testing.assert_array_equal(host(p), b)
    dtypes = {str(b.dtype) for b in model.buffers()}
    assert dtypes == {"float64", "int64"}
    y = model(mg.tensor(images(), dtype="float64", device=device))
    assert y.dtype == np.float64
    refuses(TypeError, "floating dtype", lambda: model.to("int32"))


def test_calling_passes_keywords():
    block = residual(nn)
    x = mg.tensor(np.ones((2, 4, 3, 3), np.float32))
    assert not np.array_equal(host(block(x, gain=2.0)), host(block(x)))
    refuses(NotImplementedError, "Module defines no forward()", lambda: nn.Module()(x))


# ---------------------------------------------------------------------------- loading


def test_every_misfit_is_named_and_nothing_changes():
    model = sequential(nn)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    state = {k: np.zeros_like(v) for k, v in before.items()}
    del state["0.bias"], state["1.running_mean"]
    state |= {"4.weight": np.zeros(1), "extra": np.zeros(1)}
    state["3.1.weight"] = np.zeros((5, 63))
    state["1.weight"] = np.array(["a"] * 4)
    for strict in (True, False):
        with pytest.raises(ValueError, match="state_dict for Sequential") as caught:
            model.load_state_dict(state, strict)
        text = str(caught.value)
        assert "3.1.weight: expected shape (5, 64), got (5, 63)" in text
        assert "1.weight: expected numbers, got <U1" in text
        for problem in (
            "missing 0.bias",
            "missing 1.running_mean",
            "unexpected 4.weight",
            "unexpected extra",
        ):
            assert (problem in text) is strict
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_loading_without_strict_reports_what_it_left_alone():
    ours, theirs = sequential(nn), sequential(torch.nn)
    state = theirs.state_dict()
    removed = state.pop("0.bias")
    state["extra"] = torch.zeros(1)
    mine, reference = (m.load_state_dict(state, strict=False) for m in (ours, theirs))
    assert mine == tuple(reference) == (["0.bias"], ["extra"])
    loaded = ours.state_dict()
    assert not np.array_equal(loaded["0.bias"].numpy(), removed.numpy())
    np.testing.assert_array_equal(loaded["0.weight"].numpy(), state["0.weight"].numpy())
    assert ours.load_state_dict(loaded) == ([], [])


def test_loading_converts_and_copies():
    layer = nn.Linear(2, 1)
    weight = np.array([[1.0, 2.0]])
    layer.load_state_dict({"weight": weight, "bias": mg.tensor([3], dtype="int32")})
    weight[...] = 0
    assert host(layer.weight).tolist() == [[1, 2]]
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert host(layer.bias).tolist() == [3]


def test_unsupported_options():
    model = nn.Linear(1, 1)
    for option, call in (
        ("assign=True", lambda: model.load_state_dict({}, assign=True)),
        ("keep_vars=True", lambda: model.state_dict(keep_vars=True)),
        ("destination={}", lambda: model.state_dict(destination={})),
        ("set_to_none=False", lambda: model.zero_grad(set_to_none=False)),
        ("memo=set()", lambda: list(model.named_modules(memo=set()))),
    ):
        refuses(NotImplementedError, option, call)


# ---------------------------------------------------------------------------- containers


def test_containers_index_as_pytorchs():
    for lib in (nn, torch.nn):
        model = sequential(lib)
        assert isinstance(model[0], lib.Conv2d)
        assert isinstance(model[-1], lib.Sequential)
        assert [*model[1:3].state_dict()] == [f"1.{k}" for k in model[1].state_dict()]
        assert len(model) == len([*model]) == 4
        assert len(shared(lib)) == 10
        layers = lib.ModuleList([lib.Linear(1, 2), lib.ReLU()])
        assert layers.append(lib.Linear(2, 3)) is layers
        assert [*layers.state_dict()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert [*layers[1:].state_dict()] == ["1.weight", "1.bias"]
        assert [type(m) for m in layers] == [lib.Linear, lib.ReLU, lib.Linear]
        assert len(lib.ModuleList()) == 0


def test_containers_take_modules_only():
    refuses(TypeError, "got function at 1", lambda: nn.Sequential(nn.ReLU(), mg.functional.relu))
    refuses(TypeError, "got Tensor at 0", lambda: nn.ModuleList([mg.zeros(1)]))
    refuses(NotImplementedError, "ModuleList", lambda: nn.ModuleList()(mg.zeros(1)))


def test_reassigned_and_removed_members_keep_their_place():
    for lib, zeros in ((nn, mg.zeros), (torch.nn, torch.zeros)):
        layer = lib.Linear(2, 2)
        layer.weight = lib.Parameter(zeros(3, 2))
        assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
        layer.bias = None
        assert [*layer.state_dict()] == ["weight"]
        layer.train(False)
        assert not layer.training
