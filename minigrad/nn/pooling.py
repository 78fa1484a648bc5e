"""Pooling layers."""

from __future__ import annotations

from typing import Any

from .. import check
from .. import functional as F
from ..ops.conv import Pair
from ..ops.pool import stride_or
from ..tensor import Tensor
from .module import Module


class _Pool(Module):
    """Base of pooling layers, whose attributes are the options of the function they call."""

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


class AdaptiveMaxPool2d(_Pool):
    """Maxima over an even grid; see :func:`minigrad.functional.adaptive_max_pool2d`."""

    shown = ("output_size",)

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        check.unsupported("return_indices", return_indices, False)
        super().__init__(output_size=output_size)

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_max_pool2d(input, **self.options())


class AdaptiveAvgPool1d(_Pool):
    """Means over an even grid of rows; see :func:`minigrad.functional.adaptive_avg_pool1d`."""

    shown = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size=output_size)

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, **self.options())


def _row_window(kernel_size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """:func:`_window` of rows."""
    check.single("kernel_size", kernel_size, 1)
    check.single("padding", padding, 0)
    stride = stride_or(kernel_size, stride)
    check.single("stride", stride, 1)
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding}


class MaxPool1d(_Pool):
    """The largest value of each window of rows; see :func:`minigrad.functional.max_pool1d`."""

    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        check.unsupported("return_indices", return_indices, False)
        check.single("dilation", dilation, 1)
        window = _row_window(kernel_size, stride, padding)
        super().__init__(**window, dilation=dilation, ceil_mode=ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool1d(input, **self.options())


class AvgPool1d(_Pool):
    """The mean of each window of rows; see :func:`minigrad.functional.avg_pool1d`."""

    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        window = {
            name: value if isinstance(value, tuple) else (value,)
            for name, value in _row_window(kernel_size, stride, padding).items()
        }
        super().__init__(**window, ceil_mode=ceil_mode, count_include_pad=count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, **self.options())
