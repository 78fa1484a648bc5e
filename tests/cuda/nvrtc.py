"""NVIDIA's runtime compiler, which needs neither GPU nor driver."""

from __future__ import annotations

from typing import Any

import pytest


def compiled(text: str, target: str, **macros: str) -> bytes:
    """``text`` compiled: machine code for "sm_80", or PTX, which is text, for "compute_80".

    What the compiler says is a failure, warnings included.
    """
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", exc_type=ImportError)
    options = [f"-arch={target}", "--std=c++17"]
    options += [f"-D{key}={value}" for key, value in macros.items()]

    def call(function: Any, *args: Any) -> Any:
        error, *results = function(*args)
        assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, error
        return results[0] if results else None

    def read(kind: str) -> bytes:
        size = call(getattr(nvrtc, f"nvrtcGet{kind}Size"), program)
        content = bytes(size + 1)  # is written into: Python shares objects of a single byte
        call(getattr(nvrtc, f"nvrtcGet{kind}"), program, content)
        return content[:size]

    program = call(nvrtc.nvrtcCreateProgram, text.encode(), b"kernels.cu", 0, [], [])
    error, *_ = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    log = read("ProgramLog").decode()
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, log
    assert "warning" not in log, log
    code = read("CUBIN" if target.startswith("sm_") else "PTX")
    call(nvrtc.nvrtcDestroyProgram, program)
    return code
