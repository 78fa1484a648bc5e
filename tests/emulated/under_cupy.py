"""Puts the emulator under the real CuPy: import this before ``cupy``.

CuPy loads the driver at run time, so a library of that name, loaded first, is the driver. NVIDIA's
runtime, CUB and Thrust are linked into CuPy's modules; in the memory of this process, the entry of
each function of theirs that CuPy calls becomes a jump to ours. Those that we lack report that they
are not supported. No file is changed. docs/gpu.md weighs this against building CuPy anew.
"""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.emulated import build

PARTS = (*build.CORE, "runtime", "driver", "libraries")
KEPT = {"cudaGetErrorName", "cudaGetErrorString", "cudaRuntimeGetVersion"}  # tables of texts
LIBRARIES = (
    *("cub_device_reduce", "cub_device_segmented_reduce", "cub_device_scan"),
    *("thrust_sort", "thrust_argsort"),
)
PAGE = mmap.PAGESIZE


def install() -> ctypes.CDLL:
    """The emulator, from now on under CuPy."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        raise RuntimeError("the emulator goes under CuPy on Linux and x86-64 only")
    os.environ["CUPY_COMPILE_WITH_PTX"] = "1"  # else NVRTC makes machine code
    os.environ["CUPY_CACHE_DIR"] = str(build.cache() / "cupy")
    spec = importlib.util.find_spec("cupy")
    if spec is None or spec.origin is None:
        raise RuntimeError("the emulator needs CuPy: pip install -e '.[emulated]'")
    site = Path(spec.origin).parents[1]
    include = site / "nvidia" / "cu13" / "include"
    path = build.library("libcuda.so.1", PARTS, f"-I{include}", links=("-Wl,-soname,libcuda.so.1",))
    machine = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    machine.emulator_findings.restype = ctypes.c_char_p
    _load_cublas(path, site)
    _redirect(machine, _only(site, "cupy_backends/cuda/api/runtime.*.so"), _of_runtime)
    for name in ("cub", "thrust"):
        _redirect(machine, _only(site, f"cupy/cuda/{name}.*.so"), _of_library)
    return machine


def _only(site: Path, pattern: str) -> Path:
    (found,) = site.glob(pattern)
    return found


def _of_runtime(symbol: str) -> str | None:
    public = re.fullmatch(r"cuda[A-Z]\w*", symbol) and symbol not in KEPT
    return symbol if public else None


def _of_library(symbol: str) -> str | None:
    """Ours in place of a function in C++, whose mangled name begins with its length."""
    mangled = re.match(r"_Z(\d+)", symbol)
    if not mangled or ".cold" in symbol:
        return None
    name = symbol[mangled.end() : mangled.end() + int(mangled[1])]
    base = name.removesuffix("_get_workspace_size")
    return f"under_{name}" if base in LIBRARIES else None


def _redirect(machine: ctypes.CDLL, path: Path, ours: Callable[[str], str | None]) -> None:
    """Functions of the module at ``path`` jump to the machine's."""
    ctypes.CDLL(str(path))
    base = _loaded_at(path)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    fallback = machine.emulator_not_emulated
    for symbol, offset in _functions(path).items():
        name = ours(symbol)
        if name is None:
            continue
        target = ctypes.cast(getattr(machine, name, fallback), ctypes.c_void_p).value or 0
        jump = b"\x48\xb8" + target.to_bytes(8, "little") + b"\xff\xe0"  # mov rax, target; jmp rax
        page = (base + offset) // PAGE * PAGE
        for protection in (7, 5):  # read, write and run; read and run
            if libc.mprotect(page, 2 * PAGE, protection):
                raise OSError(ctypes.get_errno(), "mprotect")
            if protection == 7:
                ctypes.memmove(base + offset, jump, len(jump))


def _functions(path: Path) -> dict[str, int]:
    """Offsets of the functions that are compiled into a library, by name."""
    listed = subprocess.run(
        ["nm", "--defined-only", path], capture_output=True, encoding="utf-8", check=True
    ).stdout
    lines = (line.split(maxsplit=2) for line in listed.splitlines())
    return {name: int(offset, 16) for offset, kind, name in lines if kind in "tT"}


def _loaded_at(path: Path) -> int:
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and os.path.realpath(words[5]) == os.path.realpath(path):
            return int(words[0].partition("-")[0], 16)
    raise RuntimeError(f"{path} is not loaded")


def _load_cublas(machine: Path, site: Path) -> None:
    """A cuBLAS whose functions jump to the machine's, or say that they are not supported."""
    wanted = subprocess.run(
        ["nm", "-D", "--undefined-only", _only(site, "cupy_backends/cuda/libs/cublas.*.so")],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    there = _functions(machine)
    lines = [".text"]
    for name in sorted(set(re.findall(r"\bcublas\w+", wanted))):
        ours = f"under_{name}" if f"under_{name}" in there else "under_cublas_not_supported"
        lines += [f".globl {name}", f".type {name}, @function", f"{name}: jmp {ours}@PLT"]
    for library, text in (("libcublasLt.so.13", []), ("libcublas.so.13", lines)):
        path = machine.parent / library
        if not path.exists():
            _assemble(path, text, machine)
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)


def _assemble(path: Path, lines: list[str], machine: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        source, versions = Path(scratch, "source.s"), Path(scratch, "versions.map")
        note = '.section .note.GNU-stack,"",@progbits'
        source.write_text("\n".join([*lines, note, ""]), encoding="utf-8")
        versions.write_text(f"{path.name} {{ global: cublas*; }};\n", encoding="utf-8")
        named = (f"-Wl,-soname,{path.name}", f"-Wl,--version-script={versions}")
        made = Path(scratch, path.name)
        subprocess.run(["gcc", "-shared", *named, "-o", made, source, machine], check=True)
        os.replace(made, path)
