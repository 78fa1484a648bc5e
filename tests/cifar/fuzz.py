"""JSON that is nearly right: what files and flags hold once something went wrong with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from cifar.errors import UserError

JUNK = st.recursive(
    st.sampled_from([None, True, -1, 0, 2**70, 1e308, float("nan"), float("inf"), "", "x", "0"])
    | st.integers()
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@st.composite
def mutated(draw: Any, document: Any, junk: st.SearchStrategy[Any] = JUNK) -> Any:
    """``document`` with one or two of its values, at any depth, replaced by ``junk``, left out or
    added to."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        place, key = found, None
        while isinstance(place, (dict, list)) and place and (key is None or draw(st.booleans())):
            holder = place
            keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
            key = draw(st.sampled_from(list(keys)))
            place = holder[key]
        if key is None:
            return draw(junk)
        if draw(st.integers(0, 3)):
            added = isinstance(holder, dict) and not draw(st.integers(0, 4))
            holder["more" if added else key] = draw(junk)
        else:
            del holder[key]
    return found


def taken_or_refused(act: Callable[[], object]) -> None:
    """``act`` ends well, or with a UserError of one line; nothing else."""
    refused = ""
    try:
        act()
    except UserError as error:
        refused = str(error)
    assert "\n" not in refused
