"""Gradients under the names of ``torch.autograd``."""

from ..anomaly import detect_anomaly
from ..gradcheck import gradcheck, gradgradcheck
from ..gradients import backward, grad
from ..tape import enable_grad, inference_mode, no_grad, set_grad_enabled
from . import functional
from .variable import Variable

__all__ = [
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
]
