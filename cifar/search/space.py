"""The space of a search: a TOML file with the settings of a trial and their ranges.

    recipe = "resnet-82"                 # for all fields that the space does not set
    max_parameters = 5_000_000

    [space.lr]
    type = "float"
    low = 1e-3
    high = 1e-1
    log = true

Types and their fields are Optuna's distributions: ``int`` and ``float`` with ``low``, ``high``,
``step`` and ``log``; ``categorical`` with ``choices``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec

import cifar
import minigrad as mg
from cifar import recipes
from cifar.errors import UserError
from cifar.recipes import Recipe, overrides

SHIPPED = Path(cifar.__file__).parent / "spaces"
Choice: TypeAlias = bool | int | float | str
TYPES = ("int", "float", "categorical")


class Trial(Protocol):
    """An ``optuna.trial.Trial``, or a ``FixedTrial`` with values drawn before."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


class Dimension(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """One setting that each trial draws.

    Attributes:
        field: field of the recipe, as in ``--set`` (default: the dimension's name).
        each: the name of an integer that is drawn before; the setting is then a list with that
            number of values, drawn separately.
    """

    field: str = ""
    each: str = ""

    def suggest(self, trial: Trial, name: str) -> Any:
        raise NotImplementedError


class Int(Dimension, frozen=True, tag="int", kw_only=True):
    """A whole number, both ends included."""

    low: int
    high: int
    step: Annotated[int, msgspec.Meta(ge=1)] = 1
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, None if self.step == 1 else self.step)

    def suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)


class Float(Dimension, frozen=True, tag="float", kw_only=True):
    """A number."""

    low: float
    high: float
    step: Annotated[float, msgspec.Meta(gt=0)] | None = None
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.step)

    def suggest(self, trial: Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


class Categorical(Dimension, frozen=True, tag="categorical", kw_only=True):
    """One of several values."""

    choices: Annotated[list[Choice], msgspec.Meta(min_length=1)]

    def suggest(self, trial: Trial, name: str) -> Any:
        return trial.suggest_categorical(name, self.choices)


def _check_range(low: float, high: float, log: bool, step: float | None) -> None:
    if not low <= high:
        raise ValueError(f"low: expected at most high, {high}, got {low}")
    if log and low <= 0:
        raise ValueError(f"low: expected a number above 0 for log = true, got {low}")
    if log and step is not None:
        raise ValueError(f"step: expected none beside log = true, got {step}")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    recipe: str
    space: dict[str, dict[str, Any]]
    max_parameters: Annotated[int, msgspec.Meta(ge=1)] | None = None
    epochs: Annotated[int, msgspec.Meta(ge=1)] | None = None
    set: dict[str, Any] = {}


class Space(msgspec.Struct, frozen=True):
    """A space, as read by :func:`load`.

    Attributes:
        name: name of the file, without its suffix.
        recipe: the recipe for all settings except ``fixed`` and the drawn ones.
        dimensions: the drawn settings by name, in the order in which they are drawn.
        max_parameters: largest number of parameters of a network; None for no limit.
        epochs: epochs of a trial.
        fixed: FIELD=VALUE of the recipe, the same in all trials.
    """

    name: str
    recipe: str
    dimensions: dict[str, Int | Float | Categorical]
    max_parameters: int | None
    epochs: int
    fixed: list[str]

    def draw(self, trial: Trial) -> dict[str, Any]:
        """The values that ``trial`` draws, by field of the recipe."""
        drawn: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        counts = {dimension.each for dimension in self.dimensions.values()}
        for name, one in self.dimensions.items():
            if one.each:
                numbers = range(1, 1 + drawn[one.each])
                value: Any = [one.suggest(trial, f"{name}.{i}") for i in numbers]
            else:
                value = one.suggest(trial, name)
            drawn[name] = value
            if one.field or name not in counts:
                fields[one.field or name] = value
        return fields

    def base(self) -> Recipe:
        """The recipe that a trial changes, with the epochs of a trial."""
        return recipes.load(self.recipe).lasting(self.epochs)

    def changes(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The changed fields of the recipe in a trial with the values ``drawn``, by name.

        Raises:
            UserError: the recipe has no such field, or the value is of the wrong type.
        """
        assignments = [*self.fixed, *_assignments(drawn.items())]
        return overrides.parse(self.base(), assignments) | {"epochs": self.epochs}

    def recipe_of(self, drawn: Mapping[str, Any]) -> Recipe:
        """The recipe of a trial.

        Raises:
            UserError: as :meth:`changes`, or a value is out of range.
        """
        return dataclasses.replace(self.base(), **self.changes(drawn))


class _Firsts:
    """Draws each setting's first value."""

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        return low

    def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[0]


def names() -> tuple[str, ...]:
    """The spaces that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load(name: str, epochs: int | None = None, fixed: tuple[str, ...] = ()) -> Space:
    """The space of that name, or in that file.

    Args:
        epochs: epochs of a trial, instead of the file's.
        fixed: FIELD=VALUE, further settings that are the same in all trials.

    Raises:
        UserError: it cannot be read; the message names the entry and what was expected.
    """
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if not name.endswith(".toml") and name not in names():
        raise UserError(f"space: expected FILE.toml or one of {', '.join(names())}, got {name!r}")
    try:
        raw = msgspec.toml.decode(mg.checkpoint.readable(path).read_bytes())
        file = _convert(raw, _File, "")
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise UserError(f"space: {path}: {str(error).removeprefix('path: ')}") from None
    try:
        dimensions = {key: _dimension(key, value) for key, value in file.space.items()}
        _check_lists(dimensions)
    except ValueError as error:
        raise UserError(f"space: {path}: {error}") from None
    if not dimensions:
        raise UserError(f"space: {path}: expected a table space.NAME for each setting to draw")
    count = epochs if epochs is not None else file.epochs
    if count is None:
        count = recipes.load(file.recipe).epochs
    if count < 1:
        raise UserError(f"epochs: expected at least 1, got {count}")
    given = [*_assignments(_flat(file.set)), *fixed]
    space = Space(path.stem, file.recipe, dimensions, file.max_parameters, count, given)
    drawn = space.draw(_Firsts())
    fields = {one.partition("=")[0].strip() for one in given}
    if twice := drawn.keys() & fields:
        raise UserError(f"set: {min(twice)} is drawn by the space {path}")
    if "epochs" in drawn.keys() | fields:
        raise UserError(
            f"epochs: is the same in all trials of the space {path}: give --epochs, or epochs at "
            "the top of the file"
        )
    try:
        recipe = space.recipe_of(drawn)
    except UserError as error:
        raise UserError(f"space: {path}: {error}") from None
    if not recipe.validation:
        raise UserError(
            f"space: {path}: validation: expected training images to hold out, on which trials are "
            "compared, such as 5000 in its table set, got 0"
        )
    return space


def _dimension(name: str, value: Any) -> Int | Float | Categorical:
    kind = value.get("type")
    if kind not in TYPES:
        got = "nothing" if kind is None else repr(kind)
        raise ValueError(f"space.{name}.type: expected one of {', '.join(TYPES)}, got {got}")
    dimension: Int | Float | Categorical = _convert(
        value, Int | Float | Categorical, f"space.{name}"
    )
    return dimension


def _convert(value: Any, kind: Any, place: str) -> Any:
    """``value`` converted to ``kind``.

    Raises:
        ValueError: it cannot be converted; the message starts with the entry's name.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, inner = str(error).partition(" - at `$")
        what = what[:1].lower() + what[1:]
        where = f"{place}{inner.rstrip('`')}".lstrip(".")
        raise ValueError(f"{where}: {what}" if where else what) from None


def _check_lists(dimensions: Mapping[str, Int | Float | Categorical]) -> None:
    earlier: dict[str, Any] = {}
    for name, dimension in dimensions.items():
        count = earlier.get(dimension.each)
        if dimension.each and not (isinstance(count, Int) and count.low >= 0 and not count.each):
            raise ValueError(
                f"space.{name}.each: expected the name of a whole number from 0 drawn before, got "
                f"{dimension.each!r}"
            )
        earlier[name] = dimension


def _assignments(values: Iterable[tuple[str, Any]]) -> list[str]:
    """FIELD=VALUE strings for :func:`cifar.recipes.overrides.parse`."""
    return [f"{name}={json.dumps(value)}" for name, value in values]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a table and of the tables in it, by dotted names."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
