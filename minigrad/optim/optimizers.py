"""Optimisers with PyTorch's names, update rules and state.

A rule is written once, on one-dimensional blocks of a parameter p, its gradient g and its state:
the engine runs it over cache-sized blocks of all parameters in parallel, so each value is read from
memory once per step however many passes the formula takes. On a GPU it is one CUDA kernel for all
parameters that share their options.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import check
from ..cpu.compiled import kernels
from ..cpu.elementwise import scratch, update
from ..device import Array, device, device_of, get_xp, move
from ..gpu import capture
from ..gpu import launch as cuda
from ..nn.module import misfit, raw
from ..tensor import Tensor, check_gradient

Rule = Callable[..., None]
Numbers = tuple[float, ...]

THREADS, CHUNK = 256, 2048  # of a block of kernels/optim.cu, and elements that it takes


class Optimizer:
    """Base of the optimisers: parameter groups, state, saving.

    Args:
        params: parameters, or dicts with a "params" entry and options that differ from the rest.
        defaults: the options of every group that does not set its own.

    Attributes:
        param_groups: list of dicts: "params" and the options in force; change "lr" there.
        state: parameter → dict of state arrays, and "step" (updates so far) where the rule needs
            it, under PyTorch's names.
    """

    slots: tuple[str, ...] = ()  # names of all state arrays
    counts_steps = True

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
        """Add parameters under "params" with options of their own."""
        unknown = [
            name
            for name in check.mapping("param_group", param_group)
            if name not in ("params", "initial_lr", *self.defaults)
        ]
        if unknown:
            raise ValueError(f"params: unknown group options {sorted(map(str, unknown))}")
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
        for name in ("lr", "initial_lr", "weight_decay"):
            if name in group:  # a subclass may have none
                check.number(name, group[name], 0)
        for name in ("maximize", "nesterov", "centered", "decoupled_weight_decay"):
            if name in group:
                check.boolean(name, group[name])

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the state arrays that ``group``'s options need."""
        return self.slots

    def rule(self, group: dict[str, Any], step: int, fresh: bool) -> Rule:
        """The update of one block: ``function(p, g, *state)``, in place except for g.

        Args:
            group: the options.
            step: number of this update of the parameter, from 1 (0 if the rule counts none).
            fresh: whether its state arrays are new, filled with zeros.
        """
        raise NotImplementedError

    def kernel(self, group: dict[str, Any], step: int, fresh: bool) -> tuple[str, Numbers] | None:
        """The same update as a kernel of kernels/optim.cu and its numbers; None if there is none.

        Parameters of a group whose name and numbers are equal are updated in one launch.
        """
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        check.unsupported("set_to_none", set_to_none, True)
        for p in self._parameters():
            p.grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: called first, to compute the gradients anew; its result is returned.

        Raises:
            TypeError, ValueError, NotImplementedError: an option, a gradient or a parameter that
                cannot be used. Nothing has changed then.
        """
        loss = None if closure is None else check.function("closure", closure)()
        for group in self.param_groups:
            self.check_options(group)
            for p in group["params"]:
                if p.grad is not None:
                    _check_updatable(p, p.grad)
        jobs, launches = [], _Launches()
        for number, group in enumerate(self.param_groups):
            names = self.active_slots(group)
            # Nearly always all parameters of a group are at the same step.
            kernel_of = functools.cache(functools.partial(self.kernel, group))
            rule_of = functools.cache(functools.partial(self.rule, group))
            for p in group["params"]:
                if p.grad is not None:
                    fresh = self._prepare(p, names)
                    state = self.state.get(p, {})
                    arrays = (p.data, p.grad.data, *(state[name] for name in names))
                    when = state.get("step", 0), fresh
                    kernel = kernel_of(*when) if cuda.usable(p.data) else None
                    if kernel is None:
                        jobs.append((rule_of(*when), arrays))
                    else:
                        launches.add((number, *kernel), p, arrays)
        if jobs and capture.is_recording():
            raise NotImplementedError(f"{type(self).__name__}: no CUDA kernel for these parameters")
        update(jobs)
        launches.run(self._next)
        return loss

    def _prepare(self, p: Tensor, names: tuple[str, ...]) -> bool:
        """Count the step and see that ``names`` are in ``p``'s state, laid out as ``p`` is; returns
        whether any of them is new."""
        if not names and not self.counts_steps:
            return False
        state = self.state.setdefault(p, {})
        fresh = False
        for name in names:
            if name not in state:
                state[name], fresh = get_xp(p.data).zeros_like(p.data), True
            elif state[name].strides != p.data.strides:  # p.data has been replaced
                state[name] = _laid_out_as(p.data, state[name])
        if self.counts_steps and not capture.is_recording():  # a recorded step is not a step
            state["step"] = state.get("step", 0) + 1
        return fresh

    def _next(self, number: int, params: Sequence[Tensor]) -> Numbers:
        """Count a replay of a recorded update of ``params``, of that group, and give its numbers,
        which are the same for all."""
        for p in params:
            if self.counts_steps:
                self.state[p]["step"] += 1
        step = self.state.get(params[0], {}).get("step", 0)
        kernel = self.kernel(self.param_groups[number], step, fresh=False)
        assert kernel is not None  # it has been recorded
        return kernel[1]

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter number, in PyTorch's form: {"state": …, "param_groups": …}.

        Arrays are the live ones, not copies.
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
        """Take over state and options saved by ``state_dict``, or by PyTorch's optimiser of the
        same name, for the same parameters; arrays are copied.

        Raises:
            ValueError: groups, shapes or names that do not fit. Nothing has changed then.
        """
        absent = {"state", "param_groups"} - set(check.mapping("state_dict", state_dict))
        if absent:
            raise ValueError(f"state_dict: expected keys state and param_groups, no {absent}")
        states = check.mapping("state_dict: state", state_dict["state"])
        saved_groups = check.items("state_dict: param_groups", state_dict["param_groups"], "dicts")
        came = [_numbers_of(group) for group in saved_groups]
        sizes = [len(numbers) for numbers in came]
        expected = [len(group["params"]) for group in self.param_groups]
        if sizes != expected:
            raise ValueError(f"state_dict: expected groups of {expected} parameters, got {sizes}")
        if unknown := [*states.keys() - {n for numbers in came for n in numbers}]:
            raise ValueError(
                f"state_dict: state: expected parameters of the groups, got {unknown[:5]}"
            )
        groups, state = [], {}
        for group, saved, numbers in zip(self.param_groups, saved_groups, came, strict=True):
            known = {k: saved[k] for k in ("initial_lr", *self.defaults) if k in saved}
            groups.append({**group, **known})
            self.check_options(groups[-1])
            for number, p in zip(numbers, group["params"], strict=True):
                if number in states:
                    state[p] = self._loaded(p, groups[-1], number, states[number])
        self.param_groups, self.state = groups, state

    def _loaded(
        self, p: Tensor, group: dict[str, Any], number: int, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        """``p``'s state from a saved one, checked and copied."""
        what = f"state_dict: state of parameter {number}"
        check.mapping(what, saved)
        saved = {k: v for k, v in saved.items() if v is not None}  # as PyTorch's, where unused
        arrays = {k: raw(v) for k, v in saved.items() if k != "step"}
        needed = {*self.active_slots(group), *(["step"] if self.counts_steps else [])}
        absent, unknown = needed - set(saved), set(arrays) - set(self.slots)
        if absent or unknown:
            raise ValueError(f"{what}: expected {sorted(needed)}, got {sorted(map(str, saved))}")
        for name, array in arrays.items():
            if problem := misfit(array, p.shape):
                raise ValueError(f"{what}: {name}: {problem}")
        steps = {"step": _steps(f"{what}: step", saved["step"])} if self.counts_steps else {}
        return steps | {name: _laid_out_as(p.data, array) for name, array in arrays.items()}

    def _parameters(self) -> Iterable[Tensor]:
        return (p for group in self.param_groups for p in group["params"])


class _Launches:
    """Updates by CUDA kernels, gathered into as few launches as may be."""

    def __init__(self) -> None:
        self.members: dict[Any, list[tuple[Tensor, tuple[Array, ...]]]] = {}

    def add(
        self, kernel: tuple[int, str, Numbers], parameter: Tensor, arrays: tuple[Array, ...]
    ) -> None:
        """One parameter's update.

        Args:
            kernel: number of the group, kernel and numbers.
            arrays: the parameter, its gradient (in any order of axes), its state.
        """
        p, g, *state = arrays
        g = g if g.strides == p.strides else _laid_out_as(p, g)
        key = kernel, p.dtype, str(p.device)
        self.members.setdefault(key, []).append((parameter, (p, g, *state)))

    def run(self, again: Callable[[int, Sequence[Tensor]], Numbers]) -> None:
        """Launch; if that is being recorded, ``again(group, parameters)`` gives the numbers of
        each replay."""
        for ((group, name, numbers), dtype, _), members in self.members.items():
            parameters, every = zip(*members, strict=True)
            where = device_of(every[0][0])
            sizes, starts, blocks = _chunks(tuple(arrays[0].size for arrays in every), where)
            capture.keep(sizes, starts)
            slots = [array for slot in zip(*every, strict=True) for array in slot]
            later = partial(again, group, parameters)
            function = later if capture.is_recording() else partial(tuple, numbers)
            values = capture.varying(function, len(numbers), dtype, where.xp)
            args = (slots, sizes, starts, len(members), values)
            cuda.launch("optim", name, blocks, THREADS, args, REAL=dtype, CHUNK=CHUNK)


@functools.lru_cache(maxsize=16)
def _chunks(sizes: tuple[int, ...], where: device) -> tuple[Array, Array, int]:
    """The parameters' sizes and first blocks on the device, and the number of blocks."""
    starts = np.cumsum([0, *(cuda.blocks(size, CHUNK) for size in sizes)])
    device_arrays = (move(a, where) for a in (np.array(sizes, np.int64), starts.astype(np.int32)))
    return (*device_arrays, int(starts[-1]))


def _check_updatable(p: Tensor, gradient: Tensor) -> None:
    """``p`` must be floating, dense and writable, ``gradient`` like it: its data may have been
    replaced since it came."""
    check.floating("params", p)
    check_gradient("grad", p, gradient)
    if not _is_dense(p.data):
        raise NotImplementedError(
            f"params: a parameter must fill its memory without gaps or overlaps, got shape "
            f"{p.shape} with strides {p.data.strides}"
        )
    check.writable("params", p)


def _numbers_of(group: Any) -> list[Any]:
    """The parameters' numbers in a saved group, each once."""
    what = "state_dict: params"
    entries = check.mapping("state_dict: a group", group).get("params")
    numbers = [check.integer(what, n, 0) for n in check.items(what, entries, "numbers")]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"{what}: expected numbers that differ, got {check.shown(numbers)}")
    return numbers


def _steps(name: str, value: Any) -> int:
    """A saved count of steps: a whole number, perhaps in an array of one float, as PyTorch's."""
    array = raw(value)
    if array.size != 1 or array.dtype.kind not in "iuf" or not float(array.item()).is_integer():
        raise ValueError(f"{name}: expected a whole number, got {check.shown(value)}")
    return check.integer(name, int(array.item()), 0)


def _is_dense(x: Array) -> bool:
    """Whether the elements of ``x`` lie next to each other in memory, in whatever order of axes."""
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


def _numbers(group: dict[str, Any], *names: str) -> Numbers:
    """Options as Python floats, in which all that follows from them is computed: 1 − β in float32,
    where β may be close to 1, would be mostly rounding."""
    return tuple(float(group[name]) for name in names)


def _sign(group: dict[str, Any]) -> float:
    return -1.0 if group["maximize"] else 1.0


def _decayed(p: Array, g: Array, decay: float, sign: float) -> Array:
    """±g + λ p in scratch (L2 regularisation as PyTorch's ``weight_decay``), or g itself."""
    if decay == 0 and sign == 1:
        return g
    d = scratch("decayed", p)
    xp = get_xp(p)
    xp.multiply(p, decay, out=d)
    return xp.subtract(d, g, out=d) if sign < 0 else xp.add(d, g, out=d)


def _move_towards(mean: Array, g: Array, keep: float, take: float, t: Array) -> None:
    """mean ← keep mean + take g with keep + take = 1, in place, in whichever form rounds the
    smaller part (PyTorch's ``lerp_``)."""
    xp = get_xp(g)
    xp.subtract(g, mean, out=t)
    if take < 0.5:
        t *= take
        mean += t
    else:
        t *= keep
        xp.subtract(g, t, out=mean)


def _unsupported(**options: Any) -> None:
    """PyTorch's implementation switches, which have no meaning here, must be left alone."""
    for name, value in options.items():
        check.unsupported(name, value, None, False)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al., ICML 2013, in PyTorch's form).

    g ← g + λ p;  b ← μ b + (1 − τ) g (b ← g at first);  p ← p − η b, or η (g + μ b) with Nesterov.

    Args:
        params: see :class:`Optimizer`.
        lr, momentum, dampening, weight_decay: η, μ, τ, λ.
        nesterov: needs momentum > 0 and dampening 0.
        maximize: ascend.
    """

    slots = ("momentum_buffer",)
    counts_steps = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: None = None,
        differentiable: bool = False,
        fused: None = None,
    ) -> None:
        _unsupported(foreach=foreach, differentiable=differentiable, fused=fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        check.number("momentum", group["momentum"], 0)
        check.number("dampening", group["dampening"], -math.inf)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("nesterov: needs momentum > 0 and dampening 0")

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.slots if group["momentum"] else ()

    def kernel(self, group: dict[str, Any], step: int, fresh: bool) -> tuple[str, Numbers]:
        names = ("lr", "momentum", "dampening", "weight_decay")
        lr, momentum, dampening, decay = _numbers(group, *names)
        take = 1 if fresh else 1 - dampening  # of zeros nothing is kept
        return "sgd", (lr, momentum, take, decay, _sign(group), group["nesterov"])

    def rule(self, group: dict[str, Any], step: int, fresh: bool) -> Rule:
        _, (*numbers, nesterov) = self.kernel(group, step, fresh)
        lr, momentum, take, decay, sign = numbers

        def apply(p: Array, g: Array, b: Array | None = None) -> None:
            fast = kernels("optim", p.dtype) if isinstance(p, np.ndarray) else None
            if fast and b is not None and not fresh:
                fast.sgd(p, g, b, *map(p.dtype.type, numbers), nesterov)
                return
            xp, t = get_xp(p), scratch("update", p)
            g = _decayed(p, g, decay, sign)
            if b is not None:
                if fresh:
                    b[...] = g
                else:
                    b *= momentum
                    b += xp.multiply(g, take, out=t)
                g = xp.add(g, xp.multiply(b, momentum, out=t), out=t) if nesterov else b
            p -= xp.multiply(g, lr, out=t)

        return apply


class Adam(Optimizer):
    """Adam (Kingma & Ba, ICLR 2015).

    g ← g + λ p;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
    p ← p − η m̂ / (√v̂ + ε)  with  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ).

    Args:
        params: see :class:`Optimizer`.
        lr, betas, eps, weight_decay: η, (β₁, β₂), ε, λ.
        amsgrad: only False is supported.
        decoupled_weight_decay: p ← (1 − η λ) p before the update instead of g ← g + λ p.
        maximize: ascend.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _unsupported(
            foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        check.unsupported("amsgrad", group["amsgrad"], False)
        check.number("eps", group["eps"], 0)
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"betas: expected a pair of numbers, got {check.shown(betas)}")
        for beta in betas:
            if check.number("betas", beta, 0) >= 1:
                raise ValueError(f"betas: expected two numbers in [0, 1), got {betas}")

    def kernel(self, group: dict[str, Any], step: int, fresh: bool) -> tuple[str, Numbers]:
        lr, eps, weight_decay = _numbers(group, "lr", "eps", "weight_decay")
        beta1, beta2 = map(float, group["betas"])
        # With r = √(1 − β₂ᵗ), m̂ / (√v̂ + ε) is m / (√v + ε r) times r / (1 − β₁ᵗ): one pass less.
        root = (1 - beta2**step) ** 0.5
        rate = lr * root / (1 - beta1**step)
        decoupled = group["decoupled_weight_decay"]
        decay = 0 if decoupled else weight_decay
        shrink = 1 - lr * weight_decay if decoupled else 1
        moments = beta1, 1 - beta1, beta2, 1 - beta2
        return "adam", (rate, eps * root, *moments, decay, shrink, _sign(group))

    def rule(self, group: dict[str, Any], step: int, fresh: bool) -> Rule:
        _, numbers = self.kernel(group, step, fresh)
        rate, eps, keep1, take1, keep2, take2, decay, shrink, sign = numbers

        def apply(p: Array, g: Array, m: Array, v: Array) -> None:
            fast = kernels("optim", p.dtype) if isinstance(p, np.ndarray) else None
            if fast:
                fast.adam(p, g, m, v, *map(p.dtype.type, numbers))
                return
            xp, t = get_xp(p), scratch("update", p)
            if shrink != 1:
                p *= shrink
            g = _decayed(p, g, decay, sign)
            _move_towards(m, g, keep1, take1, t)
            xp.multiply(g, g, out=t)
            t *= take2
            v *= keep2
            v += t
            xp.sqrt(v, out=t)
            t += eps
            xp.divide(m, t, out=t)
            t *= rate
            p -= t

        return apply


class AdamW(Adam):
    """Adam with decoupled weight decay, p ← (1 − η λ) p (Loshchilov & Hutter, ICLR 2019)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        check.unsupported("decoupled_weight_decay", group["decoupled_weight_decay"], True)


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton, Coursera lecture 6.5, 2012, in PyTorch's form).

    g ← g + λ p;  v ← α v + (1 − α) g²;  p ← p − η g / (√v + ε), or with momentum
    b ← μ b + g / (√v + ε);  p ← p − η b. ``centered`` takes √(v − ḡ²), ḡ the running mean of g.

    Args:
        params: see :class:`Optimizer`.
        lr, alpha, eps, weight_decay, momentum: η, α, ε, λ, μ.
        centered: divide by the estimated standard deviation.
        maximize: ascend.
    """

    slots = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _unsupported(capturable=capturable, foreach=foreach, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        for name in ("alpha", "eps", "momentum"):
            check.number(name, group[name], 0)

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        momentum = ("momentum_buffer",) if group["momentum"] else ()
        return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))

    def kernel(self, group: dict[str, Any], step: int, fresh: bool) -> tuple[str, Numbers]:
        names = ("lr", "alpha", "eps", "weight_decay", "momentum")
        lr, alpha, eps, decay, momentum = _numbers(group, *names)
        numbers = lr, alpha, 1 - alpha, eps, decay, momentum, _sign(group)
        return "rmsprop", (*numbers, group["centered"])

    def rule(self, group: dict[str, Any], step: int, fresh: bool) -> Rule:
        _, (*numbers, centered) = self.kernel(group, step, fresh)
        lr, keep, take, eps, decay, momentum, sign = numbers

        def apply(p: Array, g: Array, v: Array, *more: Array) -> None:
            fast = kernels("optim", p.dtype) if isinstance(p, np.ndarray) else None
            if fast:
                b = more[0] if momentum else p[:0]
                mean = more[-1] if centered else p[:0]
                fast.rmsprop(p, g, v, b, mean, *map(p.dtype.type, numbers), centered)
                return
            xp, t = get_xp(p), scratch("update", p)
            g = _decayed(p, g, decay, sign)
            xp.multiply(g, g, out=t)
            t *= take
            v *= keep
            v += t
            if centered:
                mean = more[-1]
                _move_towards(mean, g, keep, take, t)
                xp.multiply(mean, mean, out=t)
                xp.sqrt(xp.subtract(v, t, out=t), out=t)
            else:
                xp.sqrt(v, out=t)
            t += eps
            xp.divide(g, t, out=t)
            if momentum:
                b = more[0]
                b *= momentum
                b += t
                xp.multiply(b, lr, out=t)
            else:
                t *= lr
            p -= t

        return apply
