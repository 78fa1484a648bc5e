"""Every family of CUDA kernels, with each set of macros that its operations compile it with."""

from __future__ import annotations

REALS = [{"REAL": "float"}, {"REAL": "double"}]

FAMILIES: dict[str, list[dict[str, str]]] = {}
ARCHITECTURES = (75, 80, 86, 89, 90)  # Turing, A100, RTX 30, RTX 40, Hopper
