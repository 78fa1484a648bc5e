"""The table of all public operations, layers, losses and optimisers, by family.

Each file of this package has some families, in a dict ``FAMILIES`` of lists of cases.
:mod:`benchmarks.ops.table.untimed` lists the public names that are not timed, with the reasons.
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
    """The family's cases, or only those of the public names ``only``, if any are given."""
    return [c for c in FAMILIES[family] if not only or not set(only).isdisjoint(c.names)]
