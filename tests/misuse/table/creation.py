"""New tensors of a size, of one number, or like another; random ones."""

from __future__ import annotations

import math

import minigrad as mg
from tests.misuse.table import NAN, WRONG, calls

_made = {"dtype": "float32", "device": "cpu", "requires_grad": False}
_like = {"input": ("tensor",)}
for _name in ("rand", "empty"):
    calls(_name, lambda size, n=_name, **o: getattr(mg, n)(size, **o), {}, size=2, **_made)
for _name in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"):
    calls(_name, getattr(mg, _name), _like, input=mg.ones(2), **_made)
for _name in ("new_zeros", "new_ones", "new_empty"):
    _new = getattr(mg.ones(1), _name)
    calls(f"Tensor.{_name}", lambda size, new=_new, **o: new(size, **o), {}, size=2, **_made)
calls("full", mg.full, {}, size=(2,), fill_value=1.0, **_made)
calls("Tensor.new_full", mg.ones(1).new_full, {}, size=(2,), fill_value=1.0, **_made)
calls("full_like", mg.full_like, _like, input=mg.ones(2), fill_value=1.0, **_made)
calls(
    "Tensor.new_tensor", mg.ones(1).new_tensor, {"data": ("array", "tensor")}, data=[1.0], **_made
)
calls("arange", mg.arange, {}, start=0, end=4, step=1, **_made)
calls("linspace", mg.linspace, {}, start=0, end=4, steps=3, **_made)
calls("eye", mg.eye, {}, n=2, m=3, **_made)
calls("randint", mg.randint, {}, low=0, high=4, size=(2,), **_made)
calls("randperm", mg.randperm, {}, n=4, **_made)
calls("bernoulli", mg.bernoulli, _like, input=mg.ones(2), p=0.5)
calls("multinomial", mg.multinomial, _like, input=mg.ones(2), num_samples=1, replacement=False)
calls("as_tensor", mg.as_tensor, {"data": ("array", "tensor")}, data=[1.0], dtype=None, device=None)
calls("from_numpy", mg.from_numpy, {"ndarray": ("array",)}, ndarray=mg.ones(2).numpy())
calls("clone", mg.clone, {"input": ("tensor",)}, input=mg.ones(1))

WRONG |= {
    "full": {"size": [-1, 1.5, 10**15], "fill_value": [None, "1"], "dtype": ["complex64"]},
    "arange": {"start": [NAN, "0", None], "end": [math.inf, "4"], "step": [0, NAN, -1, None]},
    "linspace": {"start": [NAN, None], "end": [math.inf, None], "steps": [-1, 1.5, None]},
    "eye": {"n": [-1, 1.5, True], "m": [-1, 1.5]},
    "randint": {"low": [0.5, None], "high": [0, 1.5], "size": [2, (-1,), (1.5,)]},
    "randperm": {"n": [-1, 1.5, None], "dtype": ["complex64", object]},
    "bernoulli": {"p": [-0.1, 1.1, NAN]},
    "multinomial": {
        "input": [mg.tensor([1]), mg.ones(1, 1, 1), mg.tensor([0.0]), mg.tensor([-1.0, 2.0])],
        "num_samples": [0, 3, 1.5, None],
        "replacement": [1, None],
    },
    "rand": {"size": [-1, 10**15], "dtype": ["int64", "bool"], "device": ["tpu"]},
}
