"""Progress bars whose times exclude compilation, which has its own line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from tqdm import tqdm

import minigrad as mg

COMPILING = "compiling kernels, once on this machine"


class Bar:
    """A bar over images. It starts with the second step, because kernels may be compiled during the
    first, whose time is therefore not typical.

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
        """Advance by one step of ``images`` images."""
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
        """Show figures after the bar, from its next update on."""
        if self._bar is not None:
            self._bar.set_postfix(figures, refresh=False)


@contextmanager
def compiling(disable: bool | None = False) -> Iterator[None]:
    """Show how many kernels are compiled during the block, and for how long; nothing if none."""
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
