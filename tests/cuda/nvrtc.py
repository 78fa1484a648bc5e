"""NVIDIA's runtime compiler, which needs neither GPU nor driver."""

from __future__ import annotations

from typing import Any

import pytest


def compiled(text: str, architecture: int, **macros: str) -> bytes:
    """``text`` as machine code for sm_<architecture>; what the compiler says is a failure, warnings
    included."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", exc_type=ImportError)
    options = [f"-arch=sm_{architecture}", "--std=c++17"]
    options += [f"-D{key}={value}" for key, value in macros.items()]

    def call(function: Any, *args: Any) -> Any:
        error, *results = function(*args)
        assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, error
        return results[0] if results else None

    program = call(nvrtc.nvrtcCreateProgram, text.encode(), b"kernels.cu", 0, [], [])
    error, *_ = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    log = b" " * call(nvrtc.nvrtcGetProgramLogSize, program)
    call(nvrtc.nvrtcGetProgramLog, program, log)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
    assert b"warning" not in log, log.decode()
    code = b" " * call(nvrtc.nvrtcGetCUBINSize, program)
    call(nvrtc.nvrtcGetCUBIN, program, code)
    call(nvrtc.nvrtcDestroyProgram, program)
    return code
