"""Parsing of recipe fields given as text, such as "lr=0.01" or "augmentation.crop=4".

Any field of :class:`cifar.recipes.Recipe` can be given, and any field or entry within it, by its
dotted name. A new field needs no change here.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from cifar import recipes
from cifar.errors import UserError
from cifar.recipes import FIXED, Recipe


def parse(recipe: Recipe, assignments: Iterable[str]) -> dict[str, Any]:
    """New values of ``recipe``'s fields, for ``dataclasses.replace``.

    Values are written as JSON, strings also without quotes, lists also without brackets:
    ``lr=0.01``, ``optimizer=Adam``, ``schedule=null``, ``mean=0.5,0.5,0.5``,
    ``optimizer_options.momentum=0.8``, ``restarts=[[20,1e-4]]``, ``augmentation={"crop":4}``,
    ``groups.head.lr=0.5``, ``lookahead.every=10``.

    Raises:
        UserError: one of ``assignments`` has no "=", names an unknown field, or its value is not
            of the field's type.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"set: expected FIELD=VALUE, such as lr=0.01, got {assignment!r}")
        name, *inner = path.strip().replace("-", "_").split(".")
        known = [f.name for f in dataclasses.fields(recipe) if f.name not in FIXED]
        if name not in known:
            raise UserError(f"set: expected one of {', '.join(known)}, got {name!r}")
        current = changes.get(name, getattr(recipe, name))
        hint = typing.get_type_hints(Recipe)[name]
        changes[name] = _changed(path.strip(), current, hint, inner, text.strip())
    return changes


def _changed(path: str, current: Any, hint: Any, inner: list[str], text: str) -> Any:
    """``current`` with the value at ``inner`` below it replaced by ``text``'s."""
    if not inner:
        try:
            return _fit(hint, _value(text, hint))
        except ValueError:
            got = f"expected {_name(hint)}, got {text!r}"
            raise UserError(f"set: {path}: {got}") from None
    first, *rest = inner
    if dataclasses.is_dataclass(current) and not isinstance(current, type):
        hints = typing.get_type_hints(type(current))
        if first not in hints:
            raise UserError(f"set: {path}: expected one of {', '.join(hints)}, got {first!r}")
        value = _changed(path, getattr(current, first), hints[first], rest, text)
        return dataclasses.replace(current, **{first: value})
    if isinstance(current, Mapping):
        inner_hint = (*typing.get_args(hint), Any)[1]  # of Mapping[str, …]
        if dataclasses.is_dataclass(inner_hint) and rest and first not in current:
            known = ", ".join(current) or "nothing yet"
            raise UserError(f"set: {path}: expected one of {known}, got {first!r}")
        return {**current, first: _changed(path, current.get(first), inner_hint, rest, text)}
    kind = _only(hint)
    if current is None and dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _changed(path, kind(), kind, inner, text)
    raise UserError(f"set: {path}: there is nothing below {path.rpartition('.')[0]!r}")


def _only(hint: Any) -> Any:
    """The type of an optional value."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else hint


def _value(text: str, hint: Any) -> Any:
    """``text`` as JSON; otherwise as a list without brackets, or a string without quotes."""
    if hint is str and not text.startswith('"'):
        return text
    bare_list = typing.get_origin(hint) is tuple and not text.startswith("[")
    try:
        return json.loads(f"[{text}]" if bare_list else text)
    except (ValueError, RecursionError):
        return {"None": None, "True": True, "False": False}.get(text, text)


def _fit(hint: Any, value: Any) -> Any:
    """``value`` converted to the type ``hint``.

    Raises:
        ValueError: it is of another type.
    """
    import msgspec  # here, so that a run without such fields trains without it

    own = _only(hint)
    is_dict_for_dataclass = dataclasses.is_dataclass(own) and isinstance(value, dict)
    if is_dict_for_dataclass and value.keys() - typing.get_type_hints(own).keys():
        raise ValueError  # an unknown field, which msgspec ignores
    return msgspec.convert(value, hint)


def _name(hint: Any) -> str:
    """The type in words."""
    arguments = [_name(a) for a in typing.get_args(hint) if a is not ...]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(arguments)
    if origin is tuple:
        many = ... in typing.get_args(hint)
        return f"a list of {arguments[0]}" if many else f"[{', '.join(arguments)}]"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if hint in words:
        return words[hint]
    if hint is type(None):
        return "null"
    if dataclasses.is_dataclass(hint):
        fields = (field.name for field in dataclasses.fields(hint))
        return f"one of its fields by name ({', '.join(fields)})"
    return "an object in JSON"


def refuse_idle(recipe: Recipe, given: Iterable[str]) -> None:
    """Check that each given field has an effect together with the recipe's others.

    Raises:
        UserError: a field has none; the message names it.
    """
    own = recipe if recipes.is_own(recipe.name) else recipes.load(recipe.name)
    given = set(given)
    late = [epoch for epoch, _ in recipe.restarts if epoch >= recipe.epochs]
    level = recipe.long_tail == 1 and not recipe.validation
    unweighted = recipe.class_balance is None and not recipe.gamma and "gamma" not in given
    seen = str(recipe.augmentation) != str(own.augmentation)
    for name, idle, why in (
        ("gamma", recipe.loss != "focal_loss", f"with loss={recipe.loss}, only with focal_loss"),
        ("loss", recipe.loss == "focal_loss" and unweighted, "with gamma=0; give gamma too"),
        (
            "class_balance",
            recipe.class_balance is not None and level,
            "where every class has as many images, only with long_tail below 1",
        ),
        ("schedule_options", recipe.schedule is None, "without a schedule"),
        ("schedule_every", recipe.schedule is None, "without a schedule"),
        ("restarts", bool(late), f"beyond the last of {recipe.epochs} epochs, counted from 0"),
        (
            "augmentation",
            recipe.augmentation != own.augmentation and not seen,
            f"where images are augmented by {recipe.augmentation}",
        ),
    ):
        if name in given and idle:
            raise UserError(f"{name}: has no effect {why}, got {_shown(getattr(recipe, name))}")


def _shown(value: Any) -> str:
    return json.dumps(recipes.plain(value))
