"""``python -m minigrad.gradcheck module:function``: check a function's or operation's derivative.

The inputs are the result of ``function.inputs()``, or float64 tensors of the given shapes::

    python -m minigrad.gradcheck my_ops:swish --shape 3,4
    python -m minigrad.gradcheck my_ops:scaled_add --shape 3,4 --shape 4 --low 0.5
    python -m minigrad.gradcheck minigrad.functional:batch_norm --shape 4,3 --shape 3 --shape 3 \\
        --constant 1 --constant 2 --domain 2=0.1,2

Exit code 0: the derivative is right. 1: it is wrong, and the text gives the input, the index and
both values. 2: it could not be checked, and one line gives the reason, for example that the
function is not finite at the inputs.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import console, rng
from ..cpu.compiled import is_compiled
from ..cpu.threads import get_num_threads
from ..tensor import Tensor
from . import gradcheck


class CannotCheck(Exception):
    """The reason why nothing was checked."""


def find(name: str) -> Callable[..., Any]:
    """The function called ``module:function``, which may be an attribute of a class or object."""
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise CannotCheck(f"expected module:function, got {name!r}")
    try:
        target: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise CannotCheck(f"{module!r} cannot be imported: {error}") from error
        raise CannotCheck(f"there is no module {error.name!r} here or installed") from error
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise CannotCheck(f"{module!r} cannot be imported: {text}") from error
    for part in path.split("."):
        if not hasattr(target, part):
            raise CannotCheck(f"{module!r} has no {path!r}")
        target = getattr(target, part)
    if not callable(target):
        raise CannotCheck(f"{name!r} is no function but {type(target).__name__}")
    return target


def inputs_of(function: Callable[..., Any], options: argparse.Namespace) -> list[Any]:
    """The result of ``function.inputs()``, or a float64 Tensor for each ``--shape``."""
    if options.shape:
        domains = dict(options.domain)
        inputs = []
        for i, shape in enumerate(options.shape):
            low, high = domains.get(i, (options.low, options.high))
            inputs.append(_draw(shape, low, high, requires_grad=i not in options.constant))
        return inputs
    if not hasattr(function, "inputs"):
        raise CannotCheck(
            f"give the shape of each input (--shape 3,4 --shape 4), or {options.function} an "
            "attribute inputs, a function that returns them"
        )
    found = function.inputs()
    return [found] if isinstance(found, Tensor) else [*found]


def _draw(shape: tuple[int, ...], low: float, high: float, requires_grad: bool) -> Tensor:
    """Evenly spaced values in random order. No two are equal and none is 0, where functions have
    kinks."""
    if not -math.inf < low < high < math.inf:
        raise CannotCheck(f"expected two ends to draw inputs between, got {low:g} and {high:g}")
    size = math.prod(shape)
    steps = rng.generator().permutation(size) + 0.3
    values = low + (high - low) * steps / max(size, 1)
    return Tensor(np.asarray(values).reshape(shape), requires_grad)


def _shape(text: str) -> tuple[int, ...]:
    """``3,4`` as (3, 4); an empty text as ()."""
    return tuple(int(n) for n in text.split(",") if n.strip())


def _domain(text: str) -> tuple[int, tuple[float, float]]:
    """``2=0.1,5`` as (2, (0.1, 5.0))."""
    try:
        number, ends = text.split("=")
        low, high = map(float, ends.split(","))
        return int(number), (low, high)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected N=LOW,HIGH, got {text!r}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise CannotCheck(message)


def parser() -> argparse.ArgumentParser:
    made = _Parser(
        "python -m minigrad.gradcheck",
        description="Check the derivative of a function of Tensors against central differences.",
    )
    add = functools.partial(made.add_argument, metavar="X", type=float)
    made.add_argument("function", metavar="module:function")
    made.add_argument(
        "--shape", action="append", type=_shape, metavar="3,4", help="of an input; one per input"
    )
    made.add_argument(
        "--constant", action="append", default=[], type=int, metavar="N",
        help="an input, from 0, that is not checked; may be repeated",
    )  # fmt: skip
    made.add_argument(
        "--domain", action="append", default=[], type=_domain, metavar="N=LOW,HIGH",
        help="between which the function is defined for input N; may be repeated",
    )  # fmt: skip
    add("--low", default=-2.0, help="smallest value of the inputs (default %(default)s)")
    add("--high", default=2.0, help="largest value (default %(default)s)")
    add("--eps", default=1e-6, help="step of the differences (default %(default)s)")
    add("--atol", default=1e-5, help="absolute tolerance (default %(default)s)")
    add("--rtol", default=1e-3, help="relative tolerance (default %(default)s)")
    made.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all draws (default %(default)s)"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return console.run(lambda: parser().parse_args(argv), check, (CannotCheck,))


def check(options: argparse.Namespace) -> int:
    """Check the function that the options name, and print the result."""
    name = options.function
    try:
        get_num_threads(), is_compiled()  # the settings in the environment are valid
        function = find(name)
        rng.manual_seed(options.seed)
        inputs = inputs_of(function, options)

        @functools.wraps(function)
        def repeatable(*args: Any) -> Any:  # so that dropout, for example, draws the same each time
            rng.manual_seed(options.seed + 1)
            return function(*args)

        tolerances = {name: getattr(options, name) for name in ("eps", "atol", "rtol")}
        domains = dict(options.domain)
        gradcheck(repeatable, inputs, constant=options.constant, domains=domains, **tolerances)
    except CannotCheck:
        raise
    except AssertionError as error:
        print(f"{name} is wrong: {console.one_line(error)}", file=sys.stderr)
        return 1
    except Exception as error:
        raise CannotCheck(f"{name}: {type(error).__name__}: {error}") from error
    shapes = ", ".join(str(x.shape) if isinstance(x, Tensor) else repr(x) for x in inputs)
    print(f"{name} is right for inputs {shapes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
