"""Containers hold, number, name and print members as PyTorch's do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.events import Listener, listen
from tests.common import refuses
from tests.nn.test_module import sequential, shared

LIBRARIES = ((nn, mg.ones), (torch.nn, torch.ones))


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


def replaced(container, lib):
    container[1] = lib.Linear(9, 9)


def removed(container, index):
    del container[index]


CHANGES = {
    "append": lambda c, lib: c.append(lib.Linear(8, 8)),
    "extend": lambda c, lib: c.extend([lib.Linear(8, 8), lib.Linear(9, 9)]),
    "extend by a container": lambda c, lib: c.extend(lib.Sequential(lib.Linear(8, 8))),
    "insert": lambda c, lib: c.insert(1, lib.Linear(8, 8)),
    "insert from the end": lambda c, lib: c.insert(-1, lib.Linear(8, 8)),
    "insert at the end": lambda c, lib: c.insert(3, lib.Linear(8, 8)),
    "replace": replaced,
    "pop": lambda c, lib: c.pop(1),
    "delete": lambda c, lib: removed(c, -1),
    "delete several": lambda c, lib: removed(c, slice(0, 2)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("container", ["Sequential", "ModuleList"])
def test_changes_as_pytorchs(container, change):
    if (container, change) == ("ModuleList", "insert from the end"):
        pytest.skip("PyTorch's list fails half-way")
    found = []
    for lib, _ in LIBRARIES:
        layers = [lib.Linear(n, n) for n in (1, 2, 3)]
        made = getattr(lib, container)
        changed = made(*layers) if container == "Sequential" else made(layers)
        CHANGES[change](changed, lib)
        found.append((repr(changed), [*changed.state_dict()]))
    assert found[0] == found[1]


def test_what_is_alike_is_printed_once():
    for lib, _ in LIBRARIES:
        text = repr(lib.ModuleList([*(lib.Linear(2, 2) for _ in range(3)), lib.ReLU()]))
        linear = "Linear(in_features=2, out_features=2, bias=True)"
        assert text == f"ModuleList(\n  (0-2): 3 x {linear}\n  (3): ReLU()\n)"


def test_module_dict_is_pytorchs():
    found = []
    for lib, _ in LIBRARIES:
        layers = lib.ModuleDict({"b": lib.Linear(1, 1), "a": lib.ReLU()})
        layers["c"] = lib.Linear(2, 2)
        layers.update([("d", lib.Tanh()), ["b", lib.Linear(3, 3)]])
        layers.update(lib.ModuleDict({"e": lib.Tanh()}))
        assert "a" in layers
        assert "z" not in layers
        popped = layers.pop("a")
        del layers["d"]
        names = [[*layers], [*layers.keys()], [k for k, _ in layers.items()]]
        kinds = [type(m).__name__ for m in (*layers.values(), layers["c"], popped)]
        found.append((repr(layers), [*layers.state_dict()], len(layers), names, kinds))
        layers.clear()
        assert len(layers) == 0
        for wrong in (lambda m=layers: m["q"], lambda m=layers: m.pop("q")):
            with pytest.raises(KeyError):
                wrong()
    assert found[0] == found[1]


def test_parameter_list_is_pytorchs():
    found = []
    for lib, ones in LIBRARIES:

        class Sums(lib.Module):
            def __init__(self, lib=lib, ones=ones):
                super().__init__()
                self.terms = lib.ParameterList([lib.Parameter(ones(2)), ones(1)])
                self.terms.append(lib.Parameter(ones(3))).extend([ones(4)])
                self.terms += [lib.Parameter(ones(5))]
                self.terms[0] = lib.Parameter(ones(6))

        model = Sums()
        assert all(isinstance(p, lib.Parameter) for p in model.terms)
        shapes = [tuple(p.shape) for p in model.terms]
        found.append(([*model.state_dict()], len(model.terms), shapes, len(model.terms[1:3])))
        assert [*map(id, model.parameters())] == [*map(id, model.terms)]
        assert model.terms[-1] is model.terms[4]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("error", "text", "mistake"),
    [
        (IndexError, "index: expected one of 2", lambda: nn.Sequential(*layers(2)).insert(3, R)),
        (IndexError, "index: expected one of 2", lambda: nn.ModuleList(layers(2)).pop(2)),
        (TypeError, "module: expected a Module", lambda: nn.ModuleList().insert(0, 1)),
        (TypeError, "modules: expected Modules", lambda: nn.ModuleList([R]).append(1)),
        (TypeError, "modules: expected a sequence", lambda: nn.ModuleList().extend(1)),
        (TypeError, "sequential: expected a sequence", lambda: nn.Sequential().extend(1)),
        (TypeError, "parameters: expected Parameters", lambda: nn.ParameterList([1.0])),
        (TypeError, "modules: expected pairs", lambda: nn.ModuleDict(["ab"])),
        (TypeError, "module: expected a Module or None", lambda: nn.ModuleDict({"a": 1})),
        (ValueError, "name: expected a free", lambda: nn.ModuleDict({"keys": R})),
    ],
)
def test_mistakes(error, text, mistake):
    refuses(error, text, mistake)


R = nn.ReLU()


def layers(count):
    return [nn.Linear(1, 1) for _ in range(count)]


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_and_relu_in_one_pass(training):
    """The same values, gradients and statistics as one after the other."""
    results = []
    for apart in (False, True):
        mg.manual_seed(0)
        chain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
        chain.train(training)
        x = mg.randn(4, 2, 5, 5, requires_grad=True)
        seen = []
        if apart:
            chain[2].register_forward_hook(
                lambda module, args, output, seen=seen: seen.append(args[0])
            )
        y = chain(x)
        y.square().sum().backward()
        assert len(seen) == apart
        if apart:
            assert (seen[0].detach().numpy() < 0).any()  # the hook sees what ReLU gets
        results.append(
            [y.detach(), x.grad, *(p.grad for p in chain.parameters()), *chain.buffers()]
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), 1e-4, 1e-4)


def test_who_sees_batch_norm_and_relu_sees_both():
    class Names(Listener):
        def __init__(self):
            self.seen = []

        def operation(self, name, inputs, params, result):
            self.seen.append((name, params.get("relu")))

    chain, x = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), mg.randn(4, 3)
    names = Names()
    with listen(names):
        chain(x)
    assert names.seen == [("batch_norm", False), ("relu", None)]
    chain[1].forward = lambda input: input * 0
    assert not chain(x).detach().numpy().any()
