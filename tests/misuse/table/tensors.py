"""Tensors, random numbers and data."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from tests.misuse.table import NAN, WRONG, calls, data, leaf


def loader(**options: Any) -> Any:
    return data.DataLoader(data.TensorDataset(mg.zeros(6, 2), mg.zeros(6)), **options)


def epoch(**options: Any) -> Any:
    return list(loader().epoch(**options))


def set_grad(grad: Any) -> None:
    leaf().grad = grad


calls(
    "data.DataLoader",
    lambda **options: list(data.DataLoader(**options)),
    {
        "seed": ("huge",), "batch_size": ("huge",), "transform": ("function",),
        "dataset": ("array", "dict", "bytes", "text", "tensor"), "collate_fn": ("function",),
        "sampler": ("dict", "bytes"), "batch_sampler": ("dict",), "worker_init_fn": ("function",),
    },
    dataset=data.TensorDataset(mg.zeros(3, 2), mg.zeros(3)), batch_size=2, shuffle=False,
    transform=None, seed=0, drop_last=False, sampler=None, collate_fn=None, generator=None,
    num_workers=0, worker_init_fn=None, persistent_workers=False, pin_memory=False, timeout=0,
    prefetch_factor=None, multiprocessing_context=None,
)  # fmt: skip
_sized: Any = ("array", "dict", "bytes", "text", "tensor")
calls("data.TensorDataset", lambda tensors: data.TensorDataset(tensors), {"tensors": ("tensor",)},
      tensors=mg.ones(2))  # fmt: skip
calls("data.Subset", data.Subset, {"dataset": _sized, "indices": _sized}, dataset=[1], indices=[0])
calls("data.ConcatDataset", data.ConcatDataset, {"datasets": ("array",)}, datasets=[[1], [2]])
calls(
    "data.random_split", data.random_split, {"dataset": _sized}, dataset=[1, 2],
    lengths=[1, 1], generator=None,
)  # fmt: skip
calls("data.default_collate", data.default_collate, {"batch": ("array",)}, batch=[1, 2])
calls("data.SequentialSampler", data.SequentialSampler, {"data_source": _sized}, data_source=[1])
calls(
    "data.RandomSampler", data.RandomSampler, {"data_source": _sized, "num_samples": ("huge",)},
    data_source=[1], replacement=False, num_samples=1, generator=None,
)  # fmt: skip
calls(
    "data.SubsetRandomSampler", data.SubsetRandomSampler, {"indices": _sized}, indices=[1],
    generator=None,
)  # fmt: skip
calls(
    "data.WeightedRandomSampler", data.WeightedRandomSampler, {"num_samples": ("huge",)},
    weights=[1.0], num_samples=1, replacement=True, generator=None,
)  # fmt: skip
calls(
    "data.BatchSampler", data.BatchSampler,
    {"sampler": ("array", "dict", "bytes", "text", "tensor"), "batch_size": ("huge",)},
    sampler=[1], batch_size=1, drop_last=False,
)  # fmt: skip
calls("Generator", mg.Generator, {}, device="cpu")
calls("data.DataLoader.epoch", epoch, {"number": ("huge",), "start": ("huge",)}, number=0, start=0)
_many = {"seed": ("huge",), "stream": ("huge",)}
calls(
    "data.replayable", lambda seed, stream: data.replayable(seed, stream), _many, seed=0, stream=0
)

_made = {"dtype": "float32", "device": "cpu", "requires_grad": False}
calls("zeros", lambda size, **options: mg.zeros(size, **options), {}, size=2, **_made)
calls("ones", lambda size, **options: mg.ones(size, **options), {}, size=2, **_made)
calls("randn", lambda size, **options: mg.randn(size, **options), {}, size=2, **_made)
_held = {"data": ("array", "tensor")}
calls("tensor", mg.tensor, _held, data=[1.0], **_made)
calls("Tensor", mg.Tensor, _held, data=[1.0], requires_grad=False)
calls("nn.Parameter", nn.Parameter, _held, data=[1.0], requires_grad=True)
calls("device", mg.device, {}, spec="cpu")
calls("get_xp", mg.get_xp, {"array": ("array",)}, array=np.ones(2))
calls("manual_seed", lambda seed, stream: mg.manual_seed(seed, stream), _many, seed=0, stream=0)
calls("Tensor.grad", set_grad, {}, grad=mg.ones(2, 3))
calls(
    "Tensor.backward", lambda **options: leaf(1).backward(**options), {},
    gradient=mg.ones(1), retain_graph=False, create_graph=False,
)  # fmt: skip
calls("Tensor.register_hook", leaf().register_hook, {"hook": ("function",)}, hook=len)
calls("Tensor.requires_grad_", lambda **o: mg.ones(1).requires_grad_(**o), {}, requires_grad=True)

WRONG |= {
    "data.DataLoader": {
        "dataset": [iter([1]), None, 3, list],
        "sampler": [3],
        "collate_fn": [3],
        "generator": [np.random.default_rng(0)],
        "num_workers": [-1, 0.5, True, None],
        "timeout": [-1, 1, NAN, None],
        "persistent_workers": [True, 1, None],
        "pin_memory": [1, None],
        "prefetch_factor": [0, 2, 0.5],
        "multiprocessing_context": ["thread", 3],
        "batch_size": [0, -1, True, 1.0, None],
        "shuffle": [1],
        "transform": [
            lambda x, rng: None,
            lambda x, rng: x.data,
            lambda x, rng: x[:0],
            lambda x, rng: x.sum(),
        ],
        "seed": [-1, 0.5, True, None],
        "drop_last": [1, None],
    },
    "data.TensorDataset": {"tensors": [mg.ones(()), None]},
    "data.Subset": {"dataset": [None, iter([1])], "indices": [None, 3]},
    "data.ConcatDataset": {"datasets": [[], [3], None]},
    "data.random_split": {"lengths": [[], [3], [-1, 3], [0.5, 0.6], [1.5, 0.5], None]},
    "data.default_collate": {"batch": [[], [None], [1, "a"], [[1], [1, 2]], None]},
    "data.RandomSampler": {"replacement": [1], "num_samples": [0, -1, 0.5]},
    "data.WeightedRandomSampler": {
        "weights": [[-1.0], [NAN], [0.0], [[1.0]], ["a"], None],
        "num_samples": [0, 0.5, None],
        "replacement": [1],
    },
    "data.BatchSampler": {"sampler": [None, 3], "batch_size": [0, None], "drop_last": [1, None]},
    "Generator": {"device": ["cuda", None]},
    "data.DataLoader.epoch": {"number": [-1, 0.5, True, None], "start": [-1, 0.5, None]},
    "data.replayable": {"seed": [-1, 0.5, True, None], "stream": [-1, 0.5, True, None]},
    "manual_seed": {"seed": [-1, 0.5, True, None], "stream": [-1, 0.5, None]},
    **{
        name: {
            "size": [-1, 1.5, True, None, [2, -1], [[2]], 10**15, (10**10, 10**10), [1] * 65],
            "dtype": ["complex64", "longdouble", ">f4", "U3", object, NAN],
            "device": [0, "tpu", "gpu:", "cpu:1", "gpu:x"],
            "requires_grad": [1, None],
        }
        for name in ("zeros", "ones")
    },
    "randn": {"size": [-1, 10**15], "dtype": ["int64", "bool"], "device": ["tpu"]},
    "tensor": {
        "data": [None, "1", [[1], [1, 2]], 2**63, [2**63], [None], {1}, np.array(["a"]),
                 np.array([1j]), np.array([None]), np.ones(2, np.longdouble), np.ones(2, ">f4"),
                 np.ma.masked_array([1.0], [True]), np.array(["2000"], "M8[D]")],
    },
    "device": {"spec": [None, 0, "", "tpu", "gpu:-1", "gpu:x", "cpu:", "cpu:1", "auto:1", "CPU"]},
    "Tensor.grad": {"grad": [mg.ones(3, 2), mg.ones(1), mg.ones(2, 3, dtype="float64")]},
    "Tensor.backward": {
        "gradient": [mg.ones(2), mg.ones(()), mg.ones(1, dtype="float64"), 1.0],
        "retain_graph": [1],
        "create_graph": [1, None],
    },
}  # fmt: skip
WRONG["Tensor"] = {"data": WRONG["tensor"]["data"], "requires_grad": [1, None]}
