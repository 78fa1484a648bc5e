"""Wrong arguments of everything public that tests/parity does not call: optimisers, schedules,
data, creation, settings, files, tools, methods. Each is refused in one line that names it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.ops import inplace
from tests.common import tensor_names
from tests.misuse.table import CALLS, REFUSED_CALLS, WRONG, data, init, leaf, model
from tests.test_misuse import NAMES as WITH_TABLE

REFUSED = (
    TypeError,
    ValueError,
    NotImplementedError,
    IndexError,
    AttributeError,
    mg.OutOfMemoryError,
)
JUNK: dict[str, Any] = {
    "object": object(),
    "dict": {},
    "bytes": b"no",
    "text": "no",
    "slice": slice(1),
    "function": len,
    "complex": 1j,
    "array": np.ones((2, 2)),
    "tensor": mg.ones(3, 2),
    "huge": 10**400,
}


SAYS = {  # where an error calls an argument otherwise
    "spec": "device",
    "where": "device",
    "stream": "seed|stream",
    "func": "func|no_grad|enable_grad|inference_mode",
    "bias": "bias|tensor",
    "weight": "tensor",
    "module": "modules?",
    "values": "values|parameters",
    "state_dict": "state_dict( for Sequential)?",
    "lr_lambda": "lr_lambda(: its result)?",
}


def refusal(argument: str, call: Callable[[], Any]) -> None:
    """``call`` is refused in one line that begins with the name of ``argument``."""
    with pytest.raises((*REFUSED, mg.DeviceError)) as caught:
        call()
    text = str(caught.value)
    said = rf"({SAYS.get(argument, argument)})(:|=.* is not supported)|\w+ of size "
    assert re.match(said, text), text
    assert "\n" not in text
    assert len(text) < 1000, text


@pytest.mark.parametrize("name", CALLS)
def test_the_right_call_is_right(name):
    function, rightly, _ = CALLS[name]
    bad = {"optim.LRScheduler": NotImplementedError, "CapturedStep.__call__": mg.DeviceError}
    if not mg.is_gpu_available():
        bad["nn.Module.cuda"] = mg.DeviceError
    if name in bad:  # abstract; and on the CPU
        with pytest.raises(bad[name]):
            function(**rightly)
    else:
        function(**rightly)


@pytest.mark.parametrize("name", CALLS)
def test_junk_in_place_of_an_argument(name):
    function, rightly, may = CALLS[name]
    threads = mg.get_num_threads()
    for argument in rightly:
        for kind, junk in JUNK.items():
            if kind not in may.get(argument, ()):
                refusal(argument, lambda a=argument, j=junk: function(**{**rightly, a: j}))
    assert mg.get_num_threads() == threads


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_of_the_right_type(name):
    function, rightly, _ = CALLS[name]
    for argument, values in WRONG[name].items():
        for value in values:
            refusal(argument, lambda a=argument, v=value: function(**{**rightly, a: v}))


@pytest.mark.parametrize(("error", "argument", "call"), REFUSED_CALLS)
def test_a_refused_call(error, argument, call):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(argument)
    assert "\n" not in str(caught.value)


def test_a_parameter_twice():
    p, other = leaf(), leaf()
    refusal("params", lambda: optim.SGD([p, other, p]))
    optimizer = optim.SGD([p])
    refusal("params", lambda: optimizer.add_param_group({"params": [other, p]}))
    refusal("param_group", lambda: optimizer.add_param_group({"lr": 0.1}))
    assert len(optimizer.param_groups) == 1


def test_files(tmp_path):
    path, state = tmp_path / "a.safetensors", {"a": mg.ones(2)}
    for junk in (None, 3, b"a", 1j, {}, mg.ones(2), "a\0b"):
        refusal("path", lambda j=junk: mg.save(state, j))
        refusal("path", lambda j=junk: mg.load(j))
    tensors = [None, 3, "a", [mg.ones(2)], {3: mg.ones(2)}, {"a": [1.0]}, {"a": 1.0}]
    arrays = [np.array([None]), np.array([1j]), np.array(["a"]), np.ones(1, np.longdouble)]
    for junk in (*tensors, *({"a": array} for array in arrays)):
        refusal("tensors(: a name)?", lambda j=junk: mg.save(j, path))
    endless: list[Any] = []
    endless.append(endless)
    for junk in (object(), {1, 2}, mg.ones(2), endless, b"no"):
        refusal("metadata", lambda j=junk: mg.save(state, path, j))
    assert not list(tmp_path.iterdir())
    mg.save(state, path)
    for junk in (3, "tpu"):
        refusal("device", lambda j=junk: mg.load(path, j))


def test_export(tmp_path):
    file = tmp_path / "a.onnx"
    wrong: dict[str, list[Any]] = {
        "model": [None, len, leaf()],
        "args": [None, 3, np.ones(2), mg.tensor([1]), mg.ones(())],
        "f": [None, 3, b"a", "a\0b"],
        "input_names": ["x", [], [3], ["a", "b"], {"a"}, [""], ["0.weight"]],
        "output_names": ["x", [], [3], ["1.running_mean"], ["input"]],
        "metadata": [3, [], {"a": 1}, {1: "a"}],
        "doc_string": [None, 3],
    }
    rightly: dict[str, Any] = {"model": model(), "args": mg.ones(1, 3), "f": file}
    for argument, values in wrong.items():
        for value in values:
            refusal(argument, lambda a=argument, v=value: mg.onnx.export(**{**rightly, a: v}))
    assert not list(tmp_path.iterdir())


# Names without a call of their own above or in the table, and why.
ELSEWHERE = {
    "no arguments of its own": """
        CaptureError DeviceError OutOfMemoryError get_implementation get_num_threads get_precision
        is_compiled is_gpu_available Tensor.cuda Tensor.gpu Tensor.numpy Tensor.retain_grad
        Tensor.retains_grad Tensor.zero_grad nn.Module.children nn.Module.eval nn.Module.cpu
        nn.Module.float nn.Module.double nn.Module.half nn.Module.named_children
        nn.Module.extra_repr
        Tensor.T Tensor.shape
        is_grad_enabled is_inference_mode_enabled Tensor.grad_fn
        Tensor.ndim Tensor.device Tensor.dtype Tensor.is_leaf optim.Optimizer.state_dict
        optim.LRScheduler.get_last_lr optim.LRScheduler.state_dict
    """,
    "a module, whose functions are here": """
        autograd
        checkpoint console data distributed functional memory nn onnx optim
        nn.functional nn.init nn.utils optim.lr_scheduler utils
    """,
    "a type": "data.Transform",
    "given what training itself has counted": "memory.advice memory.fitting",
    "attributes": "Tensor.data Tensor.is_cuda Tensor.mT Tensor.node Tensor.requires_grad",
    "NumPy's and Python's": """
        e inf nan pi dtype finfo iinfo float16 float32 float64 double half int8 int16 int32 int64
        long short uint8 uint16 uint32 uint64
    """,
    "tested in tests/distributed": "nn.SyncBatchNorm data.DistributedSampler data.rows_of_batch",
    "takes anything": "is_tensor",
    "other names of cat": "concat concatenate",
    "tested here by themselves": "save load",
    "rules of operations, tested in tests/test_gradients.py": "Diagonal Multilinear Rerun",
    "tested in tests/explore and tests/nn": "draw explore trace nn.Module.summary",
    "refused in tests/optim/test_swa_utils": "optim.swa_utils",
    "for subclasses": """
        nn.Module nn.Module.forward optim.Optimizer.active_slots
        optim.Optimizer.advanced optim.Optimizer.check_options
        optim.LRScheduler.get_lr data.Dataset data.Sampler
    """,
    "takes what it is given": "nn.Identity data.get_worker_info",
    "refused by name in test_misuse, drawn in tests/parity": "functional.batch_norm",
    "operators, where Python names both operands; the constructor is Tensor": " ".join(
        f"Tensor.{n}"
        for n, v in vars(mg.Tensor).items()
        if n[:2] == "__" and callable(v) and n not in inplace.METHODS
    ),
}


def defined(module: Any) -> set[str]:
    if hasattr(module, "__all__"):
        return set(module.__all__)
    own = {n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__}
    return {name for name in own if not name.startswith("_")}


def methods(kind: type) -> set[str]:
    return {n for n, v in vars(kind).items() if inspect.isfunction(v) and not n.startswith("_")}


def test_every_public_name_is_misused():
    own = tensor_names()
    kinds = {
        "nn.Module": nn.Module,
        "optim.Optimizer": optim.Optimizer,
        "optim.LRScheduler": optim.LRScheduler,
        "optim.ReduceLROnPlateau": optim.ReduceLROnPlateau,
        "data.DataLoader": data.DataLoader,
    }
    homes = {"": mg, "nn.": nn, "functional.": mg.functional, "optim.": optim}
    own -= set(inplace.METHODS)  # which are the functions, and tested in tests/ops/test_inplace
    public = {
        *(f"{home}{name}" for home, module in homes.items() for name in module.__all__),
        *(f"data.{name}" for name in defined(data)),
        *(f"memory.{name}" for name in defined(mg.memory)),
        *(f"nn.init.{name}" for name in defined(init)),
        *(f"nn.utils.{name}" for name in defined(nn.utils)),
        *(f"{path}.{name}" for path, kind in kinds.items() for name in methods(kind)),
        *(f"Tensor.{name}" for name in own),
    } - {"nn.Module.fuse"}  # fmt: skip
    elsewhere = {name for names in ELSEWHERE.values() for name in names.split()}
    same = {n for n in mg.__all__ if getattr(mg, n) is vars(mg.Tensor).get(n, mg)}  # the method
    assert public - {*CALLS, *WITH_TABLE} - elsewhere - same == set()
    assert elsewhere - public == set()
