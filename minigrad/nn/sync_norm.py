"""Batch normalisation over the batches of all ranks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..distributed import Group, current
from ..ops.sync_norm import sync_batch_norm
from ..options import lacks
from ..tensor import Tensor
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, _BatchNorm


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all ranks, so that N ranks with B images each train
    like one with N · B.

    It sends two messages per step: forward sums 2C + 1 float64 numbers over the ranks, backward 2C.
    Ranks may have different numbers of images, or none. In evaluation, or in a single process, it
    is ordinary batch normalisation.

    Args:
        num_features, eps, momentum, affine, track_running_stats, bias: see :class:`BatchNorm2d`.
        process_group: the ranks (default: all).

    Input (N, C) or (N, C, ...).

    Raises:
        ValueError: wrong shape, or one value per channel on all ranks together in training.
    """

    ndims, layout = (2, 3, 4, 5), "(N, C) or (N, C, ...)"

    @lacks("device", "dtype")
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Group | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias)
        self.process_group = process_group

    def _function(self) -> Callable[..., Tensor]:
        group = current(self.process_group)
        if not self.training or group.size == 1:
            return super()._function()
        return partial(sync_batch_norm, reduce=lambda sums: group.all_reduce(sums).wait())

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Group | None = None) -> Any:
        """Replace every batch normalisation in ``module`` by one of this class with the same
        parameters and buffers; returns ``module``, or its replacement."""
        if isinstance(module, (BatchNorm1d, BatchNorm2d)):
            made = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.weight is not None,
                process_group=process_group,
                bias=module.bias is not None,
            )
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(made, name, getattr(module, name))
            made.training = module.training
            return made
        made_of: dict[int, Any] = {}  # a module may have several names
        for name, child in list(module._members(Module)):
            if id(child) not in made_of:
                made_of[id(child)] = cls.convert_sync_batchnorm(child, process_group)
            if made_of[id(child)] is not child:
                setattr(module, name, made_of[id(child)])
        return module
