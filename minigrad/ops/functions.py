"""The names that are both functions of the module and methods of Tensor, listed once."""

# ruff: noqa: F401

from .activation import log_softmax, relu, sigmoid, softmax, tanh
from .arithmetic import clamp
from .elementwise import (
    abs,
    acos,
    acosh,
    add,
    addcdiv,
    addcmul,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    erf,
    exp,
    exp2,
    expm1,
    lerp,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    mul,
    nan_to_num,
    neg,
    pow,
    reciprocal,
    rsqrt,
    sin,
    sinh,
    sqrt,
    square,
    sub,
    tan,
)
from .extreme import amax, amin, argmax, argmin, max, maximum, min, minimum
from .indexing import (
    diag,
    diagonal,
    gather,
    index_add,
    index_select,
    masked_fill,
    masked_select,
    nonzero,
    scatter,
    scatter_add,
    take_along_dim,
    tril,
    triu,
)
from .linear import matmul
from .logic import (
    all,
    allclose,
    any,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    count_nonzero,
    eq,
    equal,
    ge,
    gt,
    is_floating_point,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from .product import addmm, baddbmm, bmm, dot, mm, mv, outer
from .rearrange import (
    broadcast_to,
    chunk,
    flip,
    movedim,
    narrow,
    ravel,
    repeat_interleave,
    roll,
    select,
    split,
    t,
    tile,
    unbind,
    unflatten,
)
from .reduce import mean, std, sum, var
from .rounding import (
    ceil,
    div,
    floor,
    floor_divide,
    fmod,
    frac,
    remainder,
    round,
    sign,
    trunc,
)
from .scan import cumprod, cumsum, logsumexp, norm, prod
from .shape import flatten, permute, reshape, squeeze, transpose, unsqueeze
from .sort import argsort, bincount, kthvalue, median, sort, topk, unique

__all__ = [name for name in globals() if not name.startswith("_")]
