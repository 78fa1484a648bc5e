"""Optimisers: a step on the parameters of a few layers."""

from __future__ import annotations

from typing import Any

from benchmarks.ops.case import Case, Operand, Shape, Sizes, parameter

WIDTHS = Sizes((16,), (64,), (256,))
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")  # PyTorch's with one kernel


def _filters(shape: Shape) -> Shape:
    return shape[0], shape[0], 3, 3


def _biases(shape: Shape) -> Shape:
    return (shape[0],)


LAYER = (parameter.of(_filters), parameter.of(_biases), parameter.of(_biases))


def optimizer(label: str, *operands: Operand, **options: Any) -> Case:
    """A case of the class that ``label`` begins with; of PyTorch the better of its plain and its
    fused one."""
    name = label.partition(",")[0]

    def make(engine: Any, kind: Any, parameters: Any, fused: bool) -> Any:
        more = {"fused": True} if fused and name in FUSED else {}
        return kind(parameters, **options, **more)

    return Case(label, (name,), make, operands or 8 * LAYER, WIDTHS, step=name)


OPTIMIZER: list[Case] = [
    optimizer("SGD", lr=1e-3),
    optimizer("SGD, momentum", lr=1e-3, momentum=0.9, weight_decay=1e-4, nesterov=True),
    optimizer("Adam"),
    optimizer("Adam, amsgrad", amsgrad=True),
    optimizer("AdamW"),
    optimizer("RMSprop"),
    optimizer("Adagrad"),
    optimizer("Adadelta"),
    optimizer("Adamax"),
    optimizer("NAdam"),
    optimizer("RAdam"),
    optimizer("Muon", *8 * (parameter.of(lambda s: (s[0], 4 * s[0])),)),
]

FAMILIES: dict[str, list[Case]] = {"optimiser": OPTIMIZER}
