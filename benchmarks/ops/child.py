"""Timing of a family of cases with one library, in its own process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import contest
from benchmarks.contest import Engine
from benchmarks.ops.case import VARIANTS, Case, Variant
from benchmarks.ops.table import chosen

LEAST, MOST = 3, 300  # calls of one part in a turn
Parts = dict[str, tuple[Callable[[], object], int]]
# Arrays of an optimiser's state that a step reads and writes.
STATE = {"SGD": 1, "RMSprop": 1, "Adagrad": 1, "Muon": 1, "RAdam": 2, "Adamax": 2}


def measure(
    contestant: str, threads: int, family: str, only: list[str], seconds: float
) -> list[list[dict[str, dict[str, Any]]]]:
    """For each case and variant, by part: "ms" (the smallest), and "bytes" or "flops"."""
    engine = contest.engine(contestant, threads)
    return [
        [measured(engine, case, variant, seconds) for variant in VARIANTS]
        for case in chosen(family, only)
    ]


def measured(
    engine: Engine, case: Case, variant: Variant, seconds: float
) -> dict[str, dict[str, Any]]:
    """The figures of each part; {} if another setting of the library measures the same."""
    if second_setting(engine) and not _differs(case, variant):
        return {}
    shape = case.sizes.of(variant.size)
    figures = {}
    for part, (function, nbytes) in parts(engine, case, variant).items():
        spent = contest.times(function, LEAST, seconds, MOST)
        figures[part] = {"ms": 1e3 * min(spent), "bytes": nbytes}
        if case.multiply_adds:
            times = 2 if part == "backward" else 1  # a product for each operand's gradient
            figures[part]["flops"] = 2 * times * case.multiply_adds(shape)
    return figures


def second_setting(engine: Engine) -> bool:
    """Whether this is PyTorch in channels_last, which also uses fused optimisers."""
    return "channels_last" in str(getattr(engine, "order", ""))


def _differs(case: Case, variant: Variant) -> bool:
    shape = case.sizes.of(variant.size)
    return bool(case.step) or any(len(o.shape(shape)) == 4 for o in case.operands)


def parts(engine: Engine, case: Case, variant: Variant) -> Parts:
    """For each part, a function to time and the least bytes that it must read and write."""
    shape = case.sizes.of(variant.size)
    if case.step:
        return _step(engine, case, variant)
    tensors = []
    for operand in case.operands:
        array = operand.draw(shape, variant, second_setting(engine))
        tensor = engine.library.from_numpy(array)
        tensor.requires_grad = operand.floating and not operand.constant and case.gradient
        tensors.append(tensor)
    call = partial(case.call, engine)
    inner: list[Any] = []
    if case.build is not None:
        built = case.build(engine, shape)
        if variant.dtype == "float64":
            built.double()
        call, inner = partial(case.call, engine, built), list(built.parameters())
    result = call(*tensors)
    y = result[0] if isinstance(result, (tuple, list)) else result
    read = sum(_bytes(t) for t in (*tensors, *inner))
    written = _bytes(y)
    timed: Parts = {"forward": (partial(call, *tensors), read + written)}
    if not getattr(y, "requires_grad", False):
        return timed
    seed = engine.like(y) if y.ndim else None
    wanted = [t for t in (*tensors, *inner) if t.requires_grad]

    def backward() -> None:
        for tensor in wanted:
            tensor.grad = None
        y.backward(seed, retain_graph=True)

    timed["backward"] = backward, written + sum(map(_bytes, wanted))
    return timed


def _bytes(tensor: Any) -> int:
    if not hasattr(tensor, "numel"):
        return 0
    size = tensor.element_size()
    return int(tensor.numel() * size)


def _step(engine: Engine, case: Case, variant: Variant) -> Parts:
    """The step of an optimiser, with the operands as parameters."""
    make = getattr(engine.optim, case.step)
    shape = case.sizes.of(variant.size)
    parameters = []
    for operand in case.operands:
        values = operand.draw(shape, variant, False)
        tensor = engine.library.from_numpy(values.copy())
        tensor.requires_grad = True
        tensor.grad = engine.library.from_numpy(0.01 * values)
        parameters.append(tensor)
    optimizer = case.call(engine, make, parameters, second_setting(engine))
    moved = sum(map(_bytes, parameters)) * (3 + 2 * STATE.get(case.step, 2))
    return {"step": (optimizer.step, moved)}
