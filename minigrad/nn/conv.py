"""Convolutions."""

from __future__ import annotations

from typing import Any

from .. import check
from .. import functional as F
from ..creation import zeros
from ..ops.conv import Pair
from ..options import lacks
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


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
