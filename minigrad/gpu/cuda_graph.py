"""A training step recorded once and replayed: one launch in place of hundreds.

On a GPU small networks wait for Python more than for arithmetic. A step does the same operations on
arrays of the same shapes every time, so its launches can be recorded, as a CUDA graph, and replayed
as one, on the same memory each time.
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
    """Something in a step cannot be recorded."""


class CapturedStep:
    """``step`` as a function that is recorded at one of its calls and replayed from then on.

        step = CapturedStep(lambda images, labels: train.step(model, ..., images, labels))
        for images, labels in loader:
            mg.manual_seed(seed, epoch, number)
            logits, loss = step(images, labels)

    The first ``warm`` calls run ``step`` as it is: they compile kernels and make the optimiser's
    state. The next one records it, and from there on every call copies its inputs into the step's
    own buffers and replays. So training goes through the same values as without recording.

    What ``step`` does in Python happens no more in a replay, but for three things, which are asked
    for anew before each: the learning rate and other options of an optimiser's groups, its count of
    steps, and the draws of dropout.

    Inputs of other shapes, dtypes or strides than those of the first call (the last batch of an
    epoch, say) run ``step`` as it is.

    Args:
        step: a function of Tensors on one GPU that computes, and neither reads a value nor sends
            one: no ``item()``, ``numpy()`` or ``cpu()`` in it, no index that is a list or an array
            of the CPU, no ``cat`` or ``stack`` of more than a few tensors, and no ``matmul`` but
            through ``linear``.
        warm: calls before the recording, at least one.

    Returned Tensors are the same at each replay, with new contents: read them, or copy them, before
    the next call. Parameters and optimiser state must stay the arrays that they were at the
    recording: load saved ones before.
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
        """One step; what ``step`` returns.

        Raises:
            DeviceError: the inputs are not on a GPU.
            CaptureError: something in ``step`` cannot be recorded.
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
        done = _Operations()
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


class _Operations(Listener):
    """Remembers which operation ran last."""

    last = ""

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Any
    ) -> None:
        self.last = name


class _Side:
    """A stream and a memory pool of our own, in order with the caller's stream.

    The pool is what makes replays safe: memory that the recorded kernels use is never lent to
    others, although no array of it may be alive. Only the step itself takes memory from it.
    Whatever is written before a replay, inputs and numbers, lies in the caller's memory.
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
        """Work goes to our stream from here on, after what the caller's stream has."""
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
        """Within it, arrays come from our pool."""
        return self.cuda.using_allocator(self.pool.malloc)

    def callers_memory(self) -> contextlib.AbstractContextManager[Any]:
        """Within it, arrays come from where they came from before this side was entered."""
        return self.cuda.using_allocator(self.callers_allocator)

    def _allocate(self, nbytes: int) -> Any:
        """Memory for the pool.

        Where there is none, CuPy's pool gives its free blocks back to the driver and tries again,
        unless the error is a MemoryError. Free blocks are in use by kernels recorded before.
        """
        try:
            return self.cuda.MemoryPointer(self.cuda.Memory(nbytes), 0)
        except self.cuda.runtime.CUDARuntimeError as error:
            if not self.capturing or error.status != OUT_OF_MEMORY:
                raise
            raise self.cuda.memory.OutOfMemoryError(nbytes, self.pool.total_bytes()) from error

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[Any]]:
        """Record what is launched within; afterwards the list yielded holds the graph."""
        found: list[Any] = []
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()  # lest it frees, in the middle, memory that the recording does not own
        self.pool.free_all_blocks()  # of the steps before: in pieces, some may be of no use
        self.capturing = True
        self.stream.begin_capture()
        try:
            yield found
        except BaseException:
            with contextlib.suppress(Exception):  # it is broken, and must be ended all the same
                self.stream.end_capture()
            raise
        else:
            found.append(self.stream.end_capture())
        finally:
            self.capturing = False
            if collecting:
                gc.enable()
