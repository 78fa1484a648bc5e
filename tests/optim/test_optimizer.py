"""Every optimiser updates the right parameters, keeps PyTorch's state and refuses what it cannot
do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import optim
from minigrad.cpu.elementwise import BLOCK
from tests.common import LAYOUTS, host, refuses, signature
from tests.optim.twins import TIGHT, Twins, make

pytestmark = pytest.mark.usefixtures("each_implementation")

# One busy setting of each, where a test needs state but not the whole space of options.
BUSY = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "dampening": 0.2},
    "Adam": {"lr": 0.01, "weight_decay": 0.01},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.9), "amsgrad": True},
    "RMSprop": {"lr": 0.01, "momentum": 0.9, "centered": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "Adadelta": {"lr": 0.5, "weight_decay": 0.01},
    "Adamax": {"lr": 0.01, "betas": (0.8, 0.9)},
    "NAdam": {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
    "RAdam": {"lr": 0.01, "betas": (0.8, 0.9)},
}
each_optimizer = pytest.mark.parametrize("name", BUSY)


@each_optimizer
def test_constructor_is_pytorchs(name):
    assert signature(getattr(optim, name)) == signature(getattr(torch.optim, name))


@each_optimizer
@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_blocks_and_layouts(name, layout, device):
    """A parameter of several blocks, in every dense order of memory, with gradients in another."""
    rows = (2 * BLOCK) // 96 + 5
    twins = Twins([(rows, 8, 3, 4), (7,)], np.float32, layout=layout, device=device)
    pair = make(name, twins, **BUSY[name])
    for _ in range(3):
        twins.step(*pair)
    twins.check(1e-5)
    assert twins.ours[0].device == mg.device(device)


@each_optimizer
def test_parameters_without_gradient_stay_and_count_no_step(name):
    twins = Twins()
    pair = make(name, twins, **BUSY[name])
    before = host(twins.ours[1]).copy()
    for step in range(5):
        twins.step(*pair, without=(1,) if step < 3 else (0, 2))
        if step == 2:
            np.testing.assert_array_equal(host(twins.ours[1]), before)
    twins.check(1e-12)


@each_optimizer
def test_groups_have_their_own_options_and_lr_can_be_changed(name):
    twins = Twins()
    pair = []
    for library, (a, b, *rest) in ((optim, twins.ours), (torch.optim, twins.theirs)):
        groups = [
            {"params": [a], "lr": 0.2, "weight_decay": 0.5},
            {"params": b},
            {"params": iter(rest), "maximize": True},
        ]
        pair.append(getattr(library, name)(groups, **BUSY[name]))
    twins.step(*pair)
    for optimizer in pair:
        optimizer.param_groups[1]["lr"] = 0.05
    twins.step(*pair)
    twins.check(1e-12)
    assert [g["lr"] for g in pair[0].param_groups] == [0.2, 0.05, BUSY[name]["lr"]]


def test_add_param_group():
    twins = Twins()
    ours = optim.SGD(twins.ours[:1], lr=0.1)
    theirs = torch.optim.SGD(twins.theirs[:1], lr=0.1)
    for optimizer, more in ((ours, twins.ours[1:]), (theirs, twins.theirs[1:])):
        optimizer.add_param_group({"params": more, "lr": 0.3, "momentum": 0.5})
    for _ in range(2):
        twins.step(ours, theirs)
    twins.check(1e-12)


def test_step_calls_the_closure_and_returns_its_loss():
    p = mg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    assert optimizer.step() is None

    def closure():
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 5
    assert host(p).tolist() == [0, 0]


def test_zero_grad():
    p = mg.tensor([1.0], requires_grad=True)
    p.sum().backward()
    optim.Adam([p]).zero_grad()
    assert p.grad is None


def test_data_replaced_by_another_layout_goes_on():
    twins = Twins([(3, 4)])
    pair = make("Adam", twins, lr=0.1)
    twins.step(*pair)
    twins.ours[0].data = np.asfortranarray(twins.ours[0].data)
    for _ in range(2):
        twins.step(*pair)
    twins.check(1e-12)


@each_optimizer
@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_data_replaced_by_another_dtype_goes_on(name, shape):
    """A number has the same strides in every dtype."""
    p = mg.nn.Parameter(np.ones(shape, np.float32))
    double = mg.nn.Parameter(np.ones(shape))
    ours, alone = (getattr(optim, name)([q], **BUSY[name]) for q in (p, double))
    for dtype in ("float32", "float64", "float64"):
        p.data = p.data.astype(dtype)
        p.grad, double.grad = mg.full(shape, 0.5, dtype=dtype), mg.full(shape, 0.5).to("float64")
        ours.step()
        alone.step()
    np.testing.assert_allclose(p.data, double.data, rtol=1e-5)


@each_optimizer
@pytest.mark.parametrize("shape", [(5, 4), (1, 4), (4, 3)])
def test_data_replaced_by_another_shape_is_refused(name, shape):
    p = mg.nn.Parameter(np.ones((3, 4), np.float32))
    ours = getattr(optim, name)([p], **BUSY[name])
    p.grad = mg.ones(3, 4)
    ours.step()
    p.grad, p.data = None, np.ones(shape, np.float32)
    p.grad = mg.ones(shape)
    refuses(ValueError, "params: the data of a parameter of shape (3, 4)", ours.step)
    assert (p.data == 1).all()


def test_a_closure_is_recorded_under_no_grad():
    losses = []
    for m in (mg, torch):
        p = m.ones(1, requires_grad=True)
        optimizer = m.optim.SGD([p], lr=0.1)

        def closure(p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (p * 3).sum()
            loss.backward()
            return loss

        with m.no_grad():
            losses.append([float(optimizer.step(closure)), float(p.detach()[0])])
    assert losses[0] == pytest.approx(losses[1])


# ---------------------------------------------------------------------------- state


@each_optimizer
@pytest.mark.parametrize("dtype", TIGHT)
def test_loaded_state_continues_bit_for_bit(name, dtype):
    options = BUSY[name]
    twins = Twins(dtype=dtype, layout="batch innermost")
    ours, theirs = make(name, twins, **options)
    for _ in range(3):
        twins.step(ours, theirs)
    others = [mg.Tensor(np.array(p.data, order="C"), requires_grad=True) for p in twins.ours]
    other = getattr(optim, name)(others, lr=9.0)
    other.load_state_dict(ours.state_dict())
    for _ in range(3):
        twins.step(ours, theirs)
        for p, q in zip(others, twins.ours, strict=True):
            p.grad = q.grad
        other.step()
    for p, q in zip(others, twins.ours, strict=True):
        np.testing.assert_array_equal(host(p), host(q))
    assert other.state_dict()["param_groups"] == ours.state_dict()["param_groups"]


@each_optimizer
@pytest.mark.parametrize("direction", ["from PyTorch", "to PyTorch"])
@pytest.mark.parametrize("busy", [True, False])
def test_state_goes_both_ways(name, direction, busy):
    options = BUSY[name] if busy else {"lr": 0.1}
    twins = Twins()
    ours, theirs = make(name, twins, **options)
    for _ in range(3):
        twins.step(ours, theirs, without=(1,))
    assert set(ours.state_dict()["state"]) == set(theirs.state_dict()["state"])
    for number, state in theirs.state_dict()["state"].items():
        assert set(state) == set(ours.state_dict()["state"][number])
    if direction == "from PyTorch":
        saved, ours = theirs.state_dict(), getattr(optim, name)(twins.ours, lr=9.0)
        ours.load_state_dict(saved)
    else:
        saved = ours.state_dict()
        saved["state"] = {
            number: {k: v if k == "step" else torch.tensor(np.array(v)) for k, v in state.items()}
            for number, state in saved["state"].items()
        }
        theirs = getattr(torch.optim, name)(twins.theirs, lr=9.0)
        theirs.load_state_dict(saved)
    for _ in range(3):
        twins.step(ours, theirs)
    rounded = (
        name == "NAdam"
    )  # its mu_product is a float32; loaded, the parameter's dtype in PyTorch
    twins.check(1e-8 if rounded else 1e-12)


def broken_states():
    good = optim.Adam([mg.zeros(2, 3, requires_grad=True)])
    good.param_groups[0]["params"][0].grad = mg.ones(2, 3)
    good.step()

    def state(**changes):
        saved = good.state_dict()
        saved["state"][0] = {k: v for k, v in (saved["state"][0] | changes).items() if v is not ...}
        return saved

    def group(**changes):
        saved = good.state_dict()
        saved["param_groups"][0] |= changes
        return saved

    return [
        ({}, ValueError, "state and param_groups"),
        (group(params=[0, 1]), ValueError, "expected groups of [1] parameters, got [2]"),
        (group(lr=-1), ValueError, "lr: "),
        (group(amsgrad=True), ValueError, "expected ['exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', '"),
        (state(exp_avg=np.zeros(3)), ValueError, "exp_avg: expected shape (2, 3), got (3,)"),
        (state(exp_avg=...), ValueError, "expected ['exp_avg', 'exp_avg_sq', 'step']"),
        (state(step=...), ValueError, "expected ['exp_avg', 'exp_avg_sq', 'step']"),
        (state(square_avg=np.zeros((2, 3))), ValueError, "'square_avg'"),
    ]


@pytest.mark.parametrize(("saved", "error", "text"), broken_states())
def test_state_that_does_not_fit_changes_nothing(saved, error, text):
    p = mg.zeros(2, 3, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.25)
    p.grad = mg.ones(2, 3)
    optimizer.step()
    before = dict(optimizer.state[p])
    refuses(error, text, lambda: optimizer.load_state_dict(saved))
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert optimizer.state[p].keys() == before.keys()
    assert all(optimizer.state[p][k] is before[k] for k in before)


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "array", [np.arange(6.0)[::2], np.broadcast_to(np.float64(1), (3,)), np.arange(3.0)[::-1]]
)
def test_memory_with_gaps_is_refused_instead_of_left_unchanged(array):
    p = mg.Tensor(array, requires_grad=True)
    p.grad = mg.Tensor(np.ones(3))
    refuses(NotImplementedError, "without gaps or overlaps", optim.SGD([p], lr=0.1).step)
    np.testing.assert_array_equal(p.data, array)


def test_a_rule_is_a_subclasss():
    p = mg.zeros(1, requires_grad=True)
    p.grad = mg.ones(1)
    with pytest.raises(NotImplementedError):
        optim.Optimizer([p], {"lr": 1.0, "weight_decay": 0}).step()


def test_an_optimiser_of_ones_own():
    """Its rule names the options that it takes."""
    seen = []

    @optim.Rule
    def signs(p, g, mean, *, lr, decays, step, fresh):
        seen.append((lr, decays, step, fresh, mean is None))
        p -= lr * np.sign(g)

    class Signs(optim.Optimizer):
        rule = signs
        slots = ("mean",)

    params = [mg.zeros(2, requires_grad=True) for _ in "ab"]
    optimizer = Signs(params, {"lr": np.float32(0.5), "decays": [np.float64(1), 2], "other": None})
    for _ in range(2):
        params[0].grad = mg.tensor([2.0, -3.0])
        optimizer.step()
        params[1].grad = mg.tensor([0.0, 1.0])
    assert [host(p).tolist() for p in params] == [[-1, 1], [0, -0.5]]
    assert seen == [
        (0.5, (1, 2), 1, True, False),
        (0.5, (1, 2), 2, False, False),
        (0.5, (1, 2), 1, True, False),
    ]
    assert {type(value) for lr, decays, *_ in seen for value in (lr, *decays)} == {float}


@each_optimizer
def test_half_precision(name):
    """Which no compiled kernel knows."""
    rng = np.random.default_rng(0)
    start, *gradients = rng.normal(size=(4, 3, 5))
    found = []
    for dtype in ("float16", "float64"):
        p = mg.tensor(start, dtype=dtype, requires_grad=True)
        optimizer = getattr(optim, name)([p], **BUSY[name])
        for g in gradients:
            p.grad = mg.tensor(g, dtype=dtype)
            optimizer.step()
        assert p.dtype == np.dtype(dtype)
        found.append(host(p))
    np.testing.assert_allclose(*found, 0.02, 0.02)
