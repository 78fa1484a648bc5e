"""The device and the precision that a person asks for, put into effect."""

from __future__ import annotations

import minigrad as mg
from cifar.errors import UserError


def find_device(name: str) -> mg.device:
    """The device of that name; of several GPUs, it is the one in use from now on.

    Raises:
        UserError: there is none of that name.
        minigrad.DeviceError: CuPy, the driver or the device is missing.
    """
    try:
        found = mg.device(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    found.use()
    return found


def use_precision(name: str | None, device: mg.device) -> None:
    """Multiply on ``device`` from now on in ``name``'s precision; None is the device's default.

    Raises:
        UserError: there is no such precision, or ``device`` is the CPU, which never rounds.
    """
    try:
        mg.set_precision(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    if device.type == "cpu" and name not in (None, "fp32"):
        raise UserError(f"precision: {name} is for GPUs; the CPU multiplies in fp32: leave it out")
