"""The operations under the names of ``torch.nn.functional``."""

from .ops.activation import gelu, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .ops.conv import conv2d
from .ops.dropout import dropout
from .ops.linear import linear
from .ops.loss import cross_entropy, focal_loss, mse_loss, nll_loss
from .ops.norm import batch_norm
from .ops.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .ops.shape import one_hot, pad

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "focal_loss",
    "gelu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
