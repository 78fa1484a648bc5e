"""The base of all optimisers: parameter groups, state, saving, and steps by a rule."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from .. import check, writes
from ..device import Array, device_of, get_xp, move
from ..dispatch import Dispatched
from ..gpu import capture
from ..nn.parameter import clear_gradients
from ..nn.state import misfit, raw
from ..tape import enable_grad, kind_of
from ..tensor import Tensor, check_gradient

Options = dict[str, Any]

# Entries that schedules add to a parameter group, under PyTorch's names.
SCHEDULED = ("initial_lr", "max_lr", "min_lr", "swa_lr", "base_momentum", "max_momentum")


def _betas(name: str, betas: Any) -> None:
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"{name}: expected a pair of numbers, got {check.shown(betas)}")
    for beta in betas:
        if check.number(name, beta, 0) >= 1:
            raise ValueError(f"{name}: expected two numbers in [0, 1), got {betas}")


_FROM_ZERO = (
    *("lr", "weight_decay", "eps", "momentum", "alpha", "lr_decay", "momentum_decay"),
    *("initial_accumulator_value", *SCHEDULED),
)
_FLAGS = ("maximize", "nesterov", "centered", "amsgrad", "decoupled_weight_decay")
# How an option is checked, by its name.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_FROM_ZERO, functools.partial(check.number, low=0)),
    **dict.fromkeys((*_FLAGS, "normalize_weight"), check.boolean),
    "dampening": functools.partial(check.number, low=-math.inf),
    "rho": functools.partial(check.number, low=0, high=1),
    "betas": _betas,
}


class Rule(Dispatched):
    """The update rule of an optimiser; a decorator of the formula for one parameter.

        @Rule
        def momentum(p, g, b, *, lr, momentum):
            b[...] = momentum * b + g
            p -= lr * b

    The formula changes the parameter and its state in place, but not the gradient g. A state array
    that the options do not need is None. Its keyword arguments name the options it takes: options
    of the group, as Python numbers; ``step``, the number of the parameter's update from 1, and
    other numbers of the optimiser's state; and ``fresh``, whether state is new and filled with
    zeros.

    The rule, and each implementation, updates many parameters at once by ``run(params, grads,
    *state, options=function)``. The lists have equal lengths and hold arrays of one dtype on one
    device; ``function`` returns their common options. It is called once per execution of the
    update, because it counts the step. The condition of an implementation gets the first parameter,
    ``when(p, g, *state)``.

    Attributes:
        name: name of the formula.
        formula: the decorated function.
        options: names of the options that it takes.
    """

    def __init__(self, formula: Callable[..., None]) -> None:
        self.formula = check.function("formula", formula)
        super().__init__(self._one_by_one)
        functools.update_wrapper(cast(Any, self), formula)
        self.name: str = getattr(formula, "__name__", type(formula).__name__)
        parameters = inspect.signature(formula).parameters.values()
        self.options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def choose(
        self, args: Sequence[Sequence[Array]], params: dict[str, Any]
    ) -> Callable[..., None]:
        """The implementation that serves the first parameter and its state."""
        return super().choose([arrays[0] for arrays in args], {})

    def _one_by_one(self, *lists: Sequence[Array], options: Callable[[], Options]) -> None:
        """The definition: apply the formula to one parameter after another."""
        now = options()
        for arrays in zip(*lists, strict=True):
            self.formula(*arrays, **now)


def descent(p: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    """The descent gradient ±g + λ p, with L2 regularisation (PyTorch's ``weight_decay``)."""
    g = -g if maximize else g
    return g + weight_decay * p if weight_decay else g


@Rule
def _none(p: Array, g: Array) -> None:
    raise NotImplementedError("Optimizer: a subclass sets its rule")


class Optimizer:
    """Base of the optimisers: parameter groups, state, saving.

    Args:
        params: parameters, or dicts with a "params" entry and options of that group.
        defaults: the options of groups that do not set their own.

    Attributes:
        param_groups: list of dicts with "params" and the current options; change "lr" there.
        state: parameter → dict of state arrays and numbers, such as "step" (updates so far), under
            PyTorch's names.
    """

    rule = _none
    slots: tuple[str, ...] = ()  # names of all state arrays, in the rule's order
    numbers: ClassVar[Mapping[str, float]] = {"step": 0}  # initial numbers of the state

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params: expected an iterable of Parameters, got a single Tensor")
        entries = check.items("params", params, "Parameters")
        if not entries:
            raise ValueError("params: expected at least one parameter, got none")
        self.defaults = dict(check.mapping("defaults", defaults))
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        for group in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters (under "params") with its own options."""
        unknown = [
            name
            for name in check.mapping("param_group", param_group)
            if name not in ("params", *SCHEDULED, *self.defaults)
        ]
        if unknown:
            known = ["params", *self.defaults]
            raise ValueError(
                f"param_group: expected options among {known}, got {sorted(map(str, unknown))}"
            )
        if "params" not in param_group:
            raise ValueError(f"param_group: expected an entry params, got {sorted(param_group)}")
        members = param_group["params"]
        if isinstance(members, Tensor):
            members = [members]
        members = check.items("params", members, "Parameters")
        seen = {id(p) for p in self._parameters()}
        for p in members:
            if not isinstance(p, Tensor) or p.node is not None:
                what = "the result of an operation" if isinstance(p, Tensor) else type(p).__name__
                raise TypeError(f"params: expected leaf Tensors, got {what}")
            if id(p) in seen:
                raise ValueError("params: a parameter appears twice")
            seen.add(id(p))
        group = {**self.defaults, **param_group, "params": members}
        self.check_options(group)
        self.param_groups.append(group)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise for options of a wrong type or out of range."""
        for name, value in group.items():
            if name in CHECKS:
                CHECKS[name](name, value)

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the state arrays that ``group``'s options need."""
        return self.slots

    def advanced(self, group: dict[str, Any], numbers: dict[str, float]) -> dict[str, float]:
        """The numbers of a parameter's state after one more update."""
        return {name: numbers[name] + 1 for name in self.numbers}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or fill those that there are with zeros."""
        clear_gradients(self._parameters(), set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: called first, to compute the gradients, which are recorded even under
                ``no_grad``; its result is returned.

        Raises:
            TypeError, ValueError, NotImplementedError: an option, a gradient or a parameter is
                invalid. Nothing has changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = check.function("closure", closure)()
        due = []  # of each group, parameters and gradients
        for group in self.param_groups:
            self.check_options(group)
            due.append([(p, g) for p in group["params"] if (g := p.grad) is not None])
            for p, gradient in due[-1]:
                _check_updatable(p, gradient)
        uses = self.rule.options
        counted = {name: first for name, first in self.numbers.items() if name in uses}
        batches: dict[Any, list[tuple[Any, ...]]] = {}  # parameters that share their options
        for number, (group, members) in enumerate(zip(self.param_groups, due, strict=True)):
            names = self.active_slots(group)
            used = [name if name in names else "" for name in self.slots]  # none is called ""
            last, batch = None, []
            for p, gradient in members:
                data, fresh = p.data, bool(names) and self._prepare(p, names) and "fresh" in uses
                saved = self.state.get(p, {}).get
                now = tuple(map(float, map(saved, counted, counted.values()))) if counted else ()
                key = number, names, fresh, now, kind_of(data)
                if key != last:  # it takes longer to hash
                    last, batch = key, batches.setdefault(key, [])
                batch.append((p, data, gradient.data, *map(saved, used)))
        with np.errstate(all="ignore"):  # infinities and NaN come without a warning, as in PyTorch
            for (number, names, fresh, *_), batch in batches.items():
                params, *lists = zip(*batch, strict=True)
                options = functools.partial(self._advance, number, names, params, fresh)
                self.rule.run(*lists, options=options)
                writes.note(*lists[0])
        return loss

    def _prepare(self, p: Tensor, names: tuple[str, ...]) -> bool:
        """Create missing state arrays ``names`` of ``p``, in the memory order of p; returns whether
        any is new."""
        state, data, fresh = self.state.setdefault(p, {}), p.data, False
        for name in names:
            if (found := state.get(name)) is None:
                if capture.is_recording():  # each replay would reset it
                    raise NotImplementedError(f"{type(self).__name__}: state made in a recording")
                state[name], fresh = get_xp(data).zeros_like(data), True
            elif found.shape != data.shape:
                raise ValueError(
                    f"params: the data of a parameter of shape {found.shape} has been replaced by "
                    f"some of shape {data.shape}: make a new optimizer"
                )
            elif found.strides != data.strides or found.dtype != data.dtype:  # likewise
                state[name] = _laid_out_as(data, found)
        return fresh

    def _numbers(self, p: Tensor) -> dict[str, float]:
        """The numbers of ``p``'s state."""
        state = self.state.get(p, {})
        return {name: float(state.get(name, first)) for name, first in self.numbers.items()}

    def _advance(
        self, number: int, names: tuple[str, ...], params: Sequence[Tensor], fresh: bool
    ) -> Options:
        """Count an update of ``params`` in their state and return the rule's options for it.

        Args:
            number: number of their group.
            names: names of the state arrays that the update uses.
            params: parameters that share their options.
            fresh: see :class:`Rule`.

        Raises:
            NotImplementedError: the update is being recorded by code that cannot ask for options in
                each replay, or the options need other state than during the recording.
        """
        kind, group = type(self).__name__, self.param_groups[number]
        if capture.is_recording():
            raise NotImplementedError(f"{kind}: no CUDA kernel for these parameters")
        if self.active_slots(group) != names:
            raise NotImplementedError(f"{kind}: options that need other state than when recorded")
        before, after = None, dict[str, float]()
        for p in params if self.numbers else ():
            state = self.state.setdefault(p, {})
            found = [*map(state.get, self.numbers)]
            if found != before:  # nearly always those of the last parameter
                before, after = found, self.advanced(group, self._numbers(p))
            for name, x in after.items():
                state[name] = _kept(name, x)
        now = {**group, **self._numbers(params[0]), "fresh": fresh}
        return {name: _plain(now[name]) for name in self.rule.options}

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter number, in PyTorch's form: {"state": …, "param_groups": …}.

        Arrays share memory with the optimiser's.
        """
        numbers = {id(p): i for i, p in enumerate(self._parameters())}
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {
            "state": {numbers[id(p)]: dict(s) for p, s in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load state and options saved by ``state_dict``, or by PyTorch's optimiser of the same
        name, for the same parameters. Arrays are copied.

        Raises:
            ValueError: groups, shapes or names do not match. Nothing has changed then.
        """
        absent = {"state", "param_groups"} - set(check.mapping("state_dict", state_dict))
        if absent:
            raise ValueError(f"state_dict: expected keys state and param_groups, no {absent}")
        states = check.mapping("state_dict: state", state_dict["state"])
        saved_groups = check.items("state_dict: param_groups", state_dict["param_groups"], "dicts")
        saved_numbers = [_numbers_of(group) for group in saved_groups]
        sizes = [len(numbers) for numbers in saved_numbers]
        expected = [len(group["params"]) for group in self.param_groups]
        if sizes != expected:
            raise ValueError(f"state_dict: expected groups of {expected} parameters, got {sizes}")
        if unknown := [*states.keys() - {n for numbers in saved_numbers for n in numbers}]:
            raise ValueError(
                f"state_dict: state: expected parameters of the groups, got {unknown[:5]}"
            )
        groups, state = [], {}
        for group, saved, numbers in zip(
            self.param_groups, saved_groups, saved_numbers, strict=True
        ):
            known = {k: saved[k] for k in (*SCHEDULED, *self.defaults) if k in saved}
            groups.append({**group, **known})
            self.check_options(groups[-1])
            for number, p in zip(numbers, group["params"], strict=True):
                if number in states:
                    state[p] = self._loaded(p, groups[-1], number, states[number])
        self.param_groups, self.state = groups, state

    def _loaded(
        self, p: Tensor, group: dict[str, Any], number: int, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A checked copy of a saved state of ``p``."""
        what = f"state_dict: state of parameter {number}"
        check.mapping(what, saved)
        saved = {k: v for k, v in saved.items() if v is not None}  # unused in PyTorch
        arrays = {k: raw(v) for k, v in saved.items() if k not in ("step", *self.numbers)}
        needed = {*self.active_slots(group), *self.numbers}
        absent, unknown = needed - set(saved), set(arrays) - set(self.slots)
        if absent or unknown:
            raise ValueError(f"{what}: expected {sorted(needed)}, got {sorted(map(str, saved))}")
        for name, array in arrays.items():
            if problem := misfit(array, p.shape):
                raise ValueError(f"{what}: {name}: {problem}")
        numbers = {name: _number(f"{what}: {name}", saved[name]) for name in self.numbers}
        return {name: _kept(name, number) for name, number in numbers.items()} | {
            name: _laid_out_as(p.data, array) for name, array in arrays.items()
        }

    def _parameters(self) -> Iterable[Tensor]:
        return (p for group in self.param_groups for p in group["params"])


def _check_updatable(p: Tensor, gradient: Tensor) -> None:
    """``p`` must be floating, dense and writable, and ``gradient`` must match it, as its data may
    have been replaced."""
    data, g = p.data, gradient.data
    alike = type(data) is type(g) is np.ndarray and g.dtype == data.dtype and g.shape == data.shape
    if alike and data.flags.carray and data.dtype.kind == "f":  # in C order, and writable
        return  # nearly always, and quick to tell
    check.floating("params", p)
    check_gradient("grad", p, gradient)
    if not _is_dense(p.data):
        raise NotImplementedError(
            f"params: a parameter must fill its memory without gaps or overlaps, got shape "
            f"{p.shape} with strides {p.data.strides}"
        )
    check.writable("params", p)


def _numbers_of(group: Any) -> list[Any]:
    """The distinct parameter numbers of a saved group."""
    what = "state_dict: params"
    entries = check.mapping("state_dict: a group", group).get("params")
    numbers = [check.integer(what, n, 0) for n in check.items(what, entries, "numbers")]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"{what}: expected numbers that differ, got {check.shown(numbers)}")
    return numbers


def _number(name: str, value: Any) -> float:
    """A saved number of the state, possibly in an array of one element, as in PyTorch."""
    array, whole = raw(value), name.endswith(": step")
    if array.size != 1 or array.dtype.kind not in "iuf":
        what = "whole number" if whole else "number"
        raise ValueError(f"{name}: expected a {what}, got {check.shown(value)}")
    number = float(array.item())
    if not whole:
        return check.number(name, number, 0)
    if not number.is_integer():
        raise ValueError(f"{name}: expected a whole number, got {check.shown(value)}")
    return check.integer(name, int(number), 0)


def _kept(name: str, number: float) -> Any:
    """A number in the form of the state: steps as an int, other numbers as a float32 array of one
    element, as in PyTorch, so that they are saved and loaded like arrays."""
    return int(number) if name == "step" else np.array(number, np.float32)


def _is_dense(x: Array) -> bool:
    """Whether the elements of ``x`` fill their memory without gaps, in any order of axes."""
    gap = x.itemsize
    for stride, size in sorted(zip(x.strides, x.shape, strict=True)):
        if size != 1 and stride != gap:
            return x.size == 0
        gap *= size
    return True


def _laid_out_as(like: Array, values: Array) -> Array:
    """A copy of ``values`` with the dtype, device and memory order of ``like``."""
    array = get_xp(like).empty_like(like)
    array[...] = move(values, device_of(like))
    return array


def _plain(value: Any) -> Any:
    """An option as Python numbers. NumPy's float32 would round 1 − β badly for β close to 1, and
    its float64 would change the dtype of the result."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value if value is None or isinstance(value, (bool, str)) else float(value)


def unsupported(**options: Any) -> None:
    """Refuse PyTorch's implementation switches, which have no meaning here."""
    for name, value in options.items():
        check.unsupported(name, value, None, False)
