"""The table: every public operation, layer, loss and optimiser, by family.

Each file of this package holds some families, in a dict ``FAMILIES`` of lists of cases.
:mod:`benchmarks.ops.table.untimed` says of which public names no time is taken, and why.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.ops.case import Case
from benchmarks.ops.table import arrays, elementwise, layers, losses, matrices, optimizers, reduce

FAMILIES: dict[str, list[Case]] = {
    **elementwise.FAMILIES,
    **reduce.FAMILIES,
    **arrays.FAMILIES,
    **matrices.FAMILIES,
    **layers.FAMILIES,
    **losses.FAMILIES,
    **optimizers.FAMILIES,
}


def chosen(family: str, only: Sequence[str] = ()) -> list[Case]:
    """The family's cases; of some public names only, if any are given."""
    return [c for c in FAMILIES[family] if not only or not set(only).isdisjoint(c.names)]
