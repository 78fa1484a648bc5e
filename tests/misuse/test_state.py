"""A mistake changes nothing: whatever is refused leaves parameters, state, statistics and rates as
they were, also where only the last of several is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from tests.common import host, refuses

RULES = {
    "SGD": {"momentum": 0.9},
    "Adam": {},
    "AdamW": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adagrad": {},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Muon": {},
}


def frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.flags.writeable = False
    return array


class Trainee:
    """Two parameters, their optimiser after a step, and copies of all that a step may change."""

    def __init__(self, name: str) -> None:
        self.parameters = [mg.ones(2, 3, requires_grad=True) for _ in range(2)]
        self.optimizer = getattr(optim, name)(self.parameters, lr=0.1, **RULES[name])
        for p in self.parameters:
            p.grad = mg.ones(2, 3)
        self.optimizer.step()

    def copies(self) -> list[Any]:
        found: list[Any] = [p.data.copy() for p in self.parameters]
        for p in self.parameters:
            state = self.optimizer.state[p]
            found += [np.array(state[name]) for name in sorted(state)]
        return [*found, [group["lr"] for group in self.optimizer.param_groups]]

    def refuses(self, error: Any, text: str, call: Any) -> None:
        before = self.copies()
        refuses(error, text, call)
        for now, then in zip(self.copies(), before, strict=True):
            np.testing.assert_array_equal(now, then)


def replace(array: np.ndarray) -> Any:
    """The data of a parameter whose gradient stays."""
    return lambda t: setattr(t.parameters[1], "data", array)


BROKEN = {
    "another shape": (replace(np.ones((3, 2), np.float32)), ValueError, "grad: expected shape"),
    "another dtype": (replace(np.ones((2, 3))), ValueError, "grad: expected dtype float64"),
    "read-only": (replace(frozen(np.ones((2, 3), np.float32))), ValueError, "params: expected mem"),
    "memory-mapped": (None, ValueError, "params: expected mem"),
    "broadcast": (
        replace(np.broadcast_to(np.float32(1), (2, 3))), NotImplementedError, "params: a parameter"
    ),
    "an option": (
        lambda t: t.optimizer.param_groups[0].update(weight_decay="no"), TypeError, "weight_decay: "
    ),
}  # fmt: skip


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_step_that_is_refused_changes_nothing(name, broken, tmp_path):
    trainee = Trainee(name)
    apply, error, text = BROKEN[broken]
    if apply is None:
        np.ones((2, 3), np.float32).tofile(tmp_path / "p")
        apply = replace(np.memmap(tmp_path / "p", np.float32, "r", shape=(2, 3)))
    apply(trainee)
    trainee.refuses(error, text, trainee.optimizer.step)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("name", RULES)
def test_a_read_only_gradient_works(name):
    one, other = Trainee(name), Trainee(name)
    for p, q in zip(one.parameters, other.parameters, strict=True):
        p.grad, q.grad = mg.Tensor(frozen(np.full((2, 3), 2, np.float32))), mg.ones(2, 3) * 2
    one.optimizer.step()
    other.optimizer.step()
    for now, then in zip(one.copies(), other.copies(), strict=True):
        np.testing.assert_array_equal(now, then)


def test_integers_are_not_optimised():
    p = mg.tensor([1, 2])
    p.grad = mg.tensor([1, 1])
    refuses(TypeError, "params: expected a floating dtype, got int64", optim.SGD([p]).step)
    assert host(p).tolist() == [1, 2]


def saved(**changes: Any) -> dict[str, Any]:
    """A state whose second parameter's entries are changed."""
    state = Trainee("Adam").optimizer.state_dict()
    state["state"][1] |= changes
    return state


def with_groups(**changes: Any) -> dict[str, Any]:
    state = saved()
    state["param_groups"][0] |= changes
    return state


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (saved(step="2"), "step: expected a whole number, got '2'"),
        (saved(step=2.5), "step: expected a whole number, got 2.5"),
        (saved(step=-1), "step: expected a whole number from 0, got -1"),
        (saved(step=np.nan), "step: expected a whole number, got nan"),
        (saved(step=[1, 2]), "step: expected a whole number, got [1, 2]"),
        (saved(exp_avg=np.full((2, 3), 1j)), "exp_avg: expected numbers, got complex128"),
        (saved(exp_avg=np.full((2, 3), "1")), "exp_avg: expected numbers, got <U1"),
        (saved(exp_avg=[[1], [1, 2]]), "exp_avg: expected numbers, got object"),
        (saved(exp_avg=np.ones(3)), "exp_avg: expected shape (2, 3), got (3,)"),
        (saved(exp_avg=None), "expected ['exp_avg', 'exp_avg_sq', 'step'], got ['exp_avg_sq', 's"),
        ({**saved(), "state": {"0": {}, 7: {}}}, "state: expected parameters of the groups, got"),
        ({**saved(), "state": [1]}, "state: expected a dict, got list"),
        ({**saved(), "state": {1: 3}}, "state of parameter 1: expected a dict, got int"),
        ({**saved(), "param_groups": 3}, "param_groups: expected a sequence of dicts, got int"),
        ({**saved(), "param_groups": [3]}, "a group: expected a dict, got int"),
        (with_groups(params=None), "params: expected a sequence of numbers, got NoneType"),
        (with_groups(params=["0", "1"]), "params: expected a whole number, got '0'"),
        (with_groups(params=[1, 1]), "params: expected numbers that differ, got [1, 1]"),
        (with_groups(betas=0.9), "betas: expected a pair of numbers, got 0.9"),
        (with_groups(maximize="no"), "maximize: expected True or False, got 'no'"),
        (with_groups(initial_lr="no"), "initial_lr: expected a number, got 'no'"),
    ],
)
def test_a_state_that_is_refused_changes_nothing(state, text):
    trainee = Trainee("Adam")
    either = (TypeError, ValueError)
    trainee.refuses(either, text, lambda: trainee.optimizer.load_state_dict(state))


def test_a_schedule_that_is_refused_changes_nothing():
    optimizer = Trainee("SGD").optimizer
    for wrong in (lambda epoch: None, lambda epoch: 10.0**400):
        with pytest.raises((TypeError, OverflowError, ValueError)):
            optim.LambdaLR(optimizer, wrong)
        assert "initial_lr" not in optimizer.param_groups[0]
    schedule = optim.LambdaLR(optimizer, lambda epoch: 1.0 if epoch < 2 else "no")
    schedule.step()
    refuses(TypeError, "lr_lambda: its result: expected a number, got 'no'", schedule.step)
    assert schedule.state_dict()["last_epoch"] == 1
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("StepLR", {"step_size": 1}, {"step_size": 0, "gamma": -1}),
        ("MultiStepLR", {"milestones": [1]}, {"milestones": {"1": 1}, "gamma": None}),
        ("CosineAnnealingLR", {"T_max": 1}, {"T_max": 0, "eta_min": np.nan}),
        ("LambdaLR", {"lr_lambda": float}, {"lr_lambdas": [3]}),
        ("MultiplicativeLR", {"lr_lambda": float}, {"lr_lambdas": [3]}),
        ("ConstantLR", {}, {"factor": 0, "total_iters": 0}),
        ("LinearLR", {}, {"start_factor": 0, "end_factor": 2, "total_iters": 0}),
        ("ExponentialLR", {"gamma": 1}, {"gamma": -1}),
        ("PolynomialLR", {}, {"power": -1, "total_iters": 0}),
        (
            "CosineAnnealingWarmRestarts",
            {"T_0": 2},
            {"T_0": 0, "T_i": 0, "T_mult": 0, "T_cur": np.nan, "eta_min": -1},
        ),
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 0.2},
            {
                "max_lrs": [-1],
                "total_size": -1,
                "step_ratio": 2,
                "mode": "x",
                "gamma": -1,
                "scale_mode": "x",
                "cycle_momentum": 1,
                "use_beta1": 0,
                "base_momentums": [-1],
                "max_momentums": 3,
                "_scale_fn_custom": {"base": 1},
            },
        ),
        (
            "OneCycleLR",
            {"max_lr": 0.2, "total_steps": 9},
            {
                "total_steps": 0,
                "cycle_momentum": 1,
                "use_beta1": 0,
                "_anneal_func_type": "x",
                "_schedule_phases": [{"end_step": 1}],
            },
        ),
        (
            "ReduceLROnPlateau",
            {},
            {
                "mode": "least",
                "factor": 1,
                "patience": -1,
                "threshold": np.nan,
                "eps": -1,
                "threshold_mode": "x",
                "cooldown": 0.5,
                "best": "0",
                "num_bad_epochs": -1,
                "cooldown_counter": -1,
                "default_min_lr": -1,
                "min_lrs": [-1],
            },
        ),
    ],
)
def test_a_schedules_state_that_is_refused_changes_nothing(name, options, wrong):
    optimizer = Trainee("SGD").optimizer
    schedule = getattr(optim, name)(optimizer, **options)
    before, rates = schedule.state_dict(), [group["lr"] for group in optimizer.param_groups]
    if "base_lrs" in before:
        wrong = wrong | {"base_lrs": [1.0, 2.0]}
    for entry, value in {**wrong, "last_epoch": "1", "_last_lr": [-1]}.items():
        with pytest.raises((TypeError, ValueError), match=rf"{entry}: expected"):
            schedule.load_state_dict(before | {entry: value})
        absent = {key: value for key, value in before.items() if key != entry}
        refuses(ValueError, "state_dict: ", lambda state=absent: schedule.load_state_dict(state))
    refuses(
        ValueError, "last_epoch: ", lambda: schedule.load_state_dict(before | {"last_epoch": -2})
    )
    assert schedule.state_dict() == before
    assert [group["lr"] for group in optimizer.param_groups] == rates


# ---------------------------------------------------------------------------- gradients


def test_gradients_are_accumulated_only_into_what_fits():
    first, second = (mg.ones(2, requires_grad=True) for _ in range(2))
    (first * second).sum().backward()
    second.data = np.ones(2)  # float64: its gradient stays float32
    y = first * 2 + second.to("float32")
    refuses(ValueError, "grad: expected dtype float64, got float32", y.sum().backward)
    assert host(first.grad).tolist() == host(second.grad).tolist() == [1, 1]


def test_gradients_add_to_a_read_only_one():
    x = mg.ones(2, requires_grad=True)
    x.grad = mg.Tensor(frozen(np.ones(2, np.float32)))
    (x * 3).sum().backward()
    assert host(x.grad).tolist() == [4, 4]


def test_gradients_of_means_add_up():
    """A mean sends the same number to all: memory that cannot be added into."""
    x = mg.ones(4, requires_grad=True)
    for expected in (0.25, 0.5):
        x.mean().backward()
        assert host(x.grad).tolist() == [expected] * 4
    for y in (x.sum() + x.mean(), x.mean() + x.sum()):  # whichever comes first
        x.grad = None
        y.backward()
        assert host(x.grad).tolist() == [1.25] * 4


# ---------------------------------------------------------------------------- modules


def test_loading_into_read_only_memory_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].running_var.data = frozen(model[1].running_var.data)
    before = {name: host(t).copy() for name, t in model.state_dict().items()}
    text = "1.running_var: the model's own array is read-only"
    refuses(ValueError, text, lambda: model.load_state_dict({n: b + 1 for n, b in before.items()}))
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(host(t), before[name])


@pytest.mark.parametrize(
    "value", [[[1], [1, 2]], [["a"] * 2] * 2, None, object(), 1j * np.ones((2, 2))]
)
def test_loading_what_holds_no_numbers(value):
    layer = nn.Linear(2, 2, bias=False)
    refuses(
        ValueError, "weight: expected numbers", lambda: layer.load_state_dict({"weight": value})
    )


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked"])
def test_read_only_statistics_change_nothing(name):
    layer, x = nn.BatchNorm1d(3), mg.randn(4, 3)
    expected = host(layer.eval()(x))
    getattr(layer, name).data = frozen(getattr(layer, name).data)
    before = {n: host(t).copy() for n, t in layer.state_dict().items()}
    refuses(ValueError, f"{name}: expected memory that can be written", lambda: layer.train()(x))
    for n, t in layer.state_dict().items():
        np.testing.assert_array_equal(host(t), before[n])
    np.testing.assert_array_equal(host(layer.eval()(x)), expected)  # there they are only read


@pytest.mark.parametrize("momentum", ["no", None, -0.1, 1.1, float("nan"), mg.ones(3)])
def test_batch_norm_of_a_wrong_momentum_changes_nothing(momentum):
    mean, var = mg.zeros(3), mg.ones(3)
    with pytest.raises((TypeError, ValueError), match="momentum: expected a number"):
        mg.functional.batch_norm(mg.randn(4, 3), mean, var, training=True, momentum=momentum)
    assert host(mean).tolist() == [0, 0, 0]


def test_initialising_read_only_memory_draws_nothing():
    expected = host(mg.randn(3))
    mg.manual_seed(0)
    for fill in (nn.init.uniform_, nn.init.zeros_, nn.init.kaiming_normal_):
        text = "tensor: expected memory that can be written to"
        refuses(ValueError, text, lambda f=fill: f(mg.Tensor(frozen(np.ones((2, 2))))))
    np.testing.assert_array_equal(host(mg.randn(3)), expected)


@pytest.mark.parametrize("fill", ["xavier_uniform_", "kaiming_normal_", "uniform_", "ones_"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3, 3), (2, 3, 0, 0)])
def test_initialising_nothing(fill, shape):
    t = mg.zeros(shape)
    assert getattr(nn.init, fill)(t) is t


def test_moving_an_empty_module_to_nowhere():
    refuses(TypeError, "device: expected a device", lambda: nn.ReLU().to("junk"))
    refuses(TypeError, "device: expected a device or a floating", lambda: nn.ReLU().to("int32"))


# ---------------------------------------------------------------------------- contexts


def test_a_search_within_a_search_leaves_forward_alone():
    model = nn.Sequential(nn.ReLU())
    own = model.forward = lambda x: x + 1
    with mg.detect_anomaly(model), mg.detect_anomaly(model):
        assert model(mg.ones(1)).item() == 2
    assert model.forward is own
    assert "forward" not in vars(model[0])


def test_a_decorated_generator_would_record():
    def numbers():
        yield mg.ones(1, requires_grad=True) * 2

    async def later():
        pass

    for function in (numbers, later):
        with pytest.raises(NotImplementedError, match="no_grad: decorating a generator"):
            mg.no_grad()(function)
