"""Arguments of a wrong kind, to every public operation: refused by name, never taken for something.

Wrong shapes, dtypes, sizes and empty axes are drawn in tests/parity, where PyTorch says whether
they are wrong."""

from __future__ import annotations

import re

import numpy as np
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
    *("Tensor.T", "Tensor.shape", "Tensor.ndim", "nn.Identity"),
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
    named = re.match(r"[\w. ()]+(: |=.* is not supported)|[\w.]+\(\).* argument", str(caught.value))
    assert named, str(caught.value)


X = mg.tensor([[1.0, 2.0]])
SCORES, LABELS = mg.tensor([[1.0, 2.0]]), mg.tensor([1])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: X.sum(0, keepdim="no"), "keepdim: expected True or False, got 'no'"),
        (lambda: X.max(0, keepdim="no"), "keepdim: expected True or False, got 'no'"),
        (lambda: X.argmax(0, keepdim=2), "keepdim: expected True or False, got 2"),
        (lambda: F.dropout(X, 0.5, "eval"), "training: expected True or False, got 'eval'"),
        (lambda: F.cross_entropy(SCORES, LABELS, ignore_index=[1]), "ignore_index: expected a who"),
        (lambda: F.nll_loss(SCORES, LABELS, ignore_index=1.5), "ignore_index: expected a whole"),
        (lambda: F.max_pool2d(mg.zeros(1, 2, 2), 1, ceil_mode="no"), "ceil_mode: expected True or"),
        (lambda: F.one_hot([1, 2]), "tensor: expected a Tensor, got list"),
        (lambda: F.pad(X, (1, 1), value="0"), "value: expected a number, got '0'"),
        (lambda: F.batch_norm(X, b"no", None), "running_mean: expected a Tensor, got bytes"),
        (lambda: F.batch_norm(X, None, None, training="no"), "training: expected True or False"),
        (lambda: F.batch_norm(X, X[0], X[0], relu=1), "relu: expected True or False, got 1"),
        (lambda: F.batch_norm(X, X[0], X[0], residual=1), "residual: expected a Tensor, got int"),
        (lambda: mg.nn.BatchNorm2d(3)(None), "input: expected a Tensor, got NoneType"),
        (lambda: mg.nn.BatchNorm2d(3, affine="no"), "affine: expected True or False, got 'no'"),
        (lambda: mg.nn.Flatten()(np.zeros((2, 3))), "input: expected a Tensor, got ndarray"),
    ],
)
def test_what_was_once_taken_for_something(call, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        call()
