"""Export to ONNX, the exchange format of neural networks (https://onnx.ai).

The model is run in evaluation mode, and every operation is recorded. The operation's rule, a
function in ``rules``, turns it into ONNX nodes. The runs have batches of several sizes: a size that
equals the batch size in each run is variable in the graph. Any other difference between runs is an
error: it depends on the batch size or on values in a way that operations do not show
(``x.shape[0] // 2``, ``x.item()``, an array made with NumPy), and would silently become a constant.
One case is not detected: a branch on values (``if x.sum() > 0``), or on a batch size larger than
all runs', that all runs take. The graph then contains only that branch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import check
from ..checkpoint import write_atomically
from ..console import install
from ..nn import Module
from ..options import lacks
from ..tensor import Tensor
from . import rules  # noqa: F401  (registers them)
from .graph import Graph, Value

__all__ = ["export"]

OPSET = 20  # of 2023, the first with Gelu
IR_VERSION = 9  # the file format of the same age, for readers of that age
# Batch sizes of the runs. The first two show dependence on values. The others include the smallest,
# even and odd sizes, and one that is larger than most constants in a model.
BATCHES = (2, 2, 1, 3, 4, 7, 33)


@lacks(
    kwargs=None,
    verbose=None,
    opset_version=None,
    dynamo=True,
    external_data=True,
    dynamic_shapes=None,
    custom_translation_table=None,
    report=False,
    optimize=True,
    verify=False,
    profile=False,
    dump_exported_program=False,
    artifacts_dir=".",
    export_params=True,
    keep_initializers_as_inputs=False,
    dynamic_axes=None,
    training=None,
    operator_export_type=None,
    do_constant_folding=True,
    custom_opsets=None,
    export_modules_as_functions=False,
    autograd_inlining=True,
)
def export(
    model: Module,
    args: Tensor,
    f: str | os.PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    doc_string: str = "",
) -> None:
    """Write ``model`` in evaluation mode, its weights included, to an ONNX file.

    Args:
        model: takes one Tensor and returns one.
        args: a floating input of shape (N, ...), such as ``zeros(1, 3, 32, 32)``. Its values and N
            do not matter: the graph takes any N, but exactly these other sizes.
        f: path of the file, in an existing folder. It is replaced in one step.
        input_names, output_names: one name each; default "input" and "output".
        metadata: entries of the file's metadata.
        doc_string: description stored in the file.

    Raises:
        ImportError: the package onnx is missing (the extra ``onnx`` installs it).
        NotImplementedError: an operation of the model has no rule, or the model depends on N or on
            values of the input in a way that operations do not show; the message names it.
    """
    try:
        import onnx
    except Exception as error:  # a broken package raises anything
        raise ImportError(
            f"onnx: the package onnx cannot be imported ({error}); {install('onnx')}"
        ) from error
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a Module, got {type(model).__name__}")
    check.floating("args", check.tensor("args", args))
    if not args.ndim:
        raise ValueError("args: expected shape (N, ...), got ()")
    input_name = _one_name("input", input_names, model)
    output_name = _one_name("output", output_names, model)
    if input_name == output_name:
        raise ValueError(f"output_names: expected another name than the input's {input_name!r}")
    check.path("f", f)
    check.text("doc_string", doc_string)
    for entry in check.mapping("metadata", {} if metadata is None else metadata).items():
        for part in entry:
            check.text("metadata", part)
    rng = np.random.default_rng(0)
    inputs = [
        Tensor(rng.normal(size=(n, *args.shape[1:])).astype(args.dtype)).to(args.device)
        for n in BATCHES
    ]
    with _evaluation_mode(model):
        graph = Graph(model, inputs, input_name, output_name)
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            type(model).__name__,
            [_info(graph.input)],
            [_info(graph.output)],
            [onnx.numpy_helper.from_array(a, name) for name, a in graph.constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="minigrad",
        doc_string=doc_string,
    )
    onnx.helper.set_model_props(proto, dict(metadata or {}))
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        what = str(error).strip().splitlines()[0]
        raise NotImplementedError(f"onnx: ONNX does not allow what came of it ({what})") from error
    write_atomically(f, lambda file: file.write_bytes(proto.SerializeToString()))


def _one_name(default: str, names: Any, model: Module) -> str:
    argument, names = f"{default}_names", [default] if names is None else names
    if not isinstance(names, (tuple, list)) or len(names) != 1 or not isinstance(names[0], str):
        raise ValueError(f"{argument}: expected a sequence of one name, got {check.shown(names)}")
    if not names[0] or names[0] in model.state_dict():  # ONNX would confuse the two
        raise ValueError(f"{argument}: expected a name that is not the model's, got {names[0]!r}")
    return names[0]


@contextmanager
def _evaluation_mode(model: Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _info(value: Value) -> Any:
    """The graph's declaration of an input or output. "batch" is a size that equals N."""
    from onnx import helper

    sizes = [n if isinstance(n, int) else "batch" if n == BATCHES else None for n in value.shape]
    return helper.make_tensor_value_info(
        value.name, helper.np_dtype_to_tensor_dtype(value.dtype), sizes
    )
