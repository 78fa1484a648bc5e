"""Recording of a training step: its operations and gradients.

:func:`record` listens to the events of both passes (see :mod:`minigrad.events`) and keeps a small
sample of every value, never the array, so that memory is freed as without recording. Gradients,
buffers and the state of the random numbers are restored.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from time import perf_counter
from typing import Any

import numpy as np

from .. import check, rng
from ..device import Array, get_xp
from ..events import Listener, listen
from ..kept import is_array, kept_arrays, owner
from ..nn import Module, Parameter
from ..tape import Node, Operation, Variable
from ..tensor import Tensor
from . import details
from .pictures import Sample, norm, only_norm, take
from .record import Call, Code, Definition, Kept, Recording, Run, Step, Term, Value
from .source import argument_names, code, maker


def record(
    loss: Tensor | Callable[..., Tensor], inputs: Any = None, pictures: bool = True
) -> Recording:
    """The training step that ends in ``loss``.

    Args:
        loss: a function that computes the loss, which is called once; or the loss itself. In the
            latter case only the values on the tape are known from the forward pass.
        inputs: the arguments of the function, by position or by name; or the leaves of ``loss`` by
            the names to show.
        pictures: take samples of values and gradients; otherwise only norms of gradients.

    Raises:
        TypeError: the loss is not a Tensor.
        ValueError: the loss has more than one element.
        RuntimeError: the loss does not require gradients.
    """
    watched = not isinstance(loss, Tensor)
    args, kwargs = _arguments(inputs)
    named = {f"input {i}": x for i, x in enumerate(args)} | kwargs
    names = {id(x): name for name, x in named.items() if isinstance(x, Tensor)}
    recorder = Recorder(names, pictures, watched)
    with recorder.left_as_found(), listen(recorder):
        result: Any = check.function("loss", loss)(*args, **kwargs) if watched else loss
        _check_loss(result)
        recorder.read_tape(result)
        result.backward(retain_graph=recorder.keeps_graph)
    recorder.finish()
    return recorder.recording


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if inputs is None:
        return (), {}
    if isinstance(inputs, Mapping):
        return (), {check.text("inputs", name): value for name, value in inputs.items()}
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    return (inputs,), {}


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, Tensor):
        raise TypeError(f"loss: expected a Tensor, got {check.shown(loss)}")
    if loss.data.size != 1:
        raise ValueError(f"loss: expected one element, got shape {loss.shape}")
    if not loss.requires_grad:
        raise RuntimeError("loss: it does not require grad: nothing was recorded")


class Recorder(Listener):
    """Listens to a training step and writes it into ``recording``."""

    def __init__(self, names: dict[int, str], pictures: bool, watched: bool) -> None:
        self.recording = Recording(watched=watched)
        self.names, self.pictures, self.watched = names, pictures, watched
        self._tensors: dict[int, tuple[weakref.ref[Any], int]] = {}  # values of living tensors
        self._nodes: weakref.WeakKeyDictionary[Node, int] = weakref.WeakKeyDictionary()  # runs
        self._definitions: dict[Operation, int] = {}
        self._codes: dict[Any, Code | None] = {}
        self._running: list[int] = []  # calls of modules
        self._call_paths: list[str] = []
        self._paths: dict[int, str] = {}
        self._roots: list[Module] = []
        self._leaves: list[tuple[Any, Tensor | None]] = []  # and the gradients that they had
        self._earlier: weakref.WeakKeyDictionary[Node, int] = weakref.WeakKeyDictionary()
        self._owners: set[int] = set()  # ids of the arrays that leaves are views of
        self._buffers: list[tuple[Tensor, Array, Array]] = []
        self._owned = _Memory()  # what backward keeps
        self._moving: dict[int, int] = {}  # bytes of gradients, by the number of their value
        self._leaf_bytes = 0
        self._operation: Operation | None = None
        self._began = 0.0

    # -- leaving no trace

    @property
    def keeps_graph(self) -> bool:
        """Whether backward must keep the graph, because the caller made it."""
        return not self.watched or len(self._earlier) > 0

    @contextmanager
    def left_as_found(self) -> Iterator[None]:
        """Context in which gradients start from None, and after which all state is restored."""
        try:
            with rng.seed_restored(), rng.drawn_again():
                yield
        finally:
            for leaf, gradient in self._leaves:
                leaf._grad = gradient
            for tensor, array, before in self._buffers:
                array[...] = before
                tensor.data = array

    # -- modules

    def enter(self, module: Module, inputs: tuple[Any, ...]) -> None:
        if id(module) not in self._paths:
            self._new_root(module)
        path = self._paths[id(module)]
        parent = self._running[-1] if self._running else -1
        within = self._path_of_call(parent)
        name = path[len(within) + 1 :] if within and path.startswith(f"{within}.") else path
        self._running.append(len(self.recording.calls))
        kind = type(module).__name__
        self.recording.calls.append(Call(name or kind, kind, parent))
        self._call_paths.append(path)

    def leave(self, module: Module, inputs: tuple[Any, ...], result: Any) -> None:
        self._running.pop()

    def _path_of_call(self, call: int) -> str:
        return self._call_paths[call] if call >= 0 else ""

    def _new_root(self, root: Module) -> None:
        """A module called from outside all others: its parts are named from it on."""
        self._roots.append(root)  # kept alive, so that ids stay its own
        for path, module in root.named_modules():
            self._paths.setdefault(id(module), path)
        prefix = type(root).__name__ if self._roots[1:] else ""
        for name, tensor in (*root.named_parameters(prefix), *root.named_buffers(prefix)):
            self.names.setdefault(id(tensor), name)
        for buffer in root.buffers():
            self._buffers.append((buffer, buffer.data, buffer.data.copy()))

    # -- forward

    def begin_operation(
        self, operation: Operation, inputs: tuple[Any, ...], params: dict[str, Any]
    ) -> None:
        self._operation = operation
        for x in inputs:
            if isinstance(x, Tensor):
                self._value(x)
        self._began = _now(x.data for x in inputs if isinstance(x, Tensor))

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Tensor
    ) -> None:
        seconds = _now([result.data]) - self._began
        operation = self._operation
        assert operation is not None
        extra = details.forward(operation, inputs, params, result.data) if self.pictures else {}
        given = [self._use(x) if isinstance(x, Tensor) else repr(x) for x in inputs]
        shown = {key: _shown(value) for key, value in params.items()}
        run = self._add_run(operation, given, self._add(result, "result"), result.node, shown)
        run.module = self._running[-1] if self._running else -1
        run.seconds, run.details = seconds, extra
        self._step("forward", len(self.recording.runs) - 1)

    def _add_run(
        self,
        operation: Operation,
        inputs: list[int | str],
        result: int,
        node: Node | None,
        params: dict[str, str],
    ) -> Run:
        definition, number = self._definition(operation), len(self.recording.runs)
        run = Run(definition, inputs, result, -1, node is not None, params, [])
        if node is not None and node.backward is not None:
            run.kept = self._kept(number, node.backward)
            made_by = maker(node.backward)
            if made_by is not None and made_by is not inspect.unwrap(operation.definition):
                if made_by not in self._codes:
                    self._codes[made_by] = code(made_by)
                run.implementation = self._codes[made_by]
            self._nodes[node] = number
        self.recording.runs.append(run)
        return run

    def _kept(self, number: int, backward: Callable[..., Any]) -> list[Kept]:
        kept = []
        for name, array in kept_arrays(backward):
            shared = id(owner(array)) in self._owners
            if not shared:
                self._owned.hold(number, array)
            sample = take(array) if self.pictures and not self.watched and array.size else None
            nbytes = owner(array).nbytes
            shape = tuple(array.shape)
            kept.append(Kept(name, shape, str(array.dtype), int(nbytes), shared, sample))
        return kept

    def _use(self, x: Tensor) -> int:
        number = self._value(x)
        self.recording.values[number].uses += 1
        return number

    def _value(self, x: Any) -> int:
        """The number of a tensor that an operation takes; a new one is a leaf."""
        known = self._tensors.get(id(x))
        if known is not None and known[0]() is x:
            return known[1]
        name = self.names.get(id(x), "")
        learnt, given = isinstance(x, Parameter), name or x.requires_grad
        kind = "parameter" if learnt else "input" if given else "constant"
        self._owners.add(id(owner(x.data)))
        self._start_from_none(x)
        number = self._add(x, kind, name)
        if x.node is not None:
            self._earlier[x.node] = number
            self._start_below(x.node)
        return number

    def _start_from_none(self, leaf: Any) -> None:
        self._leaves.append((leaf, leaf._grad))
        leaf._grad = None

    def _start_below(self, node: Node) -> None:
        """The same for the leaves of a graph that was there before: the sweep goes on to them."""
        seen, pending = {node}, [node]
        while pending:
            for x in pending.pop().inputs:
                if isinstance(x, Node):
                    pending += [] if x in seen else [x]
                    seen.add(x)
                elif x is not None and all(x is not leaf for leaf, _ in self._leaves):
                    self._start_from_none(x)

    def _add(self, x: Tensor, kind: str, name: str = "") -> int:
        number = len(self.recording.values)
        value = Value(x.shape, str(x.dtype), int(x.data.nbytes), kind, name)
        value.needs = x.requires_grad
        if self.pictures and x.data.size:
            value.sample = take(x.data, weight=kind == "parameter")
        self.recording.values.append(value)
        self._tensors[id(x)] = weakref.ref(x), number
        return number

    def _definition(self, operation: Operation) -> int:
        if operation not in self._definitions:
            self._definitions[operation] = len(self.recording.definitions)
            function = inspect.unwrap(operation.definition)
            doc = inspect.getdoc(function) or ""
            definition = Definition(operation.name, doc, argument_names(function), code(function))
            self.recording.definitions.append(definition)
        return self._definitions[operation]

    # -- a tape whose forward was not watched

    def read_tape(self, loss: Tensor) -> None:
        """Record the start of backward, and the operations of a graph that was made earlier."""
        if self.watched or loss.node is None:
            self.recording.loss = self._value(loss)
            return
        made: dict[Node, int] = {}
        pending: list[tuple[Node, bool]] = [(loss.node, False)]
        while pending:
            node, ready = pending.pop()
            if node in made:
                continue
            if node.backward is None:
                raise RuntimeError("loss: its graph has been freed by an earlier backward()")
            if not ready:
                pending.append((node, True))
                pending += ((x, False) for x in reversed(node.inputs) if isinstance(x, Node))
                continue
            given: list[int | str] = []
            for x in node.inputs:
                given.append(
                    made[x] if isinstance(x, Node) else "—" if x is None else self._value(x)
                )
            for number in given:
                if isinstance(number, int):
                    self.recording.values[number].uses += 1
            made[node] = len(self.recording.values)
            nbytes = int(np.prod(node.shape, dtype=np.int64)) * node.dtype.itemsize
            value = Value(tuple(node.shape), str(node.dtype), nbytes, "result", needs=True)
            self.recording.values.append(value)
            self._add_run(node.operation, given, made[node], node, {})
            self._step("forward", len(self.recording.runs) - 1)
        self.recording.loss = made[loss.node]
        if self.pictures:
            self.recording.values[made[loss.node]].sample = take(loss.data)

    # -- backward

    def begin_derivative(self, node: Node, g: Array) -> None:
        number = self._nodes.get(node)
        result = self._earlier.get(node) if number is None else self.recording.runs[number].result
        if result is not None:
            value = self.recording.values[result]
            value.gradient = self._sample_of_sum(value, g)
            if number is None:
                self._moving.pop(result, None)
        self._began = _now([g])

    def derivative(self, node: Node, g: Array, gradients: tuple[Array | None, ...]) -> None:
        seconds = _now([g]) - self._began
        number = self._nodes.get(node)
        if number is None:
            return
        run = self.recording.runs[number]
        run.seconds_backward = seconds
        if run.details:
            run.details |= details.backward(run.details["kind"], gradients)
        self._owned.free(number)
        self._moving.pop(run.result, None)
        self._step("backward", number)

    def gradient(
        self, node: Node, number: int, target: Node | Variable, term: Array, total: Array
    ) -> None:
        source = self._nodes.get(node)
        if source is None:
            return
        if isinstance(target, Node):
            run = self._nodes.get(target)
            result = self._earlier[target] if run is None else self.recording.runs[run].result
            self._moving[result] = int(owner(total).nbytes)
        else:
            result = self._value(target)
            self._leaf_bytes += int(total.nbytes) if not self.recording.values[result].terms else 0
        value = self.recording.values[result]
        sample = self._sample(term, value)
        added = self._sample(total, value) if value.terms else None
        value.terms.append(Term(source, number, sample, added))
        step = self.recording.steps[-1]
        step.moving, step.leaves = sum(self._moving.values()), self._leaf_bytes

    def leaf(self, x: Variable, gradient: Array) -> None:
        known = self._tensors.get(id(x))
        if known is None or known[0]() is not x:
            return
        value = self.recording.values[known[1]]
        value.gradient = self._sample_of_sum(value, gradient)
        value.landed = True

    def _sample_of_sum(self, value: Value, g: Array) -> Sample:
        """A sample of the complete gradient: that of its last sum, unless a hook has changed it."""
        last = (value.terms[-1].total or value.terms[-1].sample) if value.terms else None
        unchanged = last is not None and last.norm == norm(g)
        return last if last is not None and unchanged else self._sample(g, value)

    def _sample(self, g: Array, value: Value) -> Sample:
        if self.pictures and g.size:
            return take(g, weight=value.kind == "parameter")
        return only_norm(g)

    def _step(self, kind: str, run: int = -1) -> None:
        step = Step(kind, run, self._owned.nbytes, sum(self._moving.values()), self._leaf_bytes)
        self.recording.steps.append(step)

    def finish(self) -> None:
        self._step("leaves")


class _Memory:
    """Bytes of the arrays that derivatives hold; shared ones are counted once."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._held: dict[int, list[int]] = {}  # owners, by the run that holds them
        self._holders: dict[int, int] = {}
        self._sizes: dict[int, int] = {}

    def hold(self, run: int, array: Array) -> None:
        whole = owner(array)
        key = id(whole)  # its own as long as it lives, which is as long as it is held
        if key in (held := self._held.setdefault(run, [])):
            return
        held.append(key)
        if key not in self._holders:
            self.nbytes += int(whole.nbytes)
            self._sizes[key] = int(whole.nbytes)
        self._holders[key] = self._holders.get(key, 0) + 1

    def free(self, run: int) -> None:
        for key in self._held.pop(run, ()):
            self._holders[key] -= 1
            if not self._holders[key]:
                del self._holders[key]
                self.nbytes -= self._sizes.pop(key)


def _now(arrays: Iterable[Array]) -> float:
    """The time, after waiting for all work on the devices of ``arrays``."""
    for array in arrays:
        if (xp := get_xp(array)) is not np:
            xp.cuda.get_current_stream().synchronize()
    return perf_counter()


def _shown(value: Any) -> str:
    """A keyword argument of an operation in a few words."""
    if is_array(value) and value.shape:
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if is_dataclass(value) and not isinstance(value, type):
        parts = (f"{f.name} {_shown(getattr(value, f.name))}" for f in fields(value))
        return ", ".join(parts)
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__name__))
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
