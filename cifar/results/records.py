"""What training noted of a run, turned back into what commands ask for: its recipe, as it was and
for more epochs, and the folder of its data."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar import datasets, metadata, recipes
from cifar.recipes import Recipe, overrides


def recipe(stored: Mapping[str, Any]) -> Recipe:
    """A recipe that was stored as JSON, in the types that it had before.

    Raises:
        UserError: there is no recipe of its name, or a value of it cannot be a recipe's.
    """
    own = recipes.load(str(stored.get("name")))
    values = {k: v for k, v in stored.items() if k not in overrides.FIXED}
    assignments = [f"{name}={json.dumps(value)}" for name, value in values.items()]
    return dataclasses.replace(own, **overrides.parse(own, assignments))


def plain(value: Any) -> Any:
    """A recipe, or a value of one, as JSON holds it, to compare it with what was stored."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.loads(json.dumps(value))


def continued(then: Recipe, epochs: int) -> Recipe:
    """``then`` for a run that goes on to so many epochs, its schedule in proportion.

    A schedule that follows the recipe's own is taken from that, so that it is rounded once.
    """
    own = recipes.load(then.name)
    at_first = own.lasting(then.epochs)
    if all(plain(getattr(then, f)) == plain(getattr(at_first, f)) for f in recipes.SCHEDULE):
        schedule = {f: getattr(own.lasting(epochs), f) for f in recipes.SCHEDULE}
        return dataclasses.replace(then, epochs=epochs, **schedule)
    return then.lasting(epochs)


def changes(now: Recipe) -> dict[str, Any]:
    """The fields that make ``now`` of the recipe of its name, for ``Settings.overrides``."""
    own = recipes.load(now.name)
    base = dataclasses.replace(own.lasting(now.epochs), epochs=own.epochs)
    names = [f.name for f in dataclasses.fields(now) if f.name not in overrides.FIXED]
    return {
        name: getattr(now, name)
        for name in names
        if plain(getattr(now, name)) != plain(getattr(base, name))
    }


def folder_to_note(folder: Path | None) -> str | None:
    """A data folder as notes hold it: its absolute path, percent-encoded, for it may be no text."""
    return None if folder is None else urllib.parse.quote(os.fsencode(folder.absolute()))


def data_dir(note: Mapping[str, Any]) -> str | None:
    """The folder of CIFAR-10 that a run was pointed to, None if it was to none.

    CIFAR-10 is the same everywhere: where the folder is gone, the usual places serve, and a note on
    stderr says so.
    """
    noted = note.get("data_dir")
    if not isinstance(noted, str):
        return None
    folder = os.fsdecode(urllib.parse.unquote_to_bytes(noted))
    if os.path.isabs(folder) and datasets.holds_batches(folder):
        return folder
    where = metadata.brief(noted)
    print(f"note: CIFAR-10 is no longer in {where}, where the run found it", file=sys.stderr)
    return None
