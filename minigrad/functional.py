"""The operations under the names of ``torch.nn.functional``."""

from .ops.activation import gelu, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .ops.adaptive_pool import adaptive_avg_pool1d, adaptive_max_pool1d, adaptive_max_pool2d
from .ops.attention import scaled_dot_product_attention
from .ops.conv import conv1d, conv2d
from .ops.conv_transpose import conv_transpose2d
from .ops.dropout import dropout, dropout1d, dropout2d
from .ops.embedding import embedding
from .ops.fold import fold, unfold
from .ops.layer_norm import group_norm, instance_norm, layer_norm
from .ops.linear import linear
from .ops.loss import cross_entropy, focal_loss, nll_loss
from .ops.norm import batch_norm
from .ops.normalize import normalize
from .ops.pad import pad
from .ops.pair_loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from .ops.piecewise import hardsigmoid, hardswish, hardtanh, prelu, relu6
from .ops.pool import adaptive_avg_pool2d, avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .ops.resize import interpolate, pixel_shuffle, pixel_unshuffle
from .ops.shape import one_hot
from .ops.smooth import celu, elu, logsigmoid, mish, selu, silu, softplus

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "focal_loss",
    "fold",
    "gelu",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
