"""minigrad: a deep-learning engine written from scratch on NumPy and CuPy, with PyTorch's names."""

from math import e, inf, nan, pi

from . import (
    autograd,
    checkpoint,
    console,
    data,
    distributed,
    functional,
    implementations,  # noqa: F401  # registers them
    memory,
    nn,
    onnx,
    optim,
    utils,
)
from .anomaly import detect_anomaly
from .checkpoint import load, save
from .cpu.compiled import is_compiled, set_compiled, watch_compilation
from .cpu.threads import get_num_threads, set_flush_denormal, set_num_threads
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .device import DeviceError, device, get_xp, is_gpu_available
from .dispatch import get_implementation, set_implementation
from .dtypes import (
    bool,  # noqa: F401
    double,
    dtype,
    finfo,
    float,  # noqa: F401
    float16,
    float32,
    float64,
    half,
    iinfo,
    int,  # noqa: F401
    int8,
    int16,
    int32,
    int64,
    long,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .explore import draw, explore, trace
from .gpu.cuda_graph import CapturedStep, CaptureError
from .gpu.precision import get_precision, set_precision
from .gradcheck import gradcheck, gradgradcheck
from .memory import OutOfMemoryError
from .ops import functions as _functions
from .ops.arithmetic import where
from .ops.functions import *  # noqa: F403
from .ops.logic import is_tensor
from .ops.methods import clone
from .ops.product import einsum
from .ops.rearrange import meshgrid
from .ops.reduce import std_mean, var_mean
from .ops.shape import cat, hstack, stack, vstack
from .ops.shape import cat as concat
from .ops.shape import cat as concatenate
from .rng import (
    Generator,
    bernoulli,
    manual_seed,
    multinomial,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)
from .tape import (
    Diagonal,
    Multilinear,
    Rerun,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    op,
    set_grad_enabled,
)
from .tensor import Tensor

__version__ = "0.1.0"

__all__ = [
    "CaptureError",
    "CapturedStep",
    "DeviceError",
    "Diagonal",
    "Generator",
    "Multilinear",
    "OutOfMemoryError",
    "Rerun",
    "Tensor",
    "arange",
    "as_tensor",
    "autograd",
    "bernoulli",
    "cat",
    "checkpoint",
    "clone",
    "concat",
    "concatenate",
    "console",
    "data",
    "detect_anomaly",
    "device",
    "distributed",
    "double",
    "draw",
    "dtype",
    "e",
    "einsum",
    "empty",
    "empty_like",
    "enable_grad",
    "explore",
    "eye",
    "finfo",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "get_implementation",
    "get_num_threads",
    "get_precision",
    "get_xp",
    "gradcheck",
    "gradgradcheck",
    "half",
    "hstack",
    "iinfo",
    "inf",
    "inference_mode",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_compiled",
    "is_gpu_available",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_tensor",
    "linspace",
    "load",
    "long",
    "manual_seed",
    "memory",
    "meshgrid",
    "multinomial",
    "nan",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "onnx",
    "op",
    "optim",
    "pi",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "save",
    "set_compiled",
    "set_flush_denormal",
    "set_grad_enabled",
    "set_implementation",
    "set_num_threads",
    "set_precision",
    "short",
    "stack",
    "std_mean",
    "tensor",
    "trace",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "utils",
    "var_mean",
    "vstack",
    "watch_compilation",
    "where",
    "zeros",
    "zeros_like",
]
__all__ += _functions.__all__
