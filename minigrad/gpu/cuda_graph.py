"""A training step recorded once and replayed: one launch in place of hundreds.

On a GPU, small networks spend more time waiting for Python than computing. Each step runs the same
operations on arrays of the same shapes, so its launches can be recorded as a CUDA graph and
replayed by one launch, on the same memory each time.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from .. import check
from ..device import DeviceError, device, get_xp
from ..events import Listener, listen
from ..memory import out_of_memory, own_pools
from ..tensor import Tensor
from .capture import Slots, recording

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
Signature = tuple[tuple[Any, ...], ...]


class CaptureError(RuntimeError):
    """An operation of the step cannot be recorded."""


class CapturedStep:
    """Calls ``step``, records one of the calls, and replays it from then on.

        step = CapturedStep(lambda images, labels: train.step(model, ..., images, labels))
        for images, labels in loader:
            mg.manual_seed(seed, epoch, number)
            logits, loss = step(images, labels)

    The first ``warm`` calls run ``step`` normally, which compiles kernels and creates the
    optimiser's state. The next call records it. From then on each call copies its inputs into the
    step's own buffers and replays the recording, so training computes the same values as without
    it.

    Replays do not run the Python code of ``step``. Three things are still evaluated before each
    replay: the learning rate and other options of an optimiser's groups, its count of steps, and
    the draws of dropout.

    Inputs whose shapes, dtypes or strides differ from those of the first call (the last batch of an
    epoch, for example) run ``step`` normally.

    Args:
        step: a function of Tensors on one GPU that copies no values between CPU and GPU: it has no
            ``item()``, ``numpy()`` or ``cpu()``, no index that is a list or a CPU array, no ``cat``
            or ``stack`` of more than a few tensors, and no ``matmul`` other than ``linear``.
        warm: calls before the recording, at least one.

    Each replay returns the same Tensors with new contents: read or copy them before the next call.
    Parameters and optimiser state must remain the arrays they were during the recording, so load
    saved values before it.
    """

    def __init__(self, step: Callable[..., Any], warm: int = 3) -> None:
        self._step = check.function("step", step)
        self._warm = check.integer("warm", warm, 1)
        self._signature: Signature | None = None
        self._side: _Side | None = None
        self._slots = Slots()
        self._inputs: list[Tensor] = []
        self._result: Any = None
        self._graph: Any = None

    def __call__(self, *inputs: Tensor) -> Any:
        """Run one step; returns the result of ``step``.

        Raises:
            DeviceError: the inputs are not on a GPU.
            CaptureError: an operation of ``step`` cannot be recorded.
        """
        if not inputs:
            raise TypeError("inputs: expected at least one Tensor, got none")
        for x in inputs:
            check.tensor("inputs", x)
        signature = tuple((x.shape, x.dtype, x.data.strides, x.device) for x in inputs)
        if self._signature is None:
            self._side = _Side(inputs[0].device)
            self._signature = signature
        if signature != self._signature:
            return self._step(*inputs)
        assert self._side is not None
        with self._side:
            if self._warm:
                self._warm -= 1
                with self._side.memory():
                    return self._step(*inputs)
            if self._graph is None:
                self._record(self._side, inputs)
            for own, given in zip(self._inputs, inputs, strict=True):
                own.data[...] = given.data
            self._slots.refill()
            self._graph.launch(self._side.stream)
        return self._result

    def _record(self, side: _Side, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = [Tensor(get_xp(x.data).empty_like(x.data)) for x in inputs]
        done = _LastOperation()
        slots = Slots(side.callers_memory)
        try:
            with listen(done), side.memory(), side.recorded() as graph, recording(slots):
                self._result = self._step(*self._inputs)
        except MemoryError as error:
            raise out_of_memory("recording the step, which was given up", error) from error
        except Exception as error:
            after = f" after {done.last}" if done.last else ""
            raise CaptureError(f"the step cannot be recorded{after}: {error}") from error
        self._slots, self._graph = slots, graph[0]


class _LastOperation(Listener):
    """Remembers the name of the last operation."""

    last = ""

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Any
    ) -> None:
        self.last = name


class _Side:
    """A separate stream and memory pool, ordered with the caller's stream.

    The pool makes replays safe: it never gives memory that recorded kernels use to others, even
    when no array refers to it any more. Only the step itself allocates from it. Inputs and numbers,
    which are written before each replay, are in the caller's memory.
    """

    def __init__(self, where: device) -> None:
        if where.type != "gpu":
            raise DeviceError(f"CapturedStep: expected inputs on a GPU, got {where}")
        self.cuda = where.xp.cuda
        self.device = self.cuda.Device(where.index)
        with self.device:
            self.stream = self.cuda.Stream(non_blocking=True)
            self.pool = own_pools[self] = self.cuda.MemoryPool(self._allocate)
        self.capturing = False

    def __enter__(self) -> None:
        """Send the following work to this stream, after the caller's earlier work."""
        self.callers = self.cuda.get_current_stream()
        self.callers_allocator = self.cuda.get_allocator()
        self.stream.wait_event(self.callers.record())
        self.stack = contextlib.ExitStack()
        for context in (self.device, self.stream):
            self.stack.enter_context(context)

    def __exit__(self, *_: object) -> None:
        done = self.stream.record()  # an event of this device
        self.stack.close()
        self.callers.wait_event(done)

    def memory(self) -> contextlib.AbstractContextManager[Any]:
        """Context in which arrays are allocated from this pool."""
        return self.cuda.using_allocator(self.pool.malloc)

    def callers_memory(self) -> contextlib.AbstractContextManager[Any]:
        """Context in which arrays are allocated where the caller allocates them."""
        return self.cuda.using_allocator(self.callers_allocator)

    def _allocate(self, nbytes: int) -> Any:
        """Allocate memory for the pool.

        When the driver has no memory left, CuPy's pool would return its free blocks to the driver
        and try again, unless the error is a MemoryError. But recorded kernels use these blocks.
        """
        try:
            return self.cuda.MemoryPointer(self.cuda.Memory(nbytes), 0)
        except self.cuda.runtime.CUDARuntimeError as error:
            if not self.capturing or error.status != OUT_OF_MEMORY:
                raise
            raise self.cuda.memory.OutOfMemoryError(nbytes, self.pool.total_bytes()) from error

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[Any]]:
        """Record all launches inside this context; afterwards the yielded list holds the graph."""
        found: list[Any] = []
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()  # collection would free memory that the recording does not own
        self.pool.free_all_blocks()  # left by earlier steps, perhaps in pieces too small to use
        self.capturing = True
        self.stream.begin_capture()
        try:
            yield found
        except BaseException:
            with contextlib.suppress(Exception):  # a broken capture must be ended too
                self.stream.end_capture()
            raise
        else:
            found.append(self.stream.end_capture())
        finally:
            self.capturing = False
            if collecting:
                gc.enable()
