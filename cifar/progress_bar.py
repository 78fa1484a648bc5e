"""Bars of progress that do not count compiling: it has a line of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from tqdm import tqdm

import minigrad as mg

COMPILING = "compiling kernels, once on this machine"


class Bar:
    """A bar over images, which begins with its second step: kernels may be compiled in the first,
    which says nothing of how long the others take.

    Args:
        total: images in all.
        initial: images that were done before.
        disable: hide it; None hides it where stderr is no terminal.
        options: of tqdm.
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
        """One step, of so many images."""
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
        """Figures behind it, from its next change on."""
        if self._bar is not None:
            self._bar.set_postfix(figures, refresh=False)


@contextmanager
def compiling(disable: bool | None = False) -> Iterator[None]:
    """Show how many kernels are compiled meanwhile, and for how long; nothing where none is."""
    with ExitStack() as shown:
        lines: list[tqdm[Any]] = []

        def told(name: str) -> None:
            if not lines:
                form = "{desc}: {n_fmt} so far [{elapsed}]{postfix}"
                line = tqdm(desc=COMPILING, bar_format=form, disable=disable)
                lines.append(shown.enter_context(line))
            lines[0].n += 1
            lines[0].set_postfix_str(name)  # and shown at once

        with mg.watch_compilation(told):
            yield
        if lines:
            lines[0].set_postfix_str("", refresh=False)
