"""Windows as columns: what tests.ops.test_implementations draws."""

from __future__ import annotations

from hypothesis import strategies as st

from minigrad.ops.conv import Window
from minigrad.ops.fold import _fold, _unfold
from tests.common import grid, seeds
from tests.ops.driver import Arguments, Cases

pairs = lambda low, high: st.tuples(*[st.integers(low, high)] * 2)  # noqa: E731


@st.composite
def unfolded(draw: st.DrawFn) -> Arguments:
    """Some windows see nothing but padding."""
    window = Window(draw(pairs(1, 3)), draw(pairs(1, 3)), draw(pairs(1, 2)))
    padding, slack = draw(pairs(0, 3)), draw(pairs(0, 4))
    h, w = (
        max(1, reach - 2 * p) + more
        for reach, p, more in zip(window.reach, padding, slack, strict=True)
    )
    x = grid((draw(st.sampled_from([0, 1, 3])), draw(st.integers(1, 3)), h, w), draw(seeds))
    places = window.output((h, w), padding)
    return [x], {"padding": padding, "window": window, "places": places}


def folded(arguments: Arguments) -> Arguments:
    """Columns as many as those of the images."""
    (x,), options = arguments
    (n, c, *size), (kh, kw), (oh, ow) = x.shape, options["window"].kernel, options["places"]
    return [grid((n, c * kh * kw, oh * ow), 1)], {**options, "size": tuple(size)}


LIMITS = {"minigrad.cpu.fold.PART": (1, 100, 1 << 17)}
CASES = {
    _unfold: Cases(unfolded(), limits=LIMITS),
    _fold: Cases(unfolded().map(folded), limits=LIMITS),
}
