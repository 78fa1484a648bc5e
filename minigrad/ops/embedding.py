"""Embedding: rows of a table by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import check
from ..device import get_xp
from ..tensor import Tensor
from .arithmetic import where
from .shape import _getitem, check_within


def check_options(max_norm: None, norm_type: float, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Refuse options that differ from PyTorch's defaults."""
    check.unsupported("max_norm", max_norm, None)
    check.unsupported("norm_type", norm_type, 2.0)
    check.unsupported("scale_grad_by_freq", scale_grad_by_freq, False)
    check.unsupported("sparse", sparse, False)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of ``weight`` by index.

    Args:
        input: int32 or int64, any shape (*).
        weight: (R, D).
        padding_idx: a row that gets no gradient.
        max_norm, norm_type, scale_grad_by_freq, sparse: only PyTorch's defaults are supported.

    Returns:
        (*, D).

    Raises:
        IndexError: an index is out of range; on a GPU, raised when values are read next.
    """
    check_options(max_norm, norm_type, scale_grad_by_freq, sparse)
    check.tensor("weight", weight, (2,), "(R, D)")
    if check.tensor("input", input).dtype not in (np.int32, np.int64):
        raise TypeError(f"input: expected int32 or int64, got {input.dtype}")
    check.beside("input", input, weight, "weight")
    rows, index = weight.shape[0], input.data
    if padding_idx is not None:
        padding_idx = check.integer("padding_idx", padding_idx, -rows, rows - 1) % rows
    if not isinstance(index, np.ndarray):  # nothing waits for a GPU: a negative number is too large
        index = get_xp(index).where(index < 0, rows, index)
    elif index.size and not 0 <= index.min() <= index.max() < rows:
        bad = index[(index < 0) | (index >= rows)]
        raise IndexError(f"input: expected rows from 0 to {rows - 1}, got {bad[0]}")
    y = _getitem(weight, index=(index,), unique=False)
    check_within.run(weight.data, (index,))
    if padding_idx is None:
        return y
    padding: Any = input == padding_idx
    return where(padding.unsqueeze(-1), y.detach(), y)
