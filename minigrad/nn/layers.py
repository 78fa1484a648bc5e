"""Layers: operations with their parameters, under PyTorch's names, arguments and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import check
from .. import functional as F
from ..creation import ones, tensor, zeros
from ..ops.conv import Pair
from ..ops.pool import stride_or
from ..options import lacks
from ..tensor import Tensor
from . import init
from .module import Module, Parameter


class Linear(Module):
    """y = x Wᵀ + b.

    Args:
        in_features, out_features: sizes F and O.
        bias: whether to add b.

    Shapes: input (..., F), output (..., O), ``weight`` (O, F), ``bias`` (O,).
    """

    bias: Parameter | None

    @lacks("device", "dtype")
    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = check.integer("in_features", in_features, 1)
        self.out_features = check.integer("out_features", out_features, 1)
        self.weight = Parameter(zeros(out_features, in_features))
        biased = check.boolean("bias", bias)
        self.register_parameter("bias", Parameter(zeros(out_features)) if biased else None)
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Conv2d(Module):
    """Two-dimensional cross-correlation; see :func:`minigrad.functional.conv2d`.

    Shapes: input (N, C, H, W), output (N, O, OH, OW), ``weight`` (O, C/groups, KH, KW),
    ``bias`` (O,).
    """

    bias: Parameter | None

    @lacks("device", "dtype")
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        check.unsupported("padding_mode", padding_mode, "zeros")
        self.in_channels = check.integer("in_channels", in_channels, 1)
        self.out_channels = check.integer("out_channels", out_channels, 1)
        self.kernel_size = check.pair("kernel_size", kernel_size, 1, alone=False)
        self.stride = check.pair("stride", stride, 1)
        self.padding: Any = (
            check.choice("padding", padding, ("same", "valid"))
            if isinstance(padding, str)
            else check.pair("padding", padding, 0)
        )
        if padding == "same" and self.stride != (1, 1):
            raise ValueError(f"padding: 'same' needs stride 1, got {self.stride}")
        self.dilation = check.pair("dilation", dilation, 1)
        self.groups = check.integer("groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: expected a divisor of in_channels={in_channels} and "
                f"out_channels={out_channels}, got {groups}"
            )
        self.weight = Parameter(zeros(out_channels, in_channels // groups, *self.kernel_size))
        biased = check.boolean("bias", bias)
        self.register_parameter("bias", Parameter(zeros(out_channels)) if biased else None)
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        defaults = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text if self.bias is not None else text + ", bias=False"


class _BatchNorm(Module):
    """Batch normalisation over all but the channel axis (Ioffe & Szegedy, ICML 2015).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: fraction by which the running statistics move towards each batch's.
        affine: learn a scale and a shift per channel.
        track_running_stats: only True is supported.
        bias: whether ``affine`` includes the shift.

    Parameters ``weight``, ``bias`` (C,); buffers ``running_mean``, ``running_var`` (C,) and
    ``num_batches_tracked`` (int64 scalar).

    A call takes the input, and beyond PyTorch ``residual`` and ``relu`` for what follows batch norm
    in a residual network, done in the same pass: ``relu(bn(x) + residual)``.

    Raises:
        ValueError: wrong shape, or one value per channel in training.
    """

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    ndims: tuple[int, ...] = ()
    layout = ""
    _added: Mapping[str, int] = {"num_batches_tracked": 2}

    @lacks("device", "dtype")
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        check.unsupported("track_running_stats", track_running_stats, True)
        if momentum is None:
            raise NotImplementedError("momentum=None (a cumulative average) is not supported")
        self.num_features = check.integer("num_features", num_features, 1)
        self.eps = check.number("eps", eps, 0)
        self.momentum = check.number("momentum", momentum, 0, 1)
        check.boolean("affine", affine)
        check.boolean("bias", bias)
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        shifted = affine and bias
        self.register_parameter("bias", Parameter(zeros(num_features)) if shifted else None)
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))
        self.register_buffer("num_batches_tracked", tensor(0))

    def forward(self, input: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        check.tensor("input", input, self.ndims, self.layout)
        if self.training:
            check.writable("num_batches_tracked", self.num_batches_tracked)
        y = F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
            residual=residual,
            relu=relu,
        )
        if self.training:
            self.num_batches_tracked.data += 1
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.weight is not None}, bias={self.bias is not None}, "
            "track_running_stats=True"
        )


class BatchNorm1d(_BatchNorm):
    __doc__ = (_BatchNorm.__doc__ or "") + "\n    Input (N, C) or (N, C, L).\n"
    ndims, layout = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    __doc__ = (_BatchNorm.__doc__ or "") + "\n    Input (N, C, H, W).\n"
    ndims, layout = (4,), "(N, C, H, W)"


class _Pool(Module):
    """What the pooling layers share: their options, kept as attributes, are those of the function
    they call."""

    shown: tuple[str, ...] = ()  # by repr, as in PyTorch

    def __init__(self, **options: Any) -> None:
        self._names = tuple(options)
        vars(self).update(options)

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)


def _window(kernel_size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """The checked options of a pooling window, each as it was given; the stride is the window's
    size unless given."""
    check.pair("kernel_size", kernel_size, 1)
    check.pair("padding", padding, 0)
    stride = stride_or(kernel_size, stride)
    check.pair("stride", stride, 1)
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding}


class MaxPool2d(_Pool):
    """The largest value of each window; see :func:`minigrad.functional.max_pool2d`."""

    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        check.unsupported("return_indices", return_indices, False)
        check.pair("dilation", dilation, 1)
        window = _window(kernel_size, stride, padding)
        super().__init__(**window, dilation=dilation, ceil_mode=ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool2d(input, **self.options())


class AvgPool2d(_Pool):
    """The mean of each window; see :func:`minigrad.functional.avg_pool2d`."""

    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(
            **_window(kernel_size, stride, padding),
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, **self.options())


class AdaptiveAvgPool2d(_Pool):
    """Means over an even grid; see :func:`minigrad.functional.adaptive_avg_pool2d`."""

    shown = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size=output_size)

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, **self.options())


class Dropout(Module):
    """In training, zero elements with probability ``p`` and scale the rest by 1 / (1 − p)."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        check.unsupported("inplace", inplace, False)
        self.p = check.number("p", p, 0, 1)

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace=False"


class ReLU(Module):
    """max(x, 0)."""

    def __init__(self, inplace: bool = False) -> None:
        check.unsupported("inplace", inplace, False)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input)


class LeakyReLU(Module):
    """x where positive, else ``negative_slope`` x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        check.unsupported("inplace", inplace, False)
        self.negative_slope = check.number("negative_slope", negative_slope, float("-inf"))

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class GELU(Module):
    """x Φ(x), exact or approximated with tanh."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = check.choice("approximate", approximate, ("none", "tanh"))

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """1 / (1 + exp(−x))."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Softmax(Module):
    """exp(x) scaled to sum to 1 along ``dim``."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Flatten(Module):
    """(N, ...) as (N, F); see :func:`minigrad.ops.shape.flatten`. No copy is made."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return check.tensor("input", input).flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Its input."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input
