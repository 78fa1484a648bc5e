"""Loading a saved state into a module's parameters and buffers: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np

from .. import check, writes
from ..device import Array, move
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """The names that ``load_state_dict(strict=False)`` has not loaded."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def raw(value: Any) -> Array:
    """The array of a Tensor or of anything NumPy can read, such as PyTorch tensors on the CPU;
    otherwise an array of objects."""
    if isinstance(value, Tensor):
        return value.data
    if hasattr(value, "__cuda_array_interface__"):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; PyTorch's bfloat16, and others
        return np.array(None)


def misfit(array: Array, shape: tuple[int, ...]) -> str:
    """The reason why ``array`` cannot be loaded into an array of ``shape``; "" if it can."""
    if array.dtype.kind not in "biuf":
        return f"expected numbers, got {array.dtype}"
    got = tuple(array.shape)
    return "" if got == shape else f"expected shape {shape}, got {got}"


def load(
    own: Mapping[str, Tensor],
    state_dict: Mapping[str, Any],
    strict: bool,
    optional: Set[str],
    owner: str,
) -> IncompatibleKeys:
    """Copy the values of ``state_dict`` into the tensors ``own`` of the same names.

    Args:
        strict: raise for missing and unexpected names.
        optional: names that may always be missing.
        owner: the module's name in error messages.

    Raises:
        ValueError: entries are missing, unexpected or of a wrong shape; the text names them all.
            Nothing has changed then.
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
    writes.note(*(own[name].data for name in shared))
    return IncompatibleKeys(missing, unexpected)
