"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Mapping

from .. import check
from .. import functional as F
from ..creation import ones, tensor, zeros
from ..options import lacks
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


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
