"""Arguments of a wrong kind, to every public operation: refused by name, never taken for something.

Wrong shapes, dtypes, sizes and empty axes are drawn in tests/parity, where PyTorch says whether
they are wrong."""

from __future__ import annotations

import re

import pytest

import minigrad as mg
from tests.parity.driver import Drawer
from tests.parity.table import ENTRIES

F = mg.functional
JUNK = (object(), {}, b"no", slice(1), print, 1j)
# Operators leave other types to Python, which names both operands; three are no functions, Identity
# takes what it is given, and the table's batch norms copy or make what they hand over.
OTHERS = (
    *("Tensor.T", "Tensor.mT", "Tensor.shape", "Tensor.ndim", "nn.Identity", "is_tensor"),
    *("functional.batch_norm", "nn.BatchNorm1d", "nn.BatchNorm2d"),
    "functional.batch_norm with residual and relu",
)
PARAMETERS = {"nn.MultiheadAttention": (3, 4)}  # which the table puts into the layer itself
NAMES = [n for n in ENTRIES if "__" not in n and n not in OTHERS]


@pytest.mark.parametrize("name", NAMES)
def test_junk_in_place_of_an_argument(name):
    """Each kind twice."""
    for number in range(2 * len(JUNK)):
        refused(name, Drawer(ENTRIES[name], number), JUNK[number % len(JUNK)])


def refused(name, d, junk):
    entry = ENTRIES[name]
    call = entry.draw(d)
    first = name.startswith("Tensor.") or not call.arrays  # a method needs its tensor
    places = [*range(int(first), len(call.arrays) + len(call.args)), *call.options]
    own = ("state", *PARAMETERS.get(name, ()))  # "state": what the table makes layers of
    places = [place for place in places if place not in own]
    place = d(places) if places else len(call.arrays)
    values = [*(None if a is None else mg.tensor(a) for a in call.arrays), *call.args]
    options = dict(call.options)
    if isinstance(place, int):
        values[place : place + 1] = [junk]  # one too many where there is none to replace
    else:
        options[place] = junk
    with pytest.raises((TypeError, ValueError, NotImplementedError, IndexError)) as caught:
        entry.ours(*values, **options)
    text = str(caught.value)
    assert re.match(r"[\w. ()]+(: |=.* is not supported)|[\w.<>]+\(\).* argument", text), text
