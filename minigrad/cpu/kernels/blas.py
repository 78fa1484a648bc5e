"""Matrix products by NumPy's BLAS, which threads call within kernels, without the interpreter lock.

Matrices are given as BLAS takes them: an address, whether rows or columns lie together
(``BY_ROWS``, ``BY_COLUMNS``), and how many numbers lie between the beginnings of two of these.
The function is given by address too (:attr:`minigrad.cpu.blas.Blas.functions`), since compiled
kernels outlive the process.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

BY_ROWS, BY_COLUMNS = 111, 112  # of arguments: "not transposed" and "transposed"
ROW_MAJOR = 101  # results

ENUM, SIZE, POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()


@intrinsic
def gemm(typing, function, a_by, b_by, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    """C = alpha A B + beta C of A (m, k) and B (k, n)."""

    def code(context, builder, signature, args):
        real = context.get_value_type(alpha)
        matrix = POINTER, SIZE
        kinds = *(ENUM,) * 3, *(SIZE,) * 3, real, *matrix, *matrix, real, *matrix
        given = [SIZE(ROW_MAJOR), *args[1:]]
        for i, kind in enumerate(kinds):
            if kind is ENUM:
                given[i] = builder.trunc(given[i], kind)
            elif kind is POINTER:
                given[i] = builder.inttoptr(given[i], kind)
        to = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        builder.call(builder.inttoptr(args[0], to), given)
        return context.get_dummy_value()

    word = types.int64
    return types.void(*(word,) * 6, alpha, *(word,) * 4, alpha, word, word), code
