"""Progress bars that leave out compiling, which has a line of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from tqdm import tqdm

import minigrad as mg

COMPILING = "compiling kernels, once on this machine"


class Bar:
    """A bar over images. It begins with the second step: kernels may be compiled during the first,
    so its time says nothing about the others.

    Args:
        total: number of images.
        initial: images already done.
        disable: hide it; None hides it unless stderr is a terminal.
        options: for tqdm.
    """

    def __init__(
        self, total: int, initial: int = 0, disable: bool | None = False, **options: Any
    ) -> None:
        self._total, self._done, self._disable = total, initial, disable
        self._options = {"unit": "img", "mininterval": 0.5, **options}
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @contextmanager
    def step(self, images: int) -> Iterator[None]:
        """One step over so many images."""
        if self._bar is not None:
            yield
            self._bar.update(images)
            return
        with compiling(self._disable):
            yield
        self._bar = tqdm(
            total=self._total,
            initial=self._done + images,
            disable=self._disable,
            **self._options,
        )

    def show(self, figures: Mapping[str, Any]) -> None:
        """Show figures behind the bar, from its next update on."""
        if self._bar is not None:
            self._bar.set_postfix(figures, refresh=False)


@contextmanager
def compiling(disable: bool | None = False) -> Iterator[None]:
    """Show how many kernels are compiled meanwhile, and for how long; nothing if none is."""
    with ExitStack() as stack:
        lines: list[tqdm[Any]] = []

        def show(name: str) -> None:
            if not lines:
                form = "{desc}: {n_fmt} so far [{elapsed}]{postfix}"
                line = tqdm(desc=COMPILING, bar_format=form, disable=disable)
                lines.append(stack.enter_context(line))
            lines[0].n += 1
            lines[0].set_postfix_str(name)  # this refreshes the line

        with mg.watch_compilation(show):
            yield
        if lines:
            lines[0].set_postfix_str("", refresh=False)
