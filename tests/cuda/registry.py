"""Every family of CUDA kernels, with each set of macros that its operations compile it with."""

from __future__ import annotations

from minigrad.ops import norm
from minigrad.optim import optimizers


def reals(**others: object) -> list[dict[str, str]]:
    """The macros ``others`` with each REAL."""
    rest = {name: str(value) for name, value in others.items()}
    return [{"REAL": real, **rest} for real in ("float", "double")]


FAMILIES: dict[str, list[dict[str, str]]] = {
    "activation": reals(),
    "dropout": reals(),
    "loss": reals(),
    "norm": reals(THREADS=norm.THREADS, PER_THREAD=norm.PER_THREAD),
    "optim": reals(CHUNK=optimizers.CHUNK),
    "pool": [*reals(PLACE="unsigned char"), *reals(PLACE="unsigned short")],
}
ARCHITECTURES = (75, 80, 86, 89, 90)  # Turing, A100, RTX 30, RTX 40, Hopper
