"""Arguments of a wrong kind, to every public operation: refused by name, never taken for something.

Wrong shapes, dtypes, sizes and empty axes are drawn in tests/parity, where PyTorch says whether
they are wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from tests.parity.driver import calls
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
NAMES = [n for n in ENTRIES if "__" not in n and n not in OTHERS]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_junk_in_place_of_an_argument(name, data):
    entry = ENTRIES[name]
    call, _, _ = data.draw(calls(entry))
    first = name.startswith("Tensor.") or not call.arrays  # a method needs its tensor
    places = [*range(int(first), len(call.arrays) + len(call.args)), *call.options]
    places = [place for place in places if place != "state"]  # what the table makes layers of
    junk = data.draw(st.sampled_from(JUNK))
    place = data.draw(st.sampled_from(places)) if places else len(call.arrays)
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
