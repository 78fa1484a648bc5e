"""Selects the device and the precision that the user asks for."""

from __future__ import annotations

import minigrad as mg
from cifar.errors import UserError


def find_device(name: str) -> mg.device:
    """The device of that name. A GPU also becomes the current GPU.

    Raises:
        UserError: there is none of that name.
        minigrad.DeviceError: CuPy, the driver or the device is missing.
    """
    try:
        device = mg.device(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    device.use()
    return device


def use_precision(name: str | None, device: mg.device) -> None:
    """Set the precision of products on ``device``; None selects the device's default.

    Raises:
        UserError: there is no such precision, or ``device`` is the CPU, which has only fp32.
    """
    try:
        mg.set_precision(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    if device.type == "cpu" and name not in (None, "fp32"):
        raise UserError(f"precision: {name} is for GPUs; the CPU multiplies in fp32: leave it out")
