"""The elements of a recorded training step: values, operations, modules and steps in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .pictures import Sample


@dataclass
class Value:
    """A tensor of the step.

    Attributes:
        name: name of a leaf, such as "conv1.weight"; "" for a result.
        kind: "result", "parameter", "input" or "constant".
        uses: number of uses by operations.
        needs: whether its gradient is needed.
        terms: the gradients sent to it, in order.
        gradient: their sum, after its hooks.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    kind: str
    name: str = ""
    uses: int = 0
    needs: bool = False
    sample: Sample | None = None
    terms: list[Term] = field(default_factory=list)
    gradient: Sample | None = None
    landed: bool = False  # in the grad of a leaf


@dataclass
class Term:
    """A gradient that ``operation`` sent to its input ``number``; ``total`` is the sum so far."""

    operation: int
    number: int
    sample: Sample | None
    total: Sample | None


@dataclass
class Kept:
    """An array that backward needs. ``shared`` if it is a leaf's and needs no memory of its own."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    shared: bool
    sample: Sample | None = None


@dataclass
class Code:
    """A function's place in its file, and its lines."""

    name: str
    file: str
    line: int
    text: str


@dataclass
class Definition:
    """An operation: its docstring, its source, and what its docstring calls its arguments."""

    name: str
    doc: str
    arguments: list[str]
    code: Code | None


@dataclass
class Run:
    """One run of an operation.

    Attributes:
        inputs, result: numbers of values; for an input that is not a tensor, its text.
        module: number of the module call that contains it, or -1.
        recorded: whether it has a derivative on the tape.
        implementation: the function that ran, if known.
        details: data for pictures of this operation (see :mod:`minigrad.explore.details`).
        seconds, seconds_backward: times of the two passes.
    """

    definition: int
    inputs: list[int | str]
    result: int
    module: int
    recorded: bool
    params: dict[str, str]
    kept: list[Kept]
    implementation: Code | None = None
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    seconds_backward: float | None = None


@dataclass
class Call:
    """A call of a module within that of ``parent`` (-1: within none)."""

    name: str
    kind: str
    parent: int


@dataclass
class Step:
    """A moment of the replay: an operation ran ("forward"), its derivative did ("backward"), or
    the sums reached the leaves ("leaves").

    Attributes:
        kept, moving, leaves: bytes in use after it: arrays that backward keeps, gradients between
            operations, and gradients of leaves.
    """

    kind: str
    run: int = -1
    kept: int = 0
    moving: int = 0
    leaves: int = 0


@dataclass
class Recording:
    """A training step, from the first operation to the leaves' gradients.

    Attributes:
        loss: number of the value from which backward started.
        watched: whether forward was recorded; otherwise only the tape is known.
    """

    values: list[Value] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    loss: int = -1
    watched: bool = True

    @property
    def peak(self) -> int:
        """The largest number of bytes in use after a step."""
        return max((step.kept + step.moving + step.leaves for step in self.steps), default=0)

    def path(self, call: int) -> str:
        """The dotted path of a module call, below the outermost module; "" without a call."""
        names: list[str] = []
        while call >= 0:
            names.insert(0, self.calls[call].name)
            call = self.calls[call].parent
        return ".".join(names[1:] or names)
