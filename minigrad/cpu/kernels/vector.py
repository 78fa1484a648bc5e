"""Blocks of matrix products that stay in the CPU's vector registers.

A compiler's own choice for such loops reads and writes each sum for every product. Here sums are
written as vectors of LLVM's intermediate language (LLVM maps it to the machine's instructions, on
any CPU): a block of sums begins in registers and leaves them once. These functions are parts of
kernels, like those that :func:`minigrad.cpu.kernels.inline` makes. Arrays are flat.

- :func:`outer` multiplies numbers with rows: ROWS rows of sums, two vectors long;
- :func:`outer_shifted` does so with each of several shifts of the rows;
- :func:`dots` multiplies rows with rows: LINES by ``lines`` numbers, each the sum of a vector.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable

from . import inline

_FEATURES = binding.get_host_cpu_features()
_WIDE = bool(_FEATURES.get("avx512f"))
WIDTH = 64 if _WIDE else 32 if _FEATURES.get("avx2") else 16  # bytes of a vector
ROWS = 8 if _WIDE else 4  # of sums in `outer`: with two vectors each they fill half the registers
LINES = 4  # rows of sums in `dots`
BLOCK_BYTES = 2 * WIDTH  # of a row in `outer`
TILE_BYTES = 4 * WIDTH  # of rows that are copied and multiplied together

_INDEX = ir.IntType(64)
_FUSED = ("contract",)  # a product and its sum may be one instruction


class Code:
    """What functions of vectors need in order to write instructions."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:
        self.context, self.builder = context, builder
        self.types, self.values = signature.args, values
        dtype = signature.args[0].dtype
        self.number = context.get_value_type(dtype)
        self.itemsize = dtype.bitwidth // 8
        self.lanes = WIDTH // self.itemsize

    def pointer(self, k: int) -> Any:
        """To the first element of argument k."""
        make = self.context.make_array(self.types[k])
        return make(self.context, self.builder, self.values[k]).data

    def index(self, k: int) -> Any:
        """Argument k as a number."""
        return self.context.cast(self.builder, self.values[k], self.types[k], types.int64)

    def plus(self, index: Any, step: int) -> Any:
        return self.builder.add(index, ir.Constant(_INDEX, step)) if step else index

    def short(self, index: Any) -> Any:
        """An index in as many bits as a number of the arrays has."""
        bits = 8 * self.itemsize
        return self.builder.trunc(index, ir.IntType(bits)) if bits < 64 else index

    def constant(self, k: int) -> Any:
        return ir.Constant(_INDEX, k)

    def within(self, k: int, first: Any, last: Any) -> Any:
        """Whether ``first`` ≤ k < ``last``."""
        above = self.builder.icmp_signed("<=", first, self.constant(k))
        return self.builder.and_(above, self.builder.icmp_signed("<", self.constant(k), last))

    def row(self, start: Any, pitch: Any, k: int) -> Any:
        """The index of row k of those that begin at ``start``."""
        return self.builder.add(start, self.builder.mul(pitch, ir.Constant(_INDEX, k)))

    def vector(self, lanes: int | None = None) -> Any:
        return ir.VectorType(self.number, lanes or self.lanes)

    def place(self, pointer: Any, index: Any, lanes: int | None = None) -> Any:
        kind = self.vector(lanes).as_pointer()
        return self.builder.bitcast(self.builder.gep(pointer, [index]), kind)

    def load(self, pointer: Any, index: Any, lanes: int | None = None) -> Any:
        return self.builder.load(self.place(pointer, index, lanes), align=self.itemsize)

    def lanes_below(self, count: Any, first: int = 0) -> Any:
        """For each lane whether its number, counted from ``first``, is below ``count``."""
        number = ir.IntType(32)
        lanes = ir.VectorType(number, self.lanes)
        numbers = ir.Constant(lanes, list(range(first, first + self.lanes)))
        limit = self.copies(self.builder.trunc(count, number), number)
        return self.builder.icmp_signed("<", numbers, limit)

    def load_where(self, there: Any, pointer: Any, index: Any, other: Any) -> Any:
        """The vector at ``index``, with the lanes of ``other`` where not ``there``, which are not
        read."""
        number, kind = ir.IntType(32), self.vector()
        name = f"llvm.masked.load.v{self.lanes}f{8 * self.itemsize}.p0"
        options = [kind.as_pointer(), number, there.type, kind]
        function = ir.FunctionType(kind, options)
        load = cgutils.get_or_insert_function(self.builder.module, function, name)
        place, align = self.place(pointer, index), ir.Constant(number, self.itemsize)
        return self.builder.call(load, [place, align, there, other])

    def prefetch(self, pointer: Any, index: Any) -> None:
        """Ask for an element's line, into the second-level cache."""
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        ask = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        line = self.builder.bitcast(self.builder.gep(pointer, [index]), byte)
        self.builder.call(ask, [line, *(ir.Constant(number, k) for k in (0, 2, 1))])

    def store(self, value: Any, pointer: Any, index: Any, lanes: int | None = None) -> None:
        self.builder.store(value, self.place(pointer, index, lanes), align=self.itemsize)

    def either(self, value: Any, there: Any, before: Any) -> Any:
        """The vector ``value`` if reached from block ``there``, zeros if from ``before``."""
        phi = self.builder.phi(self.vector())
        phi.add_incoming(value, there)
        phi.add_incoming(self.zero(), before)
        return phi

    def zero(self) -> Any:
        return ir.Constant(self.vector(), [0.0] * self.lanes)

    def spread(self, pointer: Any, index: Any) -> Any:
        """A vector of copies of one number."""
        return self.copies(self.builder.load(self.builder.gep(pointer, [index])))

    def copies(self, number: Any, kind: Any = None) -> Any:
        """The same, of a number in a register, of the type ``kind``."""
        unset = ir.Constant(ir.VectorType(kind or self.number, self.lanes), ir.Undefined)
        first = self.builder.insert_element(unset, number, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(first, unset, [0] * self.lanes)

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        kind = ir.VectorType(ir.IntType(32), len(lanes))
        return self.builder.shuffle_vector(a, b, ir.Constant(kind, lanes))

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b, flags=_FUSED)

    def subtract(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b, flags=_FUSED)

    def scale(self, number: float, a: Any) -> Any:
        factor = ir.Constant(self.vector(), [number] * self.lanes)
        return self.builder.fmul(a, factor, flags=_FUSED)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(c, self.builder.fmul(a, b, flags=_FUSED), flags=_FUSED)

    def loop(self, count: Any, indices: list[Any], steps: list[Any], sums: list[Any]) -> Any:
        """Begin a loop that runs at least once: its running indices and sums, and the function that
        ends it, to be called with the new sums."""
        builder, before = self.builder, self.builder.block
        block = builder.append_basic_block("loop")
        builder.branch(block)
        builder.position_at_end(block)
        starts = [ir.Constant(_INDEX, 0), *indices, *sums]
        running = [builder.phi(value.type) for value in starts]
        for value, start in zip(running, starts, strict=True):
            value.add_incoming(start, before)

        def end(new_sums: list[Any]) -> None:
            moved = [
                builder.add(value, step)
                for value, step in zip(running, [ir.Constant(_INDEX, 1), *steps], strict=False)
            ]
            for value, new in zip(running, [*moved, *new_sums], strict=True):
                value.add_incoming(new, builder.block)
            after = builder.append_basic_block("after")
            builder.cbranch(builder.icmp_signed("<", moved[0], count), block, after)
            builder.position_at_end(after)

        split = 1 + len(indices)
        return running[1:split], running[split:], end


@intrinsic
def outer(typing, w, i, x, j, step, count, y, k, pitch, first, f, fresh):
    """y[r, e] += Σ_t w[t, r] x[t, e] for r below ROWS, e below BLOCK_BYTES, and t below ``count``,
    which is at least 1: w at i with ROWS numbers for each t, x at j with ``step`` from each t to
    the next, y at k with ``pitch`` from row to row. With ``fresh`` the sums begin not with y, but
    with the numbers ``first[f + r]``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        w, x, y, first = code.pointer(0), code.pointer(2), code.pointer(6), code.pointer(9)
        i, j, step, count, k, pitch, f = (code.index(n) for n in (1, 3, 4, 5, 7, 8, 10))
        places = [
            code.plus(code.row(k, pitch, r), v * code.lanes) for r in range(ROWS) for v in (0, 1)
        ]
        there, none, begun = map(builder.append_basic_block, ("there", "none", "begun"))
        is_fresh = context.cast(builder, values[11], signature.args[11], types.boolean)
        builder.cbranch(is_fresh, none, there)
        builder.position_at_end(there)
        old = [code.load(y, place) for place in places]
        builder.branch(begun)
        builder.position_at_end(none)
        begin = [code.spread(first, code.plus(f, r)) for r in range(ROWS) for v in (0, 1)]
        builder.branch(begun)
        builder.position_at_end(begun)
        starts = [builder.phi(code.vector()) for _ in places]
        for start, value, other in zip(starts, old, begin, strict=True):
            start.add_incoming(value, there)
            start.add_incoming(other, none)
        rows = ir.Constant(_INDEX, ROWS)
        (at, source), sums, end = code.loop(count, [i, j], [rows, step], starts)
        row = [code.load(x, code.plus(source, v * code.lanes)) for v in (0, 1)]
        new = []
        for r in range(ROWS):
            number = code.spread(w, code.plus(at, r))
            new += [code.multiply_add(number, row[v], sums[2 * r + v]) for v in (0, 1)]
        end(new)
        for place, value in zip(places, new, strict=True):
            code.store(value, y, place)
        return context.get_dummy_value()

    return types.void(w, i, x, j, step, count, y, k, pitch, first, f, fresh), generate


@intrinsic
def outer_shifted(
    typing, w, i, to_row, to_channel, places, rows, x, j0, j1, step, shifts, taps, count, y, k,
    pitch, first, f,
):  # fmt: skip
    """y[r, v, e] = first[f + r] + Σ_t Σ_p w[r, t, p] x[t, v, e, shifted by p] for r below ROWS,
    v = 0 and 1, e in a vector, t below ``count`` and p below ``taps``, each at least 1.

    w lies where it is: number (r, t, p) at i + r · to_row + t · to_channel + ``places[p]``. There
    are ``rows``, at least 1; the last one stands for those that are missing up to ROWS. x begins at
    j0 for v = 0 and j1 for v = 1, plus ``shifts[p]``, with ``step`` from each t to the next; y at k
    with ``pitch`` from row to row, its two vectors in a row.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        w, x, y, first = code.pointer(0), code.pointer(6), code.pointer(13), code.pointer(16)
        i, to_row, to_channel, rows = map(code.index, (1, 2, 3, 5))
        j0, j1, step, taps, count, k, pitch, f = map(code.index, (7, 8, 9, 11, 12, 14, 15, 17))
        last, filters, starts = builder.sub(rows, code.constant(1)), [], []
        for r in range(ROWS):
            low = builder.icmp_signed("<", code.constant(r), last)
            own = builder.select(low, code.constant(r), last)
            filters.append(builder.gep(w, [builder.add(i, builder.mul(own, to_row))]))
            starts += [code.spread(first, builder.add(f, own))] * 2
        zero, one = code.constant(0), code.constant(1)
        begun = code.loop(count, [zero, j0, j1], [to_channel, step, step], starts)
        (channel, *at), sums, next_channel = begun
        (tap,), sums, next_tap = code.loop(taps, [zero], [one], sums)
        place = builder.load(builder.gep(code.pointer(4), [tap]))
        shift = builder.load(builder.gep(code.pointer(10), [tap]))
        number = builder.add(channel, place)
        row = [code.load(x, builder.add(start, shift)) for start in at]
        new = []
        for r in range(ROWS):
            factor = code.spread(filters[r], number)
            new += [code.multiply_add(factor, row[v], sums[2 * r + v]) for v in (0, 1)]
        next_tap(new)
        next_channel(new)
        for n, value in enumerate(new):
            code.store(value, y, code.plus(code.row(k, pitch, n // 2), n % 2 * code.lanes))
        return context.get_dummy_value()

    kinds = (
        w, i, to_row, to_channel, places, rows, x, j0, j1, step, shifts, taps, count, y, k, pitch,
        first, f,
    )  # fmt: skip
    return types.void(*kinds), generate


@register_jitable
def lines(itemsize: int) -> int:
    """Rows of x in :func:`dots`: with LINES rows of g, as many sums as a vector has lanes."""
    return max(1, WIDTH // itemsize // LINES)


@intrinsic
def dots(typing, g, i, g_step, x, j, x_step, count, y, k, pitch, fresh):
    """y[r, s] += Σ_e g[r, e] x[s, e] for r below LINES and s below :func:`lines`, over ``count``
    vectors, at least one: g at i, x at j and y at k with ``g_step``, ``x_step`` and ``pitch`` from
    row to row. With ``fresh`` y is overwritten."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        g, x, y = code.pointer(0), code.pointer(3), code.pointer(7)
        i, g_step, j, x_step, count, k, pitch = (code.index(n) for n in (1, 2, 4, 5, 6, 8, 9))
        across = lines(code.itemsize)
        starts = [code.row(i, g_step, r) for r in range(LINES)]
        starts += [code.row(j, x_step, s) for s in range(across)]
        steps = [ir.Constant(_INDEX, code.lanes)] * len(starts)
        zeros = [code.zero()] * (LINES * across)
        # Read early, because a product takes no longer than memory does.
        places = [code.row(k, pitch, r) for r in range(LINES)]
        none = ir.Constant(code.vector(across), [0.0] * across)
        is_fresh = context.cast(builder, values[10], signature.args[10], types.boolean)
        old = [builder.select(is_fresh, none, code.load(y, place, across)) for place in places]
        at, sums, end = code.loop(count, starts, steps, zeros)
        right = [code.load(x, place) for place in at[LINES:]]
        new = []
        for r in range(LINES):
            left = code.load(g, at[r])
            new += [code.multiply_add(left, right[s], sums[r * across + s]) for s in range(across)]
        end(new)
        totals = [_totals(code, new[n : n + code.lanes]) for n in range(0, len(new), code.lanes)]
        for r in range(LINES):
            whole, lane = divmod(r * across, code.lanes)
            part = code.shuffle(totals[whole], totals[whole], list(range(lane, lane + across)))
            code.store(builder.fadd(old[r], part), y, places[r], across)
        return context.get_dummy_value()

    return types.void(g, i, g_step, x, j, x_step, count, y, k, pitch, fresh), generate


def _totals(code: Code, vectors: list[Any]) -> Any:
    """The vector of the sums of ``vectors``, as many as each has lanes.

    Each round halves the number of vectors: two become one by adding halves of runs of lanes, which
    thereby get twice as long.
    """
    run = 1
    while len(vectors) > 1:
        starts = range(0, code.lanes, 2 * run)
        low = [[s + k for k in range(run)] for s in starts]
        first = [lane for part in low for lane in (*part, *(p + code.lanes for p in part))]
        second = [lane + run for lane in first]
        vectors = [
            code.builder.fadd(code.shuffle(a, b, first), code.shuffle(a, b, second))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        run *= 2
    return vectors[0]


def _mover(vectors: int) -> Any:
    @intrinsic
    def move(typing, x, i, y, j):
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            x, y, i, j = code.pointer(0), code.pointer(2), code.index(1), code.index(3)
            parts = [v * code.lanes for v in range(vectors)]
            for value, part in [(code.load(x, code.plus(i, part)), part) for part in parts]:
                code.store(value, y, code.plus(j, part))
            return context.get_dummy_value()

        return types.void(x, i, y, j), generate

    return move


move_tile, move_vector = _mover(TILE_BYTES // WIDTH), _mover(1)


@intrinsic
def move_between(typing, x, i, low, high, y, j):
    """Copy elements ``low`` … ``high`` − 1 of the vector of x at i to that of y at j, whose others
    become 0. Only they are read."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        x, y = code.pointer(0), code.pointer(4)
        i, low, high, j = map(code.index, (1, 2, 3, 5))
        below = builder.not_(code.lanes_below(low))
        there = builder.and_(below, code.lanes_below(high))
        value = code.load_where(there, x, i, code.zero())
        code.store(value, y, j)
        return context.get_dummy_value()

    return types.void(x, i, low, high, y, j), generate


@inline
def move(x, i, y, j, n):
    """Copy n elements from x at i to y at j."""
    tile, vector, k = TILE_BYTES // x.itemsize, WIDTH // x.itemsize, 0
    while k + tile <= n:
        move_tile(x, i + k, y, j + k)
        k += tile
    while k + vector <= n:
        move_vector(x, i + k, y, j + k)
        k += vector
    while k < n:
        y[j + k] = x[i + k]
        k += 1


@inline
def clear(y, j, n):
    """Set n elements from j on to 0."""
    for k in range(n):
        y[j + k] = y.dtype.type(0)
