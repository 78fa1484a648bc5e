"""Kernels for the CPU, compiled by Numba: loops for which NumPy would need many passes.

Each is an inner loop of an operation in :mod:`minigrad.ops`, which has a plain NumPy implementation
too, for use without Numba (see :mod:`minigrad.cpu.compiled`). Kernels take flat arrays and offsets,
release the interpreter lock, start no threads and count no references (:mod:`.memory`). The
operation divides blocks among the cores, or launches a kernel whose parts they share
(:mod:`.team`).
The kernels of GPUs are in :mod:`minigrad.gpu`.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import inspect
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from .. import helper

settings: Any = config  # which has attributes that only Numba's import gives it

# Kernels with the types of their arguments, in the order of the calls. Unless it is None, calls do
# nothing else (see :mod:`minigrad.precompile`).
calls: list[tuple[Any, tuple[Any, ...]]] | None = None


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` for the types of its arguments, and cache the result on disk.

    Products are fused with sums, but sums keep their order, so results do not depend on how a loop
    is vectorised.
    """
    return _noted(_compile(function, {"contract", "nsz"}, inline=False))


def jit_exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` with every product and sum rounded by itself, as C does it."""
    return _noted(_compile(function, set(), inline=False))


def jit_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` for a loop that reads element k of its arrays before it writes element k of the
    first, which may be one of the others.

    LLVM takes the arrays for separate memory. Otherwise the loop would first look whether they
    overlap, and then run number by number.
    """
    return _noted(separate(_compile(function, {"contract", "nsz"}, inline=False)))


def separate(compiled: Any) -> Any:
    """The kernel ``compiled``, which takes its arrays for separate memory."""
    customize = compiled._compiler._customize_flags

    def flags_of(flags: Any) -> Any:
        flags = customize(flags)
        flags.noalias = True
        return flags

    compiled._compiler._customize_flags = flags_of
    return compiled


def _noted(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """``compiled``, or a function that only adds to ``calls``."""
    if (noted := calls) is None:
        return compiled
    code: Any = compiled.py_func.__code__  # type: ignore[attr-defined]
    has_more, count = code.co_flags & inspect.CO_VARARGS, code.co_argcount

    def note(*args: Any) -> None:
        given = (*args[:count], args[count:]) if has_more else args
        noted.append((compiled, tuple(map(numba.typeof, given))))

    return note


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` for a part of a kernel, which has machine code within the kernel only.

    With machine code of its own, the process that compiles would use one version, and a process
    that loads the kernel from disk the other. The two are vectorised differently and round
    differently, so a resumed run would not be the same.
    """
    return _compile(function, {"contract", "nsz"}, inline=True)


def subroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`inline` for a large part, which a kernel calls in several places and LLVM compiles
    once for all of them."""
    return _compile(function, {"contract", "nsz"}, inline=True, copied=False)


def inline_sum(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`inline` for parts whose sums may be reordered: one partial sum per vector lane."""
    return _compile(function, {"contract", "nsz", "reassoc"}, inline=True)


def called(function: Callable[..., Any], fused: bool = True) -> Callable[..., Any]:
    """:func:`jit`, or :func:`jit_exactly` unless ``fused``, for a function that is only called by a
    :func:`jit_calling`."""
    return _compile(function, {"contract", "nsz"} if fused else set(), inline=False, called=True)


def jit_calling(function: Callable[..., Any], name_of: Callable[[Any], str]) -> Callable[..., Any]:
    """:func:`jit` for a function that calls another by its name in machine code, ``name_of`` its
    own signature, which it must have had when it was cached."""
    compiled: Any = _compile(function, set(), inline=False)
    if isinstance(compiled._cache, _Cache):
        compiled._cache.name_of = name_of
    return _noted(compiled)


def _compile(
    function: Callable[..., Any],
    fastmath: set[str],
    inline: bool,
    called: bool = False,
    copied: bool = True,
) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "nogil": True,
        "_nrt": False,  # see :mod:`.memory`
        "error_model": "numpy",
        "fastmath": fastmath,
        "forceinline": inline and copied,
        "no_cpython_wrapper": inline or called,  # which only Python would call
        "no_cfunc_wrapper": inline or called,
    }
    if inline:
        part: Any = numba.njit(**options, pipeline_class=_PartCompiler)(function)
        part.compile = _once(part.compile)
        return part
    compiled = numba.njit(**options, pipeline_class=_KernelCompiler)(function)
    compiled._compiler.compile = _quickly(compiled._compiler.compile)
    try:
        compiled._cache = _Cache(function)
    except RuntimeError:  # neither this folder nor the user's cache is writable
        _warn("there is no folder to keep compiled kernels in: each process compiles them again")
    return compiled


def _once(compile: Callable[..., Any]) -> Callable[..., Any]:
    """``compile`` for all numbers of a type. Numba would compile again for each that is written in
    a call."""
    return lambda given: compile(tuple(map(numba.types.unliteral, given)))


def _quickly(compile: Callable[..., Any]) -> Callable[..., Any]:
    """``compile`` with LLVM's passes of -O2, since those of Numba's -O3 take a third longer, and
    gave code of the same speed and the same bits; and without Python's search for garbage, which
    takes a tenth of the time."""

    @functools.wraps(compile)
    def quickly(*args: Any) -> Any:
        level, collects = settings.OPT, gc.isenabled()
        settings.OPT = config._OptLevel(2)
        gc.disable()
        try:
            return compile(*args)
        finally:
            settings.OPT = level
            if collects:
                gc.enable()

    return quickly


class _Code(JITCodeLibrary):
    """Machine code that uses vectors as long as those of :mod:`.vector`. For Intel's processors
    LLVM would choose 256 bits, since the first ones with 512 lowered their clock for them."""

    def add_ir_module(self, module: Any) -> None:
        for function in module.functions:
            set.add(function.attributes, '"prefer-vector-width"="512"')  # unknown to its own `add`
        super().add_ir_module(module)


class _KernelCompiler(Compiler):
    """Numba's compiler, into :class:`_Code`."""

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        self.state.library = _Code(self.state.targetctx.codegen(), function.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(function)


class _PartCompiler(Compiler):
    """Numba's compiler, up to LLVM's intermediate language."""

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        self.state.library = _Part(self.state.targetctx.codegen(), function.__qualname__)
        return super().compile_extra(function)


class _Part(_Code):
    """A part of kernels in LLVM's intermediate language. Machine code of its own would take a tenth
    of the time."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._optimize_final_module()  # alone, else some loops of kernels take five times as long
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0  # there is none

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Machine code has an environment."""


class _Cache(caching.FunctionCache):
    """Numba's cache of one kernel on disk. With a damaged file or a full disk the kernel is
    compiled again, and a warning says why."""

    name_of: Callable[[Any], str] | None = None  # see `jit_calling`

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        base, stamp = self._impl.filename_base, (self._impl.locator.get_source_stamp(), _sources())
        self._cache_file = _Files(self._cache_path, base, stamp)

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        key = super()._index_key(signature, codegen)
        return key if self.name_of is None else (*key, self.name_of(signature))

    def load_overload(self, signature: Any, target: Any) -> Any:
        found = None
        try:
            found = super().load_overload(signature, target)
        except Exception as error:  # damaged bytes make pickle raise anything
            why = f"{type(error).__name__}: {error}"
            what = f"a compiled kernel in {self._cache_path} cannot be used ({why})"
            _warn(f"{what}: compiling it again")
            with suppress(OSError):  # saving the new one reports it
                self.flush()
        if found is None:
            helper.start()
        return found

    def save_overload(self, signature: Any, result: Any) -> None:
        try:
            super().save_overload(signature, result)
        except Exception as error:
            why = error.strerror if isinstance(error, OSError) else error
            where = f"compiled kernels cannot be kept in {self._cache_path} ({why})"
            _warn(f"{where}: each process compiles them again")


class _Files(caching.IndexDataCacheFile):
    """Numba's files, with a digest of the compiled code: with a flipped bit the code would still
    run, and crash or compute something else."""

    def __init__(self, folder: str, base: str, stamp: Any) -> None:
        super().__init__(folder, base, stamp)
        self._base = base
        self._version += " with digests"  # files without digests belong to another version

    def save(self, key: Any, data: Any) -> None:
        # Numba numbers the files, and two processes may choose one number for two kernels.
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        self._data_name_pattern = f"{self._base}-{digest}.{{number:d}}.nbc"
        super().save(key, data)

    def _dump(self, value: Any) -> bytes:
        content: bytes = super()._dump(value)
        return content + hashlib.sha256(content).digest()  # pickle ignores what follows its end

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError(f"{name} is not as it was written")
        return super()._load_data(name)


@functools.cache
def _sources() -> str:
    """A digest of all that kernels are made of: parts of a kernel may stand in several files."""
    folder = Path(__file__).parent
    files = [*sorted(folder.glob("*.py")), folder.parents[1] / "special.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@functools.cache  # once: Numba's filters make Python forget which warnings it has shown
def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
