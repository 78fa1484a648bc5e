"""Rules of optimisers: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.gpu.optim import CHUNK
from minigrad.optim.adagrad import adadelta, adagrad
from minigrad.optim.adam import adam
from minigrad.optim.adam_variants import adamax, nadam, radam
from minigrad.optim.muon import muon
from minigrad.optim.rmsprop import rmsprop
from minigrad.optim.sgd import sgd
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = [(3,), (0, 2), (), (4, 3, 2, 5), (1, 1)]
LARGE = [(CHUNK + 1,), (2, CHUNK)]
FRACTIONS = (0.0, 0.3, 0.9, 0.999999)
COMMON = {
    "lr": st.floats(0, 0.5),
    "weight_decay": st.sampled_from((0.0, 0.3)),
    "maximize": st.booleans(),
}
EPS = st.sampled_from((1e-8, 1e-2))

SGD = st.fixed_dictionaries(
    {
        **COMMON,
        "momentum": st.sampled_from((0.0, 0.9)),
        "dampening": st.sampled_from((0.0, 0.3, 1.0, -1.0)),
        "nesterov": st.booleans(),
        "fresh": st.booleans(),
    }
)
STEP = {"step": st.sampled_from((1, 2, 1000))}
MOMENTS = {**COMMON, **STEP, "betas": st.tuples(*2 * [st.sampled_from(FRACTIONS)]), "eps": EPS}
DECOUPLED = {**MOMENTS, "decoupled_weight_decay": st.booleans()}
ADAM = st.fixed_dictionaries({**DECOUPLED, "amsgrad": st.booleans()})
NADAM = st.fixed_dictionaries(
    {**DECOUPLED, "mu_product": st.just(0.3), "momentum_decay": st.just(4e-3)}
)
ADAGRAD = st.fixed_dictionaries({**COMMON, **STEP, "lr_decay": st.just(0.1), "eps": EPS})
ADADELTA = st.fixed_dictionaries({**COMMON, "rho": st.sampled_from(FRACTIONS), "eps": EPS})
RMSPROP = st.fixed_dictionaries(
    {
        **COMMON,
        "alpha": st.sampled_from(FRACTIONS[1:]),  # with 0, v − ḡ² is what g² has been rounded by
        "eps": EPS,
        "momentum": st.sampled_from((0.0, 0.9)),
        "centered": st.booleans(),
    }
)
MUON = st.fixed_dictionaries(
    {
        **{name: COMMON[name] for name in ("lr", "weight_decay")},
        "momentum": st.sampled_from((0.0, 0.95)),
        "nesterov": st.booleans(),
        "ns_coefficients": st.just((3.4445, -4.7750, 2.0315)),
        "eps": st.sampled_from((1e-7, 10.0)),
        "ns_steps": st.integers(0, 5),
        "adjust_lr_fn": st.sampled_from((None, "match_rms_adamw")),
        "normalize_weight": st.booleans(),
    }
)

STATES: dict[Any, Any] = {
    nadam: lambda mean, square: [mean, square],
    radam: lambda mean, square: [mean, square],
    adamax: lambda mean, square: [mean, square],
    adagrad: lambda mean, square: [square],
    adadelta: lambda mean, square: [square, [np.asarray(s / 2) for s in square]],
    muon: lambda mean, square: [mean],
}


@st.composite
def updates(
    draw: st.DrawFn, rule: Any, options: st.SearchStrategy[dict[str, Any]], shapes: list[Any]
) -> Arguments:
    """Lists of arrays, and the options as a function."""
    now = draw(options)
    generator = np.random.default_rng(draw(seeds))
    sizes = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=4))

    def normal() -> list[np.ndarray]:
        return [np.asarray(generator.standard_normal(shape)) for shape in sizes]

    p, g, mean = (normal() for _ in range(3))
    square = [np.asarray(m**2 + generator.uniform(0.5, 1, m.shape)) for m in mean]
    absent = [None] * len(sizes)
    if rule is sgd:
        buffer = [np.zeros_like(m) if now["fresh"] else m for m in mean]
        state = [buffer if now["momentum"] else absent]
    elif rule is adam:
        largest = [np.asarray(m**2 + generator.uniform(0.5, 1, m.shape)) for m in mean]
        state = [mean, square, largest if now["amsgrad"] else absent]
    elif rule is not rmsprop:
        state = STATES[rule](mean, square)
    else:
        buffer = normal()
        state = [
            square,
            buffer if now["momentum"] else absent,
            mean if now["centered"] else absent,
        ]
    return [p, g, *state], {"options": lambda: now}


def cases(
    rule: Any,
    options: st.SearchStrategy[dict[str, Any]],
    state: int,
    shapes: list[Any] = SHAPES,
    **more: Any,
) -> Cases:
    changed = (0, *range(2, 2 + state))
    return Cases(
        updates(rule, options, shapes),
        gpu=updates(rule, options, [*SHAPES, *LARGE]),
        written=changed,
        dense=changed,
        dtypes=(np.float32, np.float64),  # 1 − β underflows in float16
        limits={"minigrad.cpu.optim.BLOCK": (1, 16, 1 << 17)},
        **more,
    )


CASES = {
    sgd: cases(sgd, SGD, 1),
    adam: cases(adam, ADAM, 3),
    rmsprop: cases(rmsprop, RMSPROP, 3),
    nadam: cases(nadam, NADAM, 2),
    radam: cases(radam, st.fixed_dictionaries(DECOUPLED), 2),
    adamax: cases(adamax, st.fixed_dictionaries(MOMENTS), 2),
    adagrad: cases(adagrad, ADAGRAD, 1),
    adadelta: cases(adadelta, ADADELTA, 2),
    muon: cases(muon, MUON, 1, [(3, 20), (6, 2), (4, 3, 2, 5), (1, 1)], loosen=10),
}
