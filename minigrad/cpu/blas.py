"""NumPy's BLAS, which is held to one thread while minigrad's threads call it."""

from __future__ import annotations

import functools
import threading
import warnings
from typing import Any


class Blas:
    """A context that holds BLAS to one thread. Each caller enters and leaves it.

    If Ctrl-C prevents a caller from restoring the number of threads, the next one to leave does.

    Args:
        lock: guards what callers share.
    """

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.callers: set[int] = set()  # identifiers of threads
        self.before: list[int] | None = None  # each library's own number of threads

    @functools.cached_property
    def libraries(self) -> list[Any]:
        try:
            import threadpoolctl
        except ModuleNotFoundError:
            message = "threadpoolctl is not installed: BLAS keeps its own threads, which is slower"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
            return []
        controller = threadpoolctl.ThreadpoolController()
        return list(controller.select(user_api="blas").lib_controllers)

    def __enter__(self) -> None:
        with self.lock:
            self.callers.add(threading.get_ident())
            if self.before is None:
                self.before = [library.get_num_threads() for library in self.libraries]
            for library in self.libraries:
                library.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.callers.discard(threading.get_ident())
            if self.before is not None and not self.callers:
                for library, threads in zip(self.libraries, self.before, strict=True):
                    library.set_num_threads(threads)
                self.before = None
