"""NVIDIA's runtime compiler, which needs neither GPU nor driver."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import pytest

OPTIONS = ("--std=c++17", "-ftz=true", "--ptxas-options=-v")  # ours, what CuPy adds, and a report


class Resources(NamedTuple):
    """What a kernel takes of a multiprocessor."""

    registers: int  # of a thread
    spilled: int  # bytes of registers that had to go to memory
    shared: int  # bytes of a block


def compiled(text: str, target: str, **macros: str) -> bytes:
    """``text`` compiled: machine code for "sm_80", or PTX, which is text, for "compute_80".

    What the compiler says is a failure, warnings included.
    """
    code, log = _compiled(text, target, tuple(macros.items()))
    assert "warning" not in log, log
    return code


def resources(text: str, target: str, **macros: str) -> dict[str, Resources]:
    """What each kernel of ``text`` takes on "sm_80", say."""
    _, log = _compiled(text, target, tuple(macros.items()))
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill stores", part))
        shared = re.search(r"(\d+) bytes smem", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert registers, part
        number = int(shared[1]) if shared else 0
        found[part.partition("'")[0]] = Resources(int(registers[1]), spilled, number)
    return found


@functools.cache
def _compiled(text: str, target: str, macros: tuple[tuple[str, str], ...]) -> tuple[bytes, str]:
    """The code, and what the compiler said."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", exc_type=ImportError)
    options = [f"-arch={target}", *OPTIONS, *(f"-D{key}={value}" for key, value in macros)]

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
    code = read("CUBIN" if target.startswith("sm_") else "PTX")
    call(nvrtc.nvrtcDestroyProgram, program)
    return code, log
