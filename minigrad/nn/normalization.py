"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .. import check
from .. import functional as F
from ..creation import ones, tensor, zeros
from ..ops.layer_norm import normalized_sizes
from ..options import lacks
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class _Affine(Module):
    """Base of normalisations: the scale and shift, either of which may be None."""

    weight: Parameter | None
    bias: Parameter | None

    def _add_affine(self, shape: tuple[int, ...], affine: bool, bias: bool) -> None:
        shifted = check.boolean("bias", bias) and affine
        self.register_parameter("weight", Parameter(ones(shape)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(shape)) if shifted else None)

    def reset_parameters(self) -> None:
        """Set the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Affine):
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

    A call takes the input and, beyond PyTorch, ``residual`` and ``relu``: the result is then
    ``relu(bn(x) + residual)``, computed in one pass.

    Raises:
        ValueError: wrong shape, or one value per channel in training.
    """

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
        self.track_running_stats = True
        if momentum is None:
            raise NotImplementedError("momentum=None (a cumulative average) is not supported")
        self.num_features = check.integer("num_features", num_features, 1)
        self.eps = check.number("eps", eps, 0)
        self.momentum = check.number("momentum", momentum, 0, 1)
        self._add_affine((num_features,), check.boolean("affine", affine), bias)
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))
        self.register_buffer("num_batches_tracked", tensor(0))

    def reset_running_stats(self) -> None:
        """Set the running statistics to mean 0 and variance 1, of no batches."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set the running statistics, the scale and the shift to what they are at first."""
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, input: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        check.tensor("input", input, self.ndims, self.layout)
        return self._function()(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            momentum=self.momentum,
            eps=self.eps,
            residual=residual,
            relu=relu,
            num_batches_tracked=self.num_batches_tracked,
        )

    def _function(self) -> Callable[..., Tensor]:
        return partial(F.batch_norm, training=self.training)

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


class LayerNorm(_Affine):
    """Normalisation of each example over its last sizes; see
    :func:`minigrad.functional.layer_norm`.

    Args:
        normalized_shape: these sizes, or an int for the last size.
        eps: added to the variance.
        elementwise_affine: learn a scale and a shift per element.
        bias: whether that includes the shift.

    Parameters ``weight``, ``bias`` of ``normalized_shape``.
    """

    @lacks("device", "dtype")
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        alone = isinstance(normalized_shape, int)
        self.normalized_shape = normalized_sizes((normalized_shape,) if alone else normalized_shape)
        self.eps = check.number("eps", eps, 0)
        self.elementwise_affine = check.boolean("elementwise_affine", elementwise_affine)
        self._add_affine(self.normalized_shape, elementwise_affine, bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """Normalisation of groups of channels; see :func:`minigrad.functional.group_norm`.

    Args:
        num_groups: a divisor of ``num_channels``.
        num_channels: C.
        eps: added to the variance.
        affine: learn a scale and a shift per channel.
        bias: whether that includes the shift.

    Shapes: input (N, C, ...), ``weight`` and ``bias`` (C,).
    """

    @lacks("device", "dtype")
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        self.num_groups = check.integer("num_groups", num_groups, 1)
        self.num_channels = check.integer("num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(
                f"num_groups: expected a divisor of num_channels={num_channels}, got {num_groups}"
            )
        self.eps = check.number("eps", eps, 0)
        self.affine = check.boolean("affine", affine)
        self._add_affine((num_channels,), affine, bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_Affine):
    """Normalisation of each channel of each example; see
    :func:`minigrad.functional.instance_norm`.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: no effect without running statistics.
        affine: learn a scale and a shift per channel.
        track_running_stats: only False is supported.
        bias: whether ``affine`` includes the shift.

    Parameters ``weight``, ``bias`` (C,) where ``affine``.
    """

    layout = ""
    dims = 0

    @lacks("device", "dtype")
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None:
        check.unsupported("track_running_stats", track_running_stats, False)
        self.track_running_stats = False
        self.num_features = check.integer("num_features", num_features, 1)
        self.eps = check.number("eps", eps, 0)
        self.momentum = check.number("momentum", momentum, 0, 1)
        self.affine = check.boolean("affine", affine)
        self._add_affine((num_features,), affine, bias)

    def forward(self, input: Tensor) -> Tensor:
        check.tensor("input", input, (self.dims, self.dims - 1), self.layout)
        if input.ndim < self.dims:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if input.shape[1] != self.num_features:
            raise ValueError(f"input: expected {self.num_features} channels, got {input.shape}")
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats=False"
        )


class InstanceNorm1d(_InstanceNorm):
    __doc__ = (_InstanceNorm.__doc__ or "") + "\n    Input (N, C, L) or (C, L).\n"
    dims, layout = 3, "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    __doc__ = (_InstanceNorm.__doc__ or "") + "\n    Input (N, C, H, W) or (C, H, W).\n"
    dims, layout = 4, "(N, C, H, W) or (C, H, W)"
