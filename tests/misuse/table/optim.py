"""Optimisers and schedules."""

from __future__ import annotations

import math
from typing import Any

import minigrad as mg
from minigrad import optim
from tests.misuse.table import NAN, WRONG, calls, leaf


def updated(name: str = "Adam", **options: Any) -> Any:
    """An optimiser with state."""
    p = leaf()
    optimizer = getattr(optim, name)([p], lr=0.1, **options)
    p.grad = mg.ones(2, 3)
    optimizer.step()
    return optimizer


def schedule() -> Any:
    return optim.StepLR(updated(), 2)


def plateau() -> Any:
    return optim.ReduceLROnPlateau(updated())


_switches = {"foreach": None, "maximize": False, "differentiable": False}
_adam = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
_adam |= _switches | {"capturable": False, "fused": None}
calls("optim.Optimizer", optim.Optimizer, {"defaults": ("dict",)}, params=[leaf()], defaults={})
calls(
    "optim.SGD", optim.SGD, {}, params=[leaf()], lr=0.1, momentum=0.9, dampening=0, weight_decay=0,
    nesterov=False, fused=None, **_switches,
)  # fmt: skip
calls("optim.Adam", optim.Adam, {}, params=[leaf()], decoupled_weight_decay=False, **_adam)
calls("optim.AdamW", optim.AdamW, {}, params=[leaf()], **_adam)
calls(
    "optim.RMSprop", optim.RMSprop, {}, params=[leaf()], lr=0.1, alpha=0.9, eps=1e-8, momentum=0,
    weight_decay=0, centered=False, capturable=False, **_switches,
)  # fmt: skip
_common = {"params": [leaf()], "lr": 0.1, "eps": 1e-8, "weight_decay": 0}
_moments = {"betas": (0.9, 0.99), "capturable": False}
calls(
    "optim.Adagrad", optim.Adagrad, {}, lr_decay=0, initial_accumulator_value=0, fused=None,
    **_common, **_switches,
)  # fmt: skip
calls("optim.Adadelta", optim.Adadelta, {}, rho=0.9, capturable=False, **_common, **_switches)
calls("optim.Adamax", optim.Adamax, {}, **_common, **_moments, **_switches)
_moments["decoupled_weight_decay"] = False
calls("optim.RAdam", optim.RAdam, {}, **_common, **_moments, **_switches)
calls("optim.NAdam", optim.NAdam, {}, momentum_decay=0.1, **_common, **_moments, **_switches)
calls(
    "optim.Muon", optim.Muon, {}, momentum=0.9, nesterov=True, ns_coefficients=(2, -1.5, 0.5),
    ns_steps=5, adjust_lr_fn="original", normalize_weight=False, **_common,
)  # fmt: skip
calls(
    "optim.Optimizer.add_param_group",
    lambda param_group: updated().add_param_group(param_group),
    {},
    param_group={"params": leaf()},
)
calls("optim.Optimizer.zero_grad", updated().zero_grad, {}, set_to_none=True)
calls(
    "optim.Optimizer.step",
    lambda closure: updated().step(closure),
    {"closure": ("function",)},
    closure=None,
)
calls(
    "optim.Optimizer.load_state_dict",
    lambda state_dict: updated().load_state_dict(state_dict),
    {},
    state_dict=updated().state_dict(),
)
calls("optim.LRScheduler", optim.LRScheduler, {}, optimizer=updated(), last_epoch=-1)
calls(
    "optim.LambdaLR",
    optim.LambdaLR,
    {"lr_lambda": ("function",), "last_epoch": ("huge",)},
    optimizer=updated(),
    lr_lambda=lambda epoch: 1.0,
    last_epoch=-1,
)
calls(
    "optim.StepLR",
    optim.StepLR,
    {"step_size": ("huge",), "last_epoch": ("huge",)},
    optimizer=updated(),
    step_size=2,
    gamma=0.1,
    last_epoch=-1,
)
calls(
    "optim.MultiStepLR",
    optim.MultiStepLR,
    {"milestones": ("dict",), "last_epoch": ("huge",)},  # no milestones
    optimizer=updated(),
    milestones=[1],
    gamma=0.1,
    last_epoch=-1,
)
calls(
    "optim.CosineAnnealingLR", optim.CosineAnnealingLR,
    {"T_max": ("huge",), "last_epoch": ("huge",)}, optimizer=updated(), T_max=3, eta_min=0.0,
    last_epoch=-1,
)  # fmt: skip
_huge = {"last_epoch": ("huge",)}
_iters = {"total_iters": ("huge",), **_huge}
calls(
    "optim.MultiplicativeLR", optim.MultiplicativeLR,
    {"lr_lambda": ("function",), "last_epoch": ("huge",)},
    optimizer=updated(), lr_lambda=lambda epoch: 1.0, last_epoch=-1,
)  # fmt: skip
calls(
    "optim.ConstantLR", optim.ConstantLR, _iters, optimizer=updated(), factor=0.5, total_iters=2,
    last_epoch=-1,
)  # fmt: skip
calls(
    "optim.LinearLR", optim.LinearLR, _iters, optimizer=updated(), start_factor=0.5, end_factor=1,
    total_iters=2, last_epoch=-1,
)  # fmt: skip
calls(
    "optim.ExponentialLR", optim.ExponentialLR, _huge, optimizer=updated(), gamma=0.5, last_epoch=-1
)
calls(
    "optim.PolynomialLR", optim.PolynomialLR, _iters, optimizer=updated(), total_iters=2, power=1,
    last_epoch=-1,
)  # fmt: skip
calls(
    "optim.CosineAnnealingWarmRestarts", optim.CosineAnnealingWarmRestarts,
    {"T_0": ("huge",), "T_mult": ("huge",), **_huge}, optimizer=updated(), T_0=2, T_mult=2,
    eta_min=0.0, last_epoch=-1,
)  # fmt: skip
calls(
    "optim.CyclicLR", optim.CyclicLR, {"scale_fn": ("function",), **_huge},
    optimizer=updated("SGD"), base_lr=0.1, max_lr=0.2, step_size_up=2, step_size_down=2,
    mode="triangular", gamma=1.0, scale_fn=lambda x: 1.0, scale_mode="cycle", cycle_momentum=True,
    base_momentum=0.8, max_momentum=0.9, last_epoch=-1,
)  # fmt: skip
calls(
    "optim.OneCycleLR", optim.OneCycleLR,
    {"total_steps": ("huge",), **_huge}, optimizer=updated(), max_lr=0.2, total_steps=9,
    pct_start=0.3, anneal_strategy="cos", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9,
    div_factor=25, final_div_factor=100, three_phase=False, last_epoch=-1,
)  # fmt: skip
_two = updated()
calls(
    "optim.SequentialLR", optim.SequentialLR, {}, optimizer=_two,
    schedulers=[optim.StepLR(_two, 2), optim.ExponentialLR(_two, 0.5)], milestones=[2],
    last_epoch=-1,
)  # fmt: skip
calls(
    "optim.ChainedScheduler", optim.ChainedScheduler, {}, schedulers=[optim.StepLR(_two, 2)],
    optimizer=_two,
)  # fmt: skip
calls(
    "optim.ReduceLROnPlateau", optim.ReduceLROnPlateau,
    {"patience": ("huge",), "cooldown": ("huge",)}, optimizer=updated(), mode="min", factor=0.1,
    patience=1, threshold=0.1, threshold_mode="rel", cooldown=0, min_lr=0.0, eps=1e-8,
)  # fmt: skip
calls(
    "optim.LRScheduler.load_state_dict",
    lambda state_dict: schedule().load_state_dict(state_dict),
    {},
    state_dict=schedule().state_dict(),
)
calls("optim.LRScheduler.step", lambda epoch: schedule().step(epoch), {}, epoch=None)
calls(
    "optim.ReduceLROnPlateau.step", lambda **options: plateau().step(**options), {}, metrics=0.5,
    epoch=None,
)  # fmt: skip
calls("optim.Rule", optim.Rule, {"formula": ("function",)}, formula=lambda p, g, *, lr: None)

WRONG |= {
    **{
        f"optim.{name}": {
            "params": [[], [leaf() * 2], [None], {leaf()}, [{"params": 3}], None],
            "lr": [-1, NAN, True, None],
            "weight_decay": [-1, NAN, True, None],
            "maximize": [1, None],
        }
        for name in (
            *("SGD", "Adam", "AdamW", "RMSprop"),
            *("Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Muon"),
        )
    },
    "optim.Optimizer": {"params": [[]]},
    "optim.Optimizer.add_param_group": {"param_group": [None, [leaf()]]},
    "optim.Optimizer.load_state_dict": {"state_dict": [None, [], {"state": {}}]},
    "optim.LRScheduler.load_state_dict": {"state_dict": [None, [], {"last_epoch": 1}]},
    "optim.StepLR": {"step_size": [0, -1, True, 1.5], "gamma": [-1, NAN, None]},
    "optim.MultiStepLR": {"milestones": [[-1], [1.5], [True], 3, None], "gamma": [-1, NAN]},
    "optim.CosineAnnealingLR": {"T_max": [0, -1, 2.0], "eta_min": [-1, NAN, None]},
    "optim.LambdaLR": {"lr_lambda": [None, lambda e: None, lambda e: NAN, lambda e: -1]},
    "optim.MultiplicativeLR": {"lr_lambda": [None, [len, None]]},
    "optim.ConstantLR": {"factor": [0, -1, 1.5, NAN, None], "total_iters": [0, 1.5, None]},
    "optim.LinearLR": {
        "start_factor": [0, 1.5, NAN, None],
        "end_factor": [-1, 1.5, NAN, None],
        "total_iters": [0, 1.5, None],
    },
    "optim.ExponentialLR": {"gamma": [-1, NAN, None]},
    "optim.PolynomialLR": {"total_iters": [0, 1.5, None], "power": [-1, NAN, None]},
    "optim.CosineAnnealingWarmRestarts": {
        "T_0": [0, 1.5, None],
        "T_mult": [0, 1.5, None],
        "eta_min": [-1, NAN, None],
    },
    "optim.CyclicLR": {
        "base_lr": [-1, NAN, None, [0.1, 0.1]],
        "max_lr": [-1, NAN, None, [0.1, 0.1]],
        "step_size_up": [0, -1, NAN, math.inf, None],
        "step_size_down": [-1, NAN],
        "mode": ["square", None],
        "gamma": [-1, NAN, None],
        "scale_fn": [lambda x: None],
        "scale_mode": ["cycles", None],
        "cycle_momentum": [1, None],
        "base_momentum": [-1, NAN, None, []],
        "max_momentum": [-1, NAN, None, []],
    },
    "optim.OneCycleLR": {
        "max_lr": [-1, NAN, None, [0.1, 0.1]],
        "total_steps": [0, 1.5, None],
        "pct_start": [-1, 1.5, NAN, None],
        "anneal_strategy": ["square", None],
        "cycle_momentum": [1, None],
        "base_momentum": [-1, NAN, None, []],
        "max_momentum": [-1, NAN, None, []],
        "div_factor": [0, NAN, None],
        "final_div_factor": [0, NAN, None],
        "three_phase": [1, None],
    },
    "optim.SequentialLR": {
        "schedulers": [[], [len, len], [plateau(), plateau()], [schedule(), schedule()]],
        "milestones": [[], [1, 2], [-1], [1.5], None],
        "last_epoch": [0],
    },
    "optim.ChainedScheduler": {"schedulers": [[], [len], [plateau()], [schedule(), schedule()]]},
    "optim.ReduceLROnPlateau": {
        "factor": [0, 1, -1, NAN, None],
        "patience": [-1, 1.5],
        "threshold": [NAN, None],
        "cooldown": [-1, 1.5, None],
        "min_lr": [-1, NAN, None],
        "eps": [-1, NAN, None],
    },
    "optim.ReduceLROnPlateau.step": {"metrics": [None, mg.ones(0), "0.5"]},
}  # fmt: skip
WRONG["optim.SGD"] |= {
    "momentum": [-1, NAN, None],
    "dampening": [NAN, None],
    "nesterov": [1, None],
    "foreach": [True],
}
for _name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam"):
    WRONG[f"optim.{_name}"] |= {
        "betas": [(0.9,), (0.9, 0.9, 0.9), 0.9, (1, 0.9), (-1, 0.9), ("a", 0.9), (0.9, NAN), None],
        "eps": [-1, NAN, None],
    }
for _name in ("Adam", "AdamW"):
    WRONG[f"optim.{_name}"]["amsgrad"] = [1, None]
del WRONG["optim.Muon"]["maximize"]  # has none
WRONG["optim.Muon"] |= {
    "params": [[mg.ones(3)], [mg.ones(())]],
    "momentum": [-1, NAN, None],
    "nesterov": [1, None],
    "ns_coefficients": [(1, 2), 3, (1, 2, NAN), (1, 2, "3"), None],
    "eps": [-1, NAN, None],
    "ns_steps": [-1, 100, 1.5, True, None],
    "adjust_lr_fn": ["adamw", 1],
    "normalize_weight": [1, None],
}
WRONG["optim.Adagrad"] |= {n: [-1, NAN, None] for n in ("lr_decay", "eps")}
WRONG["optim.Adagrad"]["initial_accumulator_value"] = [-1, NAN, None]
WRONG["optim.Adadelta"] |= {"rho": [-1, 1.5, NAN, None], "eps": [-1, NAN, None]}
WRONG["optim.NAdam"]["momentum_decay"] = [-1, NAN, None]
WRONG["optim.RMSprop"] |= {n: [-1, NAN, None] for n in ("alpha", "eps", "momentum")}
WRONG["optim.RMSprop"]["centered"] = [1, None]
