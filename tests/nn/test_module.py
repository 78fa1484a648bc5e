"""Module trees have PyTorch's names, order, state and modes; loading is all or nothing."""

from __future__ import annotations

import collections
import copy

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import host, refuses


def residual(lib):
    """A custom module: members of all kinds, defined in an order that is not that of the keys."""

    class Residual(lib.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = lib.BatchNorm2d(width)
            tensor = mg.tensor if lib is nn else torch.tensor
            self.register_buffer("steps", tensor(np.full(2, 7, np.float32)))
            self.register_buffer("cache", tensor(np.zeros(3, np.float32)), persistent=False)
            self.register_buffer("mask", None)
            self.register_parameter("shift", None)
            self.plain = tensor(np.zeros(1, np.float32))
            self.convs = lib.ModuleList(
                [lib.Conv2d(width, width, 3, padding=1), lib.Conv2d(width, width, 1, bias=False)]
            )
            self.scale = lib.Parameter(tensor(np.ones((1,), np.float32)))

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
    for name, b in theirs.named_buffers():
        if name in theirs.state_dict():
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


def test_members_by_path():
    for lib in (nn, torch.nn):
        model = nested(lib)
        for path, module in model.named_modules():
            assert model.get_submodule(path) is module
        for path, parameter in model.named_parameters():
            assert model.get_parameter(path) is parameter
        for path, buffer in model.named_buffers():
            assert model.get_buffer(path) is buffer
        for wrong in (
            lambda m=model: m.get_submodule("1.convs.7"),
            lambda m=model: m.get_submodule("1.scale"),
            lambda m=model: m.get_parameter("1.steps"),
            lambda m=model: m.get_parameter("1.convs"),
            lambda m=model: m.get_buffer("1.scale"),
            lambda m=model: m.get_buffer("1.plain"),
        ):
            with pytest.raises(AttributeError):
                wrong()


def test_freezing():
    model = nested(nn)
    assert model[1].requires_grad_(False) is model[1]
    frozen = {id(p) for p in model[1].parameters()}
    assert all(p.requires_grad != (id(p) in frozen) for p in model.parameters())
    assert all(p.requires_grad for p in model.requires_grad_().parameters())


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
    for call, dtype in ((model.half, "float16"), (model.double, "float64"), (model.float, "f4")):
        assert call() is model
        assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}
    assert {p.device for p in model.cpu().parameters()} == {mg.device("cpu")}
    if mg.is_gpu_available():
        assert {p.device for p in model.cuda(0).parameters()} == {mg.device("gpu")}
    else:
        refuses(mg.DeviceError, "'gpu", model.cuda)


def test_calling_passes_keywords():
    block = residual(nn)
    x = mg.tensor(np.ones((2, 4, 3, 3), np.float32))
    assert not np.array_equal(host(block(x, gain=2.0)), host(block(x)))
    refuses(NotImplementedError, "Module defines no forward()", lambda: nn.Module()(x))


# ---------------------------------------------------------------------------- registering


def members(module):
    """Names of the parameters, of the buffers, and of what is saved."""
    found = module.named_parameters(), module.named_buffers(), module.state_dict().items()
    return [[name for name, _ in pairs] for pairs in found]


STEPS = {
    "a tensor set in forward": lambda m, lib, t: setattr(m, "features", t(2)),
    "a buffer": lambda m, lib, t: m.register_buffer("a", t(2)),
    "a buffer assigned anew": lambda m, lib, t: setattr(m, "a", t(3)),
    "a buffer not saved": lambda m, lib, t: m.register_buffer("b", t(2), persistent=False),
    "assigned anew, still not saved": lambda m, lib, t: setattr(m, "b", t(1)),
    "a place for a buffer": lambda m, lib, t: m.register_buffer("c", None),
    "taken": lambda m, lib, t: setattr(m, "c", t(2)),
    "a buffer set to None": lambda m, lib, t: setattr(m, "a", None),
    "and back, in its old place": lambda m, lib, t: setattr(m, "a", t(2)),
    "a saved buffer registered as one that is not": lambda m, lib, t: m.register_buffer(
        "a", t(2), persistent=False
    ),
    "a place for a parameter": lambda m, lib, t: m.register_parameter("p", None),
    "taken by a parameter": lambda m, lib, t: setattr(m, "p", lib.Parameter(t(2))),
    "a parameter set to None": lambda m, lib, t: setattr(m, "p", None),
    "a parameter in a buffer's place": lambda m, lib, t: setattr(m, "c", lib.Parameter(t(2))),
    "a place for another buffer": lambda m, lib, t: m.register_buffer("d", None),
    "a module in a buffer's place": lambda m, lib, t: setattr(m, "d", lib.Linear(1, 1)),
    "a parameter in a module's place": lambda m, lib, t: setattr(m, "d", lib.Parameter(t(1))),
    "a module added": lambda m, lib, t: m.add_module("e", lib.Linear(1, 1)),
    "a place for a module": lambda m, lib, t: m.register_module("f", None),
    "taken by a module": lambda m, lib, t: setattr(m, "f", lib.Linear(1, 1)),
    "a module added anew": lambda m, lib, t: m.add_module("e", lib.Linear(1, 1, False)),
    "removed": lambda m, lib, t: delattr(m, "a"),
    "a plain tensor under the name": lambda m, lib, t: setattr(m, "a", t(2)),
}


def test_what_is_registered_is_pytorchs():
    twins = [(lib.Module(), lib, zeros) for lib, zeros in ((nn, mg.zeros), (torch.nn, torch.zeros))]
    for name, step in STEPS.items():
        for twin in twins:
            step(*twin)
        assert members(twins[0][0]) == members(twins[1][0]), name


@pytest.mark.parametrize(
    ("error", "text", "mistake"),
    [
        (TypeError, "a: expected a Tensor or None, got int", lambda m, t: setattr(m, "a", 1)),
        (TypeError, "p: expected a Parameter or None, got", lambda m, t: setattr(m, "p", t(1))),
        (TypeError, "p: expected a Param", lambda m, t: setattr(m, "p", m.l)),
        (TypeError, "l: expected a Module or None, got", lambda m, t: setattr(m, "l", t(1))),
        (TypeError, "none: expected a Parameter", lambda m, t: setattr(m, "none", t(1))),
        (TypeError, "tensor: expected a Tensor", lambda m, t: m.register_buffer("x", 1)),
        (TypeError, "name: expected a str", lambda m, t: m.register_buffer(1, t(1))),
        (ValueError, "name: expected a free", lambda m, t: m.register_buffer("x.y", t(1))),
        (ValueError, "name: expected a free", lambda m, t: m.register_buffer("", t(1))),
        (ValueError, "got 'forward'", lambda m, t: m.register_buffer("forward", t(1))),
        (ValueError, "got 'p'", lambda m, t: m.register_buffer("p", t(1))),
        (TypeError, "param: expected a Param", lambda m, t: m.register_parameter("x", t(1))),
        (ValueError, "got 'a'", lambda m, t: m.register_parameter("a", None)),
        (ValueError, "name: expected a free", lambda m, t: m.register_parameter("x.y", None)),
        (ValueError, "got 'p'", lambda m, t: m.add_module("p", m.l)),
        (ValueError, "got 'x.y'", lambda m, t: m.add_module("x.y", m.l)),
        (TypeError, "module: expected a Module or None", lambda m, t: m.add_module("x", t(1))),
    ],
)
def test_mistakes_in_registering(error, text, mistake):
    found = []
    for lib, zeros in ((nn, mg.zeros), (torch.nn, torch.zeros)):
        module = lib.Module()
        module.register_buffer("a", zeros(1))
        module.register_parameter("none", None)
        module.p, module.l = lib.Parameter(zeros(1)), lib.Linear(1, 1)
        found.append((module, lambda m=module, zeros=zeros: mistake(m, zeros)))
    (module, ours), (_, theirs) = found
    before = members(module)
    with pytest.raises((KeyError, TypeError)):
        theirs()
    refuses(error, text, ours)
    assert members(module) == before


@pytest.mark.parametrize("name", ["bias", "weight"])
def test_a_missing_parameter_has_its_place(name):
    """A tensor there would be neither learnt nor saved."""
    layers = [lambda m: m.nn.BatchNorm2d(2, affine=False)]
    if name == "bias":
        layers += [lambda m: m.nn.Linear(2, 2, False), lambda m: m.nn.Conv2d(2, 2, 1, bias=False)]
        layers += [lambda m: m.nn.BatchNorm1d(2, bias=False)]
    for layer in layers:
        ours, theirs = (
            lambda m=m, made=layer: setattr(made(m), name, m.ones(2)) for m in (mg, torch)
        )
        refuses(TypeError, f"{name}: expected a Parameter or None, got Tensor", ours, theirs)


def test_a_parameter_is_no_buffer():
    with pytest.raises(TypeError, match="tensor: expected a Tensor that is not learnt"):
        nn.Module().register_buffer("x", nn.Parameter([1.0]))


def test_members_come_in_the_order_in_which_they_were_registered():
    """As optimisers number the parameters, PyTorch's saved state too."""
    names = []
    for m in (mg, torch):
        module = m.nn.Module()
        module.head = module.scale = None
        module.body = m.nn.Linear(2, 2)
        module.head = m.nn.Linear(2, 2)
        module.scale = m.nn.Parameter(m.ones(1))
        names.append([*module.state_dict()])
        module.body = m.nn.Linear(2, 2)  # keeps its place
        names.append([*module.state_dict()])
    assert names[:2] == names[2:]


def test_buffers_that_are_not_saved_move_too():
    module = nn.Module()
    module.register_buffer("x", mg.zeros(2), persistent=False)
    module.kept = mg.zeros(2)
    module.to("float64")
    assert (module.x.dtype, module.kept.dtype) == (np.float64, np.float32)
    assert copy.deepcopy(module).state_dict() == {}
    assert [*dict(copy.deepcopy(module).named_buffers())] == ["x"]


def test_gradients_filled_with_zeros():
    for m in (mg, torch):
        model = m.nn.Linear(2, 3)
        model(m.ones(1, 2)).sum().backward()
        gradient, model.bias.grad = model.weight.grad, None
        model.zero_grad(set_to_none=False)
        assert model.weight.grad is gradient
        assert gradient.tolist() == [[0, 0]] * 3
        assert model.bias.grad is None
        gradient.add_(1)
        m.optim.SGD(model.parameters()).zero_grad(set_to_none=False)
        assert gradient.tolist() == [[0, 0]] * 3


def test_unsupported_options():
    model = nn.Linear(1, 1)
    for option, call in (
        ("assign=True", lambda: model.load_state_dict({}, assign=True)),
        ("keep_vars=True", lambda: model.state_dict(keep_vars=True)),
        ("destination={}", lambda: model.state_dict(destination={})),
        ("memo=set()", lambda: list(model.named_modules(memo=set()))),
    ):
        refuses(NotImplementedError, option, call)


def test_reassigned_and_removed_members_keep_their_place():
    for lib, zeros in ((nn, mg.zeros), (torch.nn, torch.zeros)):
        layer = lib.Linear(2, 2)
        layer.weight = lib.Parameter(zeros(3, 2))
        assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
        layer.bias = None
        assert [*layer.state_dict()] == ["weight"]
        layer.train(False)
        assert not layer.training
