"""minigrad: a deep-learning engine from scratch on NumPy and CuPy, under PyTorch's names."""

from . import (
    checkpoint,
    console,
    data,
    functional,
    implementations,  # noqa: F401  # registers them
    memory,
    nn,
    onnx,
    optim,
)
from .anomaly import detect_anomaly
from .checkpoint import load, save
from .cpu.compiled import is_compiled, set_compiled, watch_compilation
from .cpu.threads import get_num_threads, set_num_threads
from .creation import ones, tensor, zeros
from .device import DeviceError, device, get_xp, is_gpu_available
from .dispatch import get_implementation, set_implementation
from .explore import draw, explore, trace
from .gpu.cuda_graph import CapturedStep, CaptureError
from .gpu.precision import get_precision, set_precision
from .gradcheck import gradcheck
from .memory import OutOfMemoryError
from .ops.arithmetic import where
from .ops.shape import cat, stack
from .rng import manual_seed, randn
from .tape import no_grad, op
from .tensor import Tensor

__version__ = "0.1.0"

__all__ = [
    "CaptureError",
    "CapturedStep",
    "DeviceError",
    "OutOfMemoryError",
    "Tensor",
    "cat",
    "checkpoint",
    "console",
    "data",
    "detect_anomaly",
    "device",
    "draw",
    "explore",
    "functional",
    "get_implementation",
    "get_num_threads",
    "get_precision",
    "get_xp",
    "gradcheck",
    "is_compiled",
    "is_gpu_available",
    "load",
    "manual_seed",
    "memory",
    "nn",
    "no_grad",
    "ones",
    "onnx",
    "op",
    "optim",
    "randn",
    "save",
    "set_compiled",
    "set_implementation",
    "set_num_threads",
    "set_precision",
    "stack",
    "tensor",
    "trace",
    "watch_compilation",
    "where",
    "zeros",
]
