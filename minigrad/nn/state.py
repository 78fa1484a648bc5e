"""Loading a saved state into a module's parameters and buffers: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np

from .. import check
from ..device import Array, move
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def raw(value: Any) -> Array:
    """The array of a Tensor, or of what NumPy can read, such as PyTorch tensors on the CPU; of
    anything else an array of objects."""
    if isinstance(value, Tensor):
        return value.data
    if hasattr(value, "__cuda_array_interface__"):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; PyTorch's bfloat16, and others
        return np.array(None)


def misfit(array: Array, shape: tuple[int, ...]) -> str:
    """Why ``array`` cannot be loaded in place of one of ``shape``; "" if it can."""
    if array.dtype.kind not in "biuf":
        return f"expected numbers, got {array.dtype}"
    came = tuple(array.shape)
    return "" if came == shape else f"expected shape {shape}, got {came}"


def load(
    own: Mapping[str, Tensor],
    state_dict: Mapping[str, Any],
    strict: bool,
    optional: Set[str],
    owner: str,
) -> IncompatibleKeys:
    """Copy the values of ``state_dict`` into the tensors ``own`` of the same names.

    Args:
        strict: names that are missing or not expected are an error.
        optional: names that may be missing all the same.
        owner: what an error calls the module.

    Raises:
        ValueError: naming every missing, unexpected and misshapen entry at once. Nothing has been
            changed then.
    """
    values = {name: raw(value) for name, value in state_dict.items()}
    for name in own:
        if own[name].ndim == 0 and name in values and values[name].shape == (1,):
            values[name] = values[name].reshape(())
    missing = [name for name in own if name not in values and name not in optional]
    unexpected = [name for name in values if name not in own]
    problems = []
    if strict:
        problems += [f"missing {name}" for name in missing]
        problems += [f"unexpected {name}" for name in unexpected]
    shared = [name for name in own if name in values]
    for name in shared:
        if problem := misfit(values[name], own[name].shape):
            problems.append(f"{name}: {problem}")
        if not check.is_writable(own[name].data):
            problems.append(f"{name}: the model's own array is read-only")
    if problems:
        raise ValueError(f"state_dict for {owner}: " + "; ".join(problems))
    with np.errstate(all="ignore"):  # infinity where a value overflows, as in PyTorch
        for name in shared:
            own[name].data[...] = move(values[name], own[name].device)
    return IncompatibleKeys(missing, unexpected)
