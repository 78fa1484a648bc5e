"""Export to ONNX, the exchange format of neural networks (https://onnx.ai).

The model is run in evaluation mode while every operation is noted, and each becomes the nodes that
its rule, one of the functions at the end of this file, makes of it. It is run on batches of several
sizes: a size that is different in each is the batch's and stays open in the graph. Anything else
that differs between runs depends on the number of inputs or on their values in a way that no
operation tells (``x.shape[0] // 2``, ``argmax``, ``x.item()``, an array made with NumPy) and is an
error, not a constant in silence. What no run shows is a branch that all happened to take alike, on
values (``if x.sum() > 0``) or on more inputs than the largest batch has: the graph takes it too.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import check
from .checkpoint import write_atomically
from .console import install
from .device import CPU, Array, move
from .nn import Module
from .ops.conv import Pair, Window
from .options import lacks
from .tape import Listener, listen, no_grad
from .tensor import Tensor

__all__ = ["export"]

OPSET = 20  # of 2023, the first with Gelu
IR_VERSION = 9  # the file format that came with it, so that readers of that age take it
# Sizes of the batches that are run. The first two tell what depends on values; the others are the
# smallest, even and odd ones, and one that is larger than a constant that sizes often meet.
BATCHES = (2, 2, 1, 3, 4, 7, 33)

Size: TypeAlias = "int | tuple[int, ...]"  # a size in each run where they differ


class Value(NamedTuple):
    """A value that is computed in the graph, or one of the model's parameters and buffers."""

    name: str
    shape: tuple[Size, ...]
    dtype: np.dtype[Any]


Operand: TypeAlias = "Value | str | Array | None"  # a str is the name of a node's output


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
        args: an input, such as ``zeros(1, 3, 32, 32)``: floating, of shape (N, ...). Its values and
            N do not matter: the graph takes any N, and just these other sizes.
        f: the file; its folder must exist. It is replaced in one step.
        input_names, output_names: one name each; "input" and "output" unless given.
        metadata: entries of the file's metadata.
        doc_string: what the file says of itself.

    Raises:
        ImportError: the package onnx is missing (the extra ``onnx`` installs it).
        NotImplementedError: the model uses an operation that has no rule, or what it does depends
            on N or on its input's values in a way that operations do not tell; the message says on
            which.
    """
    try:
        import onnx
    except Exception as error:  # of a broken one, anything
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
        graph = _Graph(model, inputs, input_name, output_name)
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
    if not names[0] or names[0] in model.state_dict():  # which would be taken in its place
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
    """The graph's declaration of an input or output; "batch" is the size that N is."""
    from onnx import helper

    sizes = [n if isinstance(n, int) else "batch" if n == BATCHES else None for n in value.shape]
    return helper.make_tensor_value_info(
        value.name, helper.np_dtype_to_tensor_dtype(value.dtype), sizes
    )


# ---------------------------------------------------------------------------- from runs to a graph


class _Key(NamedTuple):
    """What an array is in a run: the result of operation number ``of``, a parameter or buffer of
    that name, or the input (None)."""

    of: int | str | None


class _Call(NamedTuple):
    """An operation as it was called in one run, with keys in place of arrays that have one."""

    name: str
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class _Run(Listener):
    """What a model did with a batch.

    Attributes:
        calls: its operations in order.
        result: a key, or an array that came of no operation.
        shape, dtype: of the result.
    """

    def __init__(self, model: Module, state: dict[str, Array], x: Tensor) -> None:
        self.calls: list[_Call] = []
        # By id, which another array may have once this one is freed.
        self._known: dict[int, tuple[weakref.ref[Any], _Key]] = {}
        for name, array in state.items():
            self._learn(array, name)
        self._learn(x.data, None)
        with no_grad(), listen(self):
            y = model(x)
        if not isinstance(y, Tensor):
            raise NotImplementedError(
                f"onnx: expected a model of one Tensor, got {type(y).__name__}"
            )
        self.result, self.shape, self.dtype = self._told(y), y.shape, y.dtype

    def _learn(self, array: Array, of: int | str | None) -> None:
        self._known[id(array)] = weakref.ref(array), _Key(of)

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Tensor
    ) -> None:
        params = {key: self._told(value) for key, value in params.items()}
        call = _Call(name, self._told(inputs), params, result.shape, result.dtype)
        self._learn(result.data, len(self.calls))
        self.calls.append(call)

    def _told(self, value: Any) -> Any:
        """``value`` with keys in place of the arrays that have one."""
        if isinstance(value, tuple):
            return tuple(map(self._told, value))
        value = value.data if isinstance(value, Tensor) else value
        if isinstance(value, np.generic):
            return value.item()
        reference, key = self._known.get(id(value), (None, None))
        return key if reference is not None and reference() is value else value


def _runs(model: Module, inputs: list[Tensor], state: dict[str, Array]) -> list[_Run]:
    """The model's runs, which differ in nothing but sizes."""
    first = _Run(model, state, inputs[0])
    for call in first.calls:
        if call.name not in RULES:
            raise NotImplementedError(f"onnx: there is no rule for the operation {call.name!r}")
    runs = [first]
    for x in inputs[1:]:
        try:
            runs.append(_Run(model, state, x))
        except (MemoryError, NotImplementedError):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise NotImplementedError(
                f"onnx: the model takes {len(inputs[0])} inputs at once and not {len(x)} ({what})"
            ) from error
        _check_alike(
            first, runs[-1], "input's values" if len(x) == len(inputs[0]) else "batch size"
        )
    return runs


def _check_alike(one: _Run, other: _Run, cause: str) -> None:
    """Raise unless both runs did the same: ``cause`` is what they differ in."""

    def check_that(what: str, alike: bool) -> None:
        if not alike:
            raise _varies(what, cause)

    check_that("the number of operations", len(one.calls) == len(other.calls))
    for a, b in zip(one.calls, other.calls, strict=True):
        same = a.name == b.name and len(a.inputs) == len(b.inputs)
        check_that(f"whether {a.name} or {b.name} comes next", same)
        for x, y in zip(a.inputs, b.inputs, strict=True):
            check_that(f"an operand of {a.name}", _alike(x, y))
        for key in a.params:
            x, y = a.params[key], b.params[key]
            same = len(x) == len(y) if key == "shape" else _alike(x, y)
            check_that(f"{a.name}'s {key}", same)
    check_that("the result", _alike(one.result, other.result))


def _alike(a: Any, b: Any) -> bool:
    if hasattr(a, "dtype") and hasattr(b, "dtype"):
        a, b = move(a, CPU), move(b, CPU)
        return a.dtype == b.dtype and np.array_equal(a, b)
    if type(a) is tuple and type(b) is tuple:
        return len(a) == len(b) and all(map(_alike, a, b))
    return type(a) is type(b) and bool(a == b)


class _Graph:
    """Nodes in order and the constants they use, as ``model`` leads to them.

    Attributes:
        nodes: ``NodeProto`` messages.
        constants: arrays on the CPU by name: parameters and buffers that are used, and others.
        input, output: of the graph.
    """

    def __init__(
        self, model: Module, inputs: list[Tensor], input_name: str, output_name: str
    ) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._state = {name: t.data for name, t in model.state_dict().items()}
        runs = _runs(model, inputs, self._state)
        self.input = Value(input_name, _sizes(*(x.shape for x in inputs)), inputs[0].dtype)
        self._values = {_Key(None): self.input} | {
            _Key(name): Value(name, a.shape, a.dtype) for name, a in self._state.items()
        }
        for number, calls in enumerate(zip(*(run.calls for run in runs), strict=True)):
            self._add(number, calls)
        first = runs[0]
        self("Identity", self._operand(first.result))
        self.nodes[-1].output[0] = output_name
        self.output = Value(output_name, _sizes(*(run.shape for run in runs)), first.dtype)

    def _add(self, number: int, calls: tuple[_Call, ...]) -> None:
        """The nodes for one operation, as it was called in each run."""
        first = calls[0]
        operands = [self._operand(x) for x in first.inputs]
        params = {
            key: _sizes(*(call.params[key] for call in calls))
            if key == "shape"
            else self._operand(value)
            for key, value in first.params.items()
        }
        y = Value("", _sizes(*(call.shape for call in calls)), first.dtype)
        name = RULES[first.name](self, y, *operands, **params)
        self._values[_Key(number)] = y._replace(name=name)

    def _operand(self, x: Any) -> Any:
        """What all runs gave to an operation: Values for keys, arrays on the CPU, all else as it
        is."""
        if isinstance(x, _Key):
            return self._values[x]
        if isinstance(x, tuple):
            return tuple(map(self._operand, x))
        return move(x, CPU) if hasattr(x, "dtype") else x

    # -- what rules use

    def __call__(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Add a node; returns the name of its output. An array becomes a constant, None nothing."""
        from onnx import helper

        output = f"{kind}_{len(self.nodes)}"
        names = [self.name(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        self.nodes.append(helper.make_node(kind, names, [output], name=output, **attributes))
        return output

    def name(self, x: Operand) -> str:
        """What ``x`` is called in the graph."""
        if x is None or isinstance(x, str):
            return x or ""
        if isinstance(x, Value):
            if x.name in self._state:
                self.constants[x.name] = np.asarray(move(self._state[x.name], CPU))
            return x.name
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(x).reshape(x.shape)
        return name

    def cast(self, x: Any, dtype: Any) -> Operand:
        """A Value, an array or a number in ``dtype``."""
        if not isinstance(x, Value):
            return np.asarray(x, dtype)
        if x.dtype == dtype:
            return x
        from onnx import helper

        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _sizes(*shapes: tuple[int, ...]) -> tuple[Size, ...]:
    """A shape in all runs: a number where they agree, else all numbers."""
    return tuple(n[0] if len(set(n)) == 1 else n for n in zip(*shapes, strict=True))


def _varies(what: str, cause: str = "batch size") -> NotImplementedError:
    return NotImplementedError(
        f"onnx: {what} depends on the {cause} in a way that the operations do not tell"
    )


# ---------------------------------------------------------------------------- rules

# An operation's rule adds its nodes to the graph ``g`` and returns the name of their result:
# ``rule(g, y, *operands, **params)`` with ``y`` the result's shape and dtype, operands that are
# Values, arrays, numbers or None, and the operation's own parameters.
Rule: TypeAlias = "Callable[..., str]"
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Make ``function`` the rule of the operation of its name."""
    RULES[function.__name__.strip("_")] = function
    return function


def _one_node(kind: str, **attributes: Any) -> Rule:
    """The rule of an operation that is one node, of operands in the result's dtype."""
    return lambda g, y, *xs: g(kind, *(g.cast(x, y.dtype) for x in xs), **attributes)


def _comparison(kind: str) -> Rule:
    def compare(g: _Graph, y: Value, *xs: Any) -> str:
        dtype = np.result_type(*(x.dtype if hasattr(x, "dtype") else x for x in xs))
        return g(kind, *(g.cast(x, dtype) for x in xs))

    return compare


RULES |= {
    "abs": _one_node("Abs"),
    "add": _one_node("Add"),
    "div": _one_node("Div"),
    "exp": _one_node("Exp"),
    "gelu": _one_node("Gelu"),
    "gelu_tanh": _one_node("Gelu", approximate="tanh"),
    "log": _one_node("Log"),
    "matmul": _one_node("MatMul"),
    "mul": _one_node("Mul"),
    "neg": _one_node("Neg"),
    "relu": _one_node("Relu"),
    "sigmoid": _one_node("Sigmoid"),
    "sqrt": _one_node("Sqrt"),
    "sub": _one_node("Sub"),
    "tanh": _one_node("Tanh"),
    "equal": _comparison("Equal"),
    "greater": _comparison("Greater"),
    "greater_equal": _comparison("GreaterOrEqual"),
    "less": _comparison("Less"),
    "less_equal": _comparison("LessOrEqual"),
}


@rule
def not_equal(g: _Graph, y: Value, a: Any, b: Any) -> str:
    return g("Not", RULES["equal"](g, y, a, b))


@rule
def to_dtype(g: _Graph, y: Value, x: Any, *, dtype: Any) -> str:
    return g.name(g.cast(x, dtype))


@rule
def to_device(g: _Graph, y: Value, x: Any, *, where: Any) -> str:
    return g.name(x)


@rule
def _pow(g: _Graph, y: Value, x: Any, *, exponent: Any) -> str:
    return g("Pow", g.cast(x, y.dtype), g.cast(exponent, y.dtype))


@rule
def _clamp(g: _Graph, y: Value, x: Any, low: Any, high: Any) -> str:
    found = g.cast(x, y.dtype)
    for kind, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            found = g(kind, found, g.cast(bound, y.dtype))
    return g.name(found)


@rule
def _where(g: _Graph, y: Value, condition: Any, a: Any, b: Any) -> str:
    return g("Where", condition, g.cast(a, y.dtype), g.cast(b, y.dtype))


@rule
def _leaky_relu(g: _Graph, y: Value, x: Any, *, slope: float) -> str:
    return g("LeakyRelu", x, alpha=slope)


@rule
def _softmax(g: _Graph, y: Value, x: Any, *, axis: int) -> str:
    return g("Softmax", x, axis=axis)


@rule
def _log_softmax(g: _Graph, y: Value, x: Any, *, axis: int) -> str:
    return g("LogSoftmax", x, axis=axis)


def _reduce(g: _Graph, kind: str, x: Operand, axes: tuple[int, ...], keepdim: bool) -> str:
    return g(kind, x, np.array(axes, np.int64), keepdims=int(keepdim), noop_with_empty_axes=1)


@rule
def _sum(g: _Graph, y: Value, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> str:
    return _reduce(g, "ReduceSum", g.cast(x, y.dtype), axes, keepdim)


@rule
def _mean(g: _Graph, y: Value, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> str:
    return _reduce(g, "ReduceMean", x, axes, keepdim)


@rule
def _var(
    g: _Graph, y: Value, x: Any, *, axes: tuple[int, ...], correction: float, keepdim: bool
) -> str:
    sizes = [x.shape[i] for i in axes]
    if not all(isinstance(n, int) for n in sizes):
        raise _varies("var's divisor")
    centred = g("Sub", x, _reduce(g, "ReduceMean", x, axes, True))
    total = _reduce(g, "ReduceSum", g("Mul", centred, centred), axes, keepdim)
    return g("Div", total, np.asarray(max(math.prod(sizes) - correction, 0), y.dtype))


@rule
def _std(g: _Graph, y: Value, x: Any, **options: Any) -> str:
    return g("Sqrt", _var(g, y, x, **options))


@rule
def _all_extreme(g: _Graph, y: Value, x: Any, *, name: str) -> str:
    return g(f"Reduce{name.capitalize()}", x, keepdims=0)


@rule
def _reshape(g: _Graph, y: Value, x: Any, *, shape: tuple[Size, ...]) -> str:
    # 0 stands for the input's size at that place, -1 for what is left.
    sizes = [
        n if isinstance(n, int) else 0 if x.shape[i : i + 1] == (n,) else -1
        for i, n in enumerate(shape)
    ]
    if sizes.count(-1) > 1:
        raise _varies("more than one size of a reshape")
    if 0 in shape:
        raise NotImplementedError("onnx: a tensor without elements")
    return g("Reshape", x, np.array(sizes, np.int64))


@rule
def _expand(g: _Graph, y: Value, x: Any, *, shape: tuple[Size, ...]) -> str:
    before = (1,) * (len(shape) - len(x.shape)) + x.shape
    sizes = [1 if m == n else n for m, n in zip(before, shape, strict=True)]  # 1 keeps a size
    if not all(isinstance(n, int) for n in sizes):
        raise _varies("a size of an expand")
    return g("Expand", x, np.array(sizes, np.int64))


@rule
def _permute(g: _Graph, y: Value, x: Any, *, dims: tuple[int, ...]) -> str:
    return g("Transpose", x, perm=dims)


@rule
def _cat(g: _Graph, y: Value, *xs: Any, dim: int) -> str:
    return g("Concat", *xs, axis=dim)


@rule
def _pad(g: _Graph, y: Value, x: Any, *, widths: tuple[Pair, ...], value: Any) -> str:
    ends = np.array(widths, np.int64).reshape(-1, 2).T.ravel()  # all befores, then all afters
    return g("Pad", x, ends, np.asarray(value, y.dtype))


@rule
def _getitem(g: _Graph, y: Value, x: Any, *, index: tuple[Any, ...], unique: bool) -> str:
    """Slices at once, then picks from the last dimension on, then new dimensions."""
    taken = sum(part is not None and part is not Ellipsis for part in index)
    rest = (slice(None),) * (len(x.shape) - taken)
    at = next((i for i, part in enumerate(index) if part is Ellipsis), len(index))
    parts = (*index[:at], *rest, *index[at + 1 :])
    slices: list[tuple[int, ...]] = []
    picks: list[tuple[int, Any]] = []
    new: list[int] = []
    dims = 0  # of the result, so far
    for axis, part in zip(_axes(parts), parts, strict=True):
        if part is None:
            new.append(dims)
            dims += 1
        elif isinstance(part, slice):
            if part != slice(None):
                start, stop, step = _bounds(part)
                slices.append((start, stop, axis, step))
            dims += 1
        else:
            part = part if hasattr(part, "dtype") else np.asarray(part)
            if part.dtype == np.bool_ or (part.shape and any(p.shape for _, p in picks)):
                raise NotImplementedError("onnx: an index of bools, or of several arrays")
            picks.append((axis, part))
            dims += len(part.shape)
    if slices:
        x = g("Slice", x, *np.array(slices, np.int64).T)
    for axis, part in reversed(picks):
        x = g("Gather", x, g.cast(part, np.int64), axis=axis)
    return g("Unsqueeze", x, np.array(new, np.int64)) if new else g.name(x)


def _bounds(part: slice) -> tuple[int, int, int]:
    """Start, stop and step, as ONNX writes the ends that are left out."""
    return (
        0 if part.start is None else part.start,
        np.iinfo(np.int64).max if part.stop is None else part.stop,
        1 if part.step is None else part.step,
    )


def _axes(parts: tuple[Any, ...]) -> Iterator[int]:
    """The dimension of the indexed tensor at which each part stands."""
    axis = 0
    for part in parts:
        yield axis
        axis += part is not None


@rule
def _linear(g: _Graph, y: Value, x: Any, w: Any, b: Any) -> str:
    return g("Gemm", x, w, b, transB=1)


@rule
def _conv2d(
    g: _Graph, y: Value, x: Any, w: Any, b: Any, *, padding: Pair, window: Window, groups: int
) -> str:
    return g(
        "Conv",
        *(x, w, b),
        kernel_shape=window.kernel,
        strides=window.stride,
        dilations=window.dilation,
        pads=padding * 2,
        group=groups,
    )


@rule
def _batch_norm(
    g: _Graph,
    y: Value,
    x: Any,
    w: Any,
    b: Any,
    residual: Any,
    *,
    mean: Any,
    var: Any,
    batch: bool,
    eps: float,
    relu: bool,
) -> str:
    scale = np.ones(mean.shape, y.dtype) if w is None else w
    shift = np.zeros(mean.shape, y.dtype) if b is None else b
    out = g("BatchNormalization", x, scale, shift, mean, var, epsilon=eps)
    if residual is not None:
        out = g("Add", out, residual)
    return g("Relu", out) if relu else out


def _pool(
    g: _Graph, y: Value, x: Any, kind: str, window: Window, pads: Pair, out: Pair, fill: float
) -> str:
    """Pooling of the input framed just as far as the windows reach: the two modes of rounding and
    all padding are in the frame."""
    need = [(o - 1) * s + r for o, s, r in zip(out, window.stride, window.reach, strict=True)]
    after = [max(m - n - p, 0) for m, n, p in zip(need, x.shape[2:], pads, strict=True)]
    if any((*pads, *after)):
        ends = np.array([0, 0, *pads, 0, 0, *after], np.int64)
        x = g("Pad", x, ends, np.asarray(fill, y.dtype))
    return g(
        kind,
        x,
        kernel_shape=window.kernel,
        strides=window.stride,
        dilations=window.dilation,
    )


@rule
def _max_pool2d(g: _Graph, y: Value, x: Any, *, window: Window, pads: Pair, out: Pair) -> str:
    lowest = -math.inf if y.dtype.kind == "f" else np.iinfo(y.dtype).min
    return _pool(g, y, x, "MaxPool", window, pads, out, lowest)


@rule
def _avg_pool2d(
    g: _Graph, y: Value, x: Any, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> str:
    mean = _pool(g, y, x, "AveragePool", window, pads, out, 0)
    share = (math.prod(window.kernel) / divisor).astype(y.dtype)
    return mean if (share == 1).all() else g("Mul", mean, share)


@rule
def _adaptive_avg_pool2d(g: _Graph, y: Value, x: Any, *, out: Pair) -> str:
    if out == (1, 1):
        return g("GlobalAveragePool", x)
    if not all(isinstance(n, int) for n in x.shape[2:]):
        raise _varies("adaptive_avg_pool2d's window")
    down, right = (_cells(n, o, y.dtype) for n, o in zip(x.shape[2:], out, strict=True))
    return g("MatMul", g("MatMul", down, x), np.ascontiguousarray(right.T))


def _cells(size: int, count: int, dtype: Any) -> Array:
    """(count, size): row i holds the shares in the mean over ⌊i size / count⌋ … ⌈(i+1) …⌉."""
    shares = np.zeros((count, size), dtype)
    for i in range(count):
        cell = slice(i * size // count, -(-(i + 1) * size // count))
        shares[i, cell] = 1 / (cell.stop - cell.start)
    return shares
