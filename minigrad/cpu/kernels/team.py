"""A team of threads that share the parts of a kernel, and never ask for the interpreter lock.

To wake a thread that sleeps takes some 30 µs, in which a core could add a hundred thousand numbers,
and a thread that runs Python waits for the interpreter lock as well. So workers watch the memory of
the team for a while (:func:`serve`). They see a kernel launched there within a microsecond, and
take parts of it by machine code alone.

A kernel that can be shared is made by :func:`parallel_for`. One is launched at a time; the thread
that finds the team busy runs all parts itself.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from types import FunctionType
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import called, inline, jit, jit_calling, separate

WORD = ir.IntType(64)
POINTER = WORD.as_pointer()
TASK_TYPE = ir.FunctionType(ir.VoidType(), [WORD, WORD, WORD])
HAS_PAUSE = platform.machine().lower() in ("x86_64", "amd64")

# Words of the team's memory. Those that many threads write have cache lines of their own.
WORDS = 48
BUSY = 0  # 1 while a kernel has the team
OPEN, TASK, DATA, COUNT, LIMIT = 8, 9, 10, 11, 12  # 1 while workers may join; what they call
NEXT = 16  # part
SEAT = 24  # of the next worker to join; fewer than LIMIT join
INSIDE = 32  # workers


# ---------------------------------------------------------------------------- threads


@jit
def wait(address, seen, looks):
    """Whether the number at ``address`` differs from ``seen``, or does within so many looks."""
    while load(address, 0) == seen:
        if looks == 0:
            return False
        pause()
        looks -= 1
    return True


@jit
def serve(team, bell, seen, looks, after, arrivals):
    """A worker's watch, after it adds 1 to the number at ``arrivals``: take parts of the team's
    kernels until the number at ``bell`` differs from ``seen`` and for the time of ``after`` looks
    more, or until ``looks`` passed without a part."""
    add(arrivals, 0, 1)
    left = looks
    while load(bell, 0) == seen:
        if load(team, OPEN) == 1 and load(team, NEXT) < load(team, COUNT):
            help(team)
            left = looks
        elif left == 0:
            return
        else:
            pause()
            left -= 1
    for _ in range(after):
        pause()


@inline
def help(team):
    """A worker's share. Before it looks whether the kernel is still open it says that it is inside,
    so the kernel's caller either waits for it or has closed before."""
    add(team, INSIDE, 1)
    if load(team, OPEN) == 1:
        seat = add(team, SEAT, 1)
        if seat < load(team, LIMIT):
            take_parts(team, load(team, TASK), load(team, DATA), load(team, COUNT), seat)
    add(team, INSIDE, -1)


@inline
def conduct(team, threads, task, data, count):
    """Run ``task(data, part, seat)`` for ``count`` parts, with so many threads of the team at most,
    unless that is 0 or busy. The seats of the threads differ; that of the caller is 0."""
    if team == 0 or count == 1 or not take(team, BUSY):
        for part in range(count):
            call(task, data, part, 0)
        return
    store(team, TASK, task)
    store(team, DATA, data)
    store(team, COUNT, count)
    store(team, LIMIT, threads)
    store(team, NEXT, 0)
    store(team, SEAT, 1)
    store(team, OPEN, 1)
    take_parts(team, task, data, count, 0)
    store(team, OPEN, 0)
    while load(team, INSIDE) != 0:
        pause()
    store(team, BUSY, 0)


@inline
def take_parts(team, task, data, count, seat):
    part = add(team, NEXT, 1)
    while part < count:
        call(task, data, part, seat)
        part = add(team, NEXT, 1)


# ---------------------------------------------------------------------------- kernels


class Kernel:
    """A kernel ``(*args, first, last)`` for the elements ``first`` to ``last - 1`` of a range.

    Before these it may have the argument ``part``, the number of the part, for results of its own;
    or ``seat``, the number of the thread, for scratch memory of its own.

    Attributes:
        has_seats: whether it has the argument ``seat``.
        part: the kernel as ``run`` calls it.
        run: ``run(team, threads, begin, end, parts, align, *args)`` runs it for as many parts of
            ``range(begin, end)``, which so many threads of ``team`` share unless that is 0. Inner
            borders are multiples of ``align`` from the beginning.
    """

    __slots__ = ("has_seats", "part", "run")

    def __init__(self, part: Any, run: Callable[..., Any]) -> None:
        self.part, self.run = part, run
        self.has_seats = "seat" in _arguments(part)

    def __call__(self, *args: Any) -> None:
        """Run it on this thread."""
        self.run(0, 1, *args[-2:], 1, 1, *args[:-2])


def parallel_for(function: Callable[..., Any]) -> Kernel:
    """:func:`~minigrad.cpu.kernels.jit` for a kernel whose parts threads share."""
    return _shared(function, called(function))


def parallel_for_each(function: Callable[..., Any]) -> Kernel:
    """:func:`parallel_for` for a kernel as in :func:`~minigrad.cpu.kernels.jit_each`."""
    return _shared(function, separate(called(function)))


def parallel_for_exactly(function: Callable[..., Any]) -> Kernel:
    """:func:`parallel_for` with every product and sum rounded by itself, as NumPy does it."""
    return _shared(function, called(function, fused=False))


def _shared(function: Any, part: Any) -> Kernel:
    types_of, task_of = _task_of(part)
    names = {**globals(), "task_of": task_of}
    made = FunctionType(_run.__code__, names, function.__name__)
    made.__qualname__ = f"{function.__qualname__}_shared"  # names its file in the cache
    made.__module__ = function.__module__

    def name_of(signature: Any) -> str:
        """The name of the part in machine code. It is compiled or loaded."""
        given = types_of(signature[-1].types)  # of the tuple of arguments
        part.compile(given)
        return str(part.overloads[given].fndesc.mangled_name)

    return Kernel(part, jit_calling(made, name_of))


def _run(team, threads, begin, end, parts, align, *args):
    task, data = task_of((begin, end, parts, align, args))
    conduct(team, threads, task, data, parts)


def _arguments(part: Any) -> tuple[str, ...]:
    code = part.py_func.__code__
    return tuple(code.co_varnames[: code.co_argcount])


task_of: Any = None  # the intrinsic of one kernel


def _task_of(part: Any) -> Any:
    """The types of what the kernel ``part`` gets, for those of its arguments; and an intrinsic that
    returns the address of a function ``task(data, i, seat)``, which runs part i of the kernel, and
    the address of its data."""
    names = _arguments(part)
    wants_part, wants_seat = "part" in names, "seat" in names

    def types_of(args: Any) -> tuple[Any, ...]:
        return *args, *(types.int64,) * (2 + wants_part + wants_seat)

    @intrinsic
    def task_of(typing, packed):
        given = types_of(packed.types[-1].types)
        signature = typing.resolve_function_type(types.Dispatcher(part), given, {})

        def generate(context: Any, builder: Any, outer: Any, values: Any) -> Any:
            data = cgutils.alloca_once_value(builder, values[0])
            module = builder.module
            task = ir.Function(module, TASK_TYPE, module.get_unique_name("task"))
            task.linkage = "internal"
            inside = ir.IRBuilder(task.append_basic_block())
            whole = inside.load(inside.inttoptr(task.args[0], data.type))
            begin, end, parts, align, args = cgutils.unpack_tuple(inside, whole)
            rounded_up = inside.add(inside.sub(end, begin), inside.sub(align, WORD(1)))
            units = inside.sdiv(rounded_up, align)

            def border(i: Any) -> Any:
                steps = inside.sdiv(inside.mul(i, units), parts)
                found = inside.add(begin, inside.mul(steps, align))
                return inside.select(inside.icmp_signed("<", found, end), found, end)

            _, i, seat = task.args
            place = (
                *(i,) * wants_part,
                *(seat,) * wants_seat,
                border(i),
                border(inside.add(i, WORD(1))),
            )
            # Called by its name. Linked in, the kernel would be compiled a second time.
            description = part.overloads[signature.args].fndesc
            kernel = context.declare_function(module, description)
            values = [*cgutils.unpack_tuple(inside, args), *place]
            context.call_conv.call_function(
                inside, kernel, signature.return_type, signature.args, values
            )
            inside.ret_void()
            found = [builder.ptrtoint(task, WORD), builder.ptrtoint(data, WORD)]
            return context.make_tuple(builder, outer.return_type, found)

        return types.UniTuple(types.int64, 2)(packed), generate

    return types_of, task_of


# ---------------------------------------------------------------------------- words of memory


def _place(builder: Any, address: Any, word: Any) -> Any:
    return builder.gep(builder.inttoptr(address, POINTER), [word])


@intrinsic
def load(context, address, word):
    """The number, read anew."""

    def code(context, builder, signature, args):
        return builder.load_atomic(_place(builder, *args), "seq_cst", 8)

    return types.int64(types.int64, types.int64), code


@intrinsic
def store(context, address, word, number):
    """Write the number, after all that this thread wrote before."""

    def code(context, builder, signature, args):
        builder.store_atomic(args[2], _place(builder, *args[:2]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@intrinsic
def add(context, address, word, number):
    """Add to the number, which is returned as it was before."""

    def code(context, builder, signature, args):
        return builder.atomic_rmw("add", _place(builder, *args[:2]), args[2], "seq_cst")

    return types.int64(types.int64, types.int64, types.int64), code


@intrinsic
def take(context, address, word):
    """Whether the number was 0. It is 1 now."""

    def code(context, builder, signature, args):
        place = _place(builder, *args)
        found = builder.cmpxchg(place, WORD(0), WORD(1), "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(types.int64, types.int64), code


@intrinsic
def call(context, task, data, part, seat):
    def code(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], TASK_TYPE.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), code


@intrinsic
def pause(context):
    """Leave the core to its other thread for a moment."""

    def code(context, builder, signature, args):
        if HAS_PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), code
