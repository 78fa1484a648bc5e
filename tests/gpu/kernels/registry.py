"""Every family of CUDA kernels, with each set of macros that its operations compile it with."""

from __future__ import annotations

from minigrad.gpu import norm, optim


def reals(**others: object) -> list[dict[str, str]]:
    """The macros ``others`` with each REAL."""
    rest = {name: str(value) for name, value in others.items()}
    return [{"REAL": real, **rest} for real in ("float", "double")]


def sums() -> list[dict[str, str]]:
    """REAL, and SUM for few terms and for many."""
    pairs = ("float", "float"), ("double", "double"), ("float", "double")
    return [{"REAL": real, "SUM": by} for real, by in pairs]


def convolutions(*sets: str) -> list[dict[str, str]]:
    """Macros of conv.cu: precision, rows of a tile, kernel, how wide copies are, data stride."""
    names = ("PRECISION", "BM", "KH", "KW", "VEC_ROWS", "VEC_COLUMNS", "BASE_H", "BASE_W")
    return [dict(zip(names, numbers.split(), strict=True)) for numbers in sets]


FAMILIES: dict[str, list[dict[str, str]]] = {
    "activation": reals(),
    "conv": convolutions(
        "0 64 3 3 4 4 1 1", "1 128 3 3 4 4 1 1", "2 128 1 1 4 4 2 2", "1 16 5 5 1 1 1 1"
    ),
    "dropout": reals(),
    "index": reals(),
    "loss": sums(),
    "norm": reals(THREADS=norm.THREADS, PER_THREAD=norm.PER_THREAD),
    "optim": reals(CHUNK=optim.CHUNK),
    "pool": [
        {**macros, "PLACE": place}
        for macros, place in zip(
            sums(), ("unsigned char", "unsigned short", "unsigned"), strict=True
        )
    ],
}
# Turing, A100, RTX 30, RTX 40, Hopper.
ARCHITECTURES = ("sm_75", "sm_80", "sm_90")  # sm_86 and sm_89 have the instructions of sm_80

# Kernels that count in double precision although REAL is float: a few values per block.
DOUBLE = {"normalize", "gradient", "weight_gradient"}
