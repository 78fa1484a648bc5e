"""Several optimisers as one: updates, rates and state are those of each."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from cifar.recipes.groups import Part
from cifar.recipes.optimizers import Optimizers
from tests.common import host

PARTS = (
    Part(("a",), "SGD", 0.5, {"momentum": 0.9}, "StepLR", {"step_size": 1, "gamma": 0.5}),
    Part(("b", "c"), "Adam", 0.1, {}, None, {}),
)


def made(seed=0):
    rng = np.random.default_rng(seed)
    named = {name: mg.nn.Parameter(mg.tensor(rng.normal(size=3))) for name in "abc"}
    return named, Optimizers(PARTS, named)


def step(named, number):
    rng = np.random.default_rng(number)
    for p in named.values():
        p.grad = mg.tensor(rng.normal(size=3))


def test_updates_are_those_of_each():
    named, several = made()
    alone, _ = made()
    sgd = mg.optim.SGD([alone["a"]], lr=0.5, momentum=0.9)
    adam = mg.optim.Adam([alone["b"], alone["c"]], lr=0.1)
    for number in range(3):
        step(named, number)
        step(alone, number)
        several.step()
        several.step_schedules()
        sgd.step()
        adam.step()
        sgd.param_groups[0]["lr"] *= 0.5
    assert [group["lr"] for group in several.param_groups] == [0.0625, 0.1]
    for name, p in named.items():
        np.testing.assert_array_equal(host(p), host(alone[name]))
    several.zero_grad()
    assert all(p.grad is None for p in named.values())


def test_state_comes_back():
    named, several = made()
    step(named, 0)
    several.step()
    state = several.state_dict()
    assert set(state["state"]) == {0, 1, 2}
    assert [group["params"] for group in state["param_groups"]] == [[0], [1, 2]]
    again, fresh = made()
    for name, p in again.items():
        p.data[...] = named[name].data
    fresh.load_state_dict(state)
    for parameters, optimizer in ((named, several), (again, fresh)):
        step(parameters, 1)
        optimizer.step()
    for name, p in named.items():
        np.testing.assert_array_equal(host(p), host(again[name]))
