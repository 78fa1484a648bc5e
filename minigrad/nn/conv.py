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


class _Conv(Module):
    """Base of convolutions: options, parameters and ``repr``."""

    bias: Parameter | None
    dims = 2
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        output_padding: Any = 0,
    ) -> None:
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        self.padding_mode = check.choice("padding_mode", padding_mode, modes)
        self.in_channels = check.integer("in_channels", in_channels, 1)
        self.out_channels = check.integer("out_channels", out_channels, 1)
        self.kernel_size = self._sizes("kernel_size", kernel_size, 1, alone=False)
        self.stride = self._sizes("stride", stride, 1)
        self.padding: Any = (
            check.choice("padding", padding, ("same", "valid"))
            if isinstance(padding, str) and not self.transposed
            else self._sizes("padding", padding, 0)
        )
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"padding: 'same' needs stride 1, got {self.stride}")
        self.dilation = self._sizes("dilation", dilation, 1)
        self.output_padding = self._sizes("output_padding", output_padding, 0)
        self.groups = check.integer("groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: expected a divisor of in_channels={in_channels} and "
                f"out_channels={out_channels}, got {groups}"
            )
        first, second = (
            (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        )
        self.weight = Parameter(zeros(first, second // groups, *self.kernel_size))
        biased = check.boolean("bias", bias)
        self.register_parameter("bias", Parameter(zeros(out_channels)) if biased else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the parameters as PyTorch does."""
        init.default_(self.weight, self.bias)

    def _sizes(self, name: str, value: Any, minimum: int, alone: bool = True) -> tuple[int, ...]:
        if self.dims == 1:
            return (check.single(name, value, minimum),)
        return check.pair(name, value, minimum, alone)

    def _framed(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input padded as ``padding_mode`` says, and the zero padding still to be added."""
        if self.padding_mode == "zeros":
            return input, self.padding
        amounts: list[int] = []
        for axis in range(self.dims - 1, -1, -1):
            if isinstance(self.padding, str):
                reach = self.dilation[axis] * (self.kernel_size[axis] - 1)
                total = reach if self.padding == "same" else 0
                amounts += [total // 2, total - total // 2]
            else:
                amounts += [self.padding[axis]] * 2
        return F.pad(input, amounts, self.padding_mode), 0

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        none, one = (0,) * self.dims, (1,) * self.dims
        defaults: dict[str, Any] = {"padding": none, "dilation": one, "output_padding": none}
        for name, default in (defaults | {"groups": 1}).items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv1d(_Conv):
    """One-dimensional cross-correlation; see :func:`minigrad.functional.conv1d`.

    ``padding_mode`` is "zeros", or a mode of :func:`minigrad.functional.pad`.

    Shapes: input (N, C, L), output (N, O, OL), ``weight`` (O, C/groups, K), ``bias`` (O,).
    """

    dims = 1

    @lacks("device", "dtype")
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        sizes = kernel_size, stride, padding, dilation
        super().__init__(in_channels, out_channels, *sizes, groups, bias, padding_mode)

    def forward(self, input: Tensor) -> Tensor:
        check.tensor("input", input, (2, 3), "(N, C, L) or (C, L)")
        input, padding = self._framed(input)
        stride: Any = self.stride
        dilation: Any = self.dilation
        return F.conv1d(input, self.weight, self.bias, stride, padding, dilation, self.groups)


class Conv2d(_Conv):
    """Two-dimensional cross-correlation; see :func:`minigrad.functional.conv2d`.

    ``padding_mode`` is "zeros", or a mode of :func:`minigrad.functional.pad`.

    Shapes: input (N, C, H, W), output (N, O, OH, OW), ``weight`` (O, C/groups, KH, KW),
    ``bias`` (O,).
    """

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
        sizes = kernel_size, stride, padding, dilation
        super().__init__(in_channels, out_channels, *sizes, groups, bias, padding_mode)

    def forward(self, input: Tensor) -> Tensor:
        check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)")
        input, padding = self._framed(input)
        stride: Any = self.stride
        dilation: Any = self.dilation
        return F.conv2d(input, self.weight, self.bias, stride, padding, dilation, self.groups)


class ConvTranspose2d(_Conv):
    """Transposed convolution, which enlarges images; see
    :func:`minigrad.functional.conv_transpose2d`.

    Shapes: input (N, C, H, W), output (N, O, OH, OW), ``weight`` (C, O/groups, KH, KW),
    ``bias`` (O,).
    """

    transposed = True

    @lacks("device", "dtype")
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
        padding_mode: str = "zeros",
    ) -> None:
        sizes = kernel_size, stride, padding, dilation
        rest = groups, bias, padding_mode, output_padding
        super().__init__(in_channels, out_channels, *sizes, *rest)

    @lacks("output_size")
    def forward(self, input: Tensor) -> Tensor:
        sizes: Any = self.stride, self.padding, self.output_padding, self.groups, self.dilation
        return F.conv_transpose2d(input, self.weight, self.bias, *sizes)
