"""Rules to differentiate a derivative: the argument of ``@op(twice=...)``.

Plain ``backward()`` uses only :meth:`Rule.recall` of this file. With ``create_graph=True`` the
gradients are recorded (:mod:`minigrad.gradients`), so the derivative of every operation must itself
have a derivative. A rule obtains it without a second formula:

- :class:`Multilinear` operations (sums, products, convolutions, indexing) are their own second
  derivatives: the derivative of ``dL/dx = w · g`` is the product again.
- An operation with a :class:`Diagonal` derivative multiplies each element by a factor that does not
  depend on it (or jumps, as that of ReLU): such a derivative is its own transpose.
- For all others, :class:`Rerun` runs the definition a second time, on recorded values.

Each is exact, at any order.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..device import Array
from ..sums import HALF


class Gone(NamedTuple):
    """Shape and dtype of an array that the derivative does not keep."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


# The kept values of a call:
#  - its arguments: numbers, None, arrays that the derivative keeps, and Gone;
#  - its keyword arguments;
#  - its result if the derivative keeps it, or None.
# (A plain tuple, because one is made in each call.)
Recall: TypeAlias = tuple[Sequence[Any], dict[str, Any], "Array | None"]


def keeping(backward: Any, *args: Any) -> Any:
    """``backward``, which says that it keeps ``args`` in place of the operation's own: copies in
    another layout or dtype, or other arguments with the same derivative. A number stands for an
    array of it, and a function for the array that it returns."""
    backward.args = args
    return backward


class Rule:
    """Base of the rules."""

    def of(self, definition: Callable[..., Any]) -> Rule:
        """This rule for an operation with this definition."""
        return self

    def recall(
        self, args: Sequence[Any], params: dict[str, Any], y: Array, backward: Any
    ) -> Recall | None:
        """The values of a call to keep, all of which ``backward`` keeps anyway; None for float16,
        where ``backward`` keeps the float32 copies of :func:`minigrad.sums.in_float32`."""
        return None


class Diagonal(Rule):
    """Element i of the result depends on element i of each argument alone (arguments broadcast),
    with a slope that is constant around almost every value."""


class Multilinear(Rule):
    """The result is a sum of products of arguments.

    Args:
        form: the arguments by name, as in ``"x w + b"``; ``"*xs"`` stands for a sum of all. Those
            that are not named, such as indices, are constants.
        without: keyword arguments that add a constant, each with the value that adds none.
    """

    def __init__(self, form: str, **without: Any) -> None:
        self.form, self.without = form, without

    def of(self, definition: Callable[..., Any]) -> Rule:
        """The rule with the arguments of ``definition`` by number."""
        names = _positional(definition)
        if self.form.startswith("*"):
            return Terms(None, self.without, set())
        products = [term.split() for term in re.split("[+-]", self.form)]
        named = [name for term in products for name in term]
        if len(set(named)) != len(named) or not set(named) <= set(names):
            raise ValueError(f"twice: expected some of {', '.join(names)} once, got {self.form!r}")
        factors = {names.index(n): tuple(map(names.index, t)) for t in products for n in t}
        constants = {i for i, name in enumerate(names) if name not in named}
        return Terms(factors, self.without, constants, hasattr(definition, "adapt"))


class Terms(Rule):
    """A :class:`Multilinear` rule with the arguments by number.

    Attributes:
        factors: for each argument, those of the product that it is in; None if it is always alone.
        constants: arguments in which the result is not linear, and that have no gradient.
    """

    def __init__(
        self,
        factors: dict[int, tuple[int, ...]] | None,
        without: dict[str, Any],
        constants: set[int],
        in_float32: bool = False,
    ) -> None:
        self.factors, self.without, self.in_float32 = factors, without, in_float32
        products = {} if factors is None else factors
        self.constants = constants
        self.kept = {i for i, term in products.items() if len(term) > 1} | constants

    def term(self, i: int) -> tuple[int, ...]:
        return (i,) if self.factors is None else self.factors[i]

    def uses(self, i: int, k: int) -> bool:
        """Whether gradient i depends on argument k."""
        return k in self.constants or (k != i and k in self.term(i))

    def recall(
        self, args: Sequence[Any], params: dict[str, Any], y: Array, backward: Any
    ) -> Recall | None:
        if len(args) == 1:
            return (None,), params, None  # one that is never needed
        if self.in_float32 and self.kept and y.dtype == HALF:
            return None
        return _known(backward, args, self.kept), params, None


class Rerun(Rule):
    """The definition is run again, on recorded values.

    It must have no side effects, and use only arithmetic, methods of arrays and NumPy functions
    that :mod:`minigrad.gradients.traced` supports; anything else raises an error.

    Args:
        keeps: the arguments that the derivative uses, with ``y`` for the result: ``"x"``,
            ``"b y"``. The others have no value in the second run; their use is an error.
    """

    def __init__(self, keeps: str) -> None:
        self.names = keeps.split()
        self.keeps_result = "y" in self.names
        self.kept: set[int] = set()
        self.in_float32 = False

    def of(self, definition: Callable[..., Any]) -> Rule:
        """The rule with the arguments of ``definition`` by number."""
        names = _positional(definition)
        if unknown := set(self.names) - {*names, "y"}:
            raise ValueError(f"twice: expected some of {', '.join(names)} and y, got {unknown}")
        rule = Rerun(" ".join(self.names))
        rule.kept = {names.index(name) for name in self.names if name != "y"}
        rule.in_float32 = hasattr(definition, "adapt")
        return rule

    def recall(
        self, args: Sequence[Any], params: dict[str, Any], y: Array, backward: Any
    ) -> Recall | None:
        """The arguments that ``keeps`` names, and the result if it names ``y``."""
        if self.in_float32 and y.dtype == HALF:
            return None
        return _known(backward, args, self.kept), params, y if self.keeps_result else None


def _known(backward: Any, args: Sequence[Any], kept: set[int]) -> Sequence[Any]:
    """``args``, or those that :func:`keeping` named, with Gone for arrays that are not ``kept``."""
    if (own := getattr(backward, "args", None)) is not None:
        args = own
        del backward.args  # it may hold more than the derivative keeps
    if len(kept) == len(args):
        return args
    known = list(args)
    for i, x in enumerate(args):
        if i not in kept and hasattr(x, "dtype"):
            known[i] = Gone(x.shape, x.dtype)
    return known


def _positional(definition: Callable[..., Any]) -> list[str]:
    """The names of a definition's arguments, of which those by keyword are options."""
    parameters = inspect.signature(definition).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
