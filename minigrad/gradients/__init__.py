"""Gradients as functions: :func:`grad`, and the recording of gradients to differentiate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import check
from ..device import get_xp
from ..tensor import Tensor, backward_of, end_of, sweep, wanted_of
from . import recorded  # noqa: F401  # registers itself

Tensors = Sequence[Tensor]


def grad(
    outputs: Tensor | Tensors,
    inputs: Tensor | Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """Σ grad_output · doutput/dinput for each of ``inputs``; no tensor's ``grad`` changes.

    Only the graph between ``outputs`` and ``inputs`` is computed, and freed. Hooks are called, and
    results with :meth:`Tensor.retain_grad` get their ``grad``.

    Args:
        outputs: a Tensor or several.
        inputs: leaves or results that require gradients.
        grad_outputs: the gradient of each output, with its shape, dtype and device; None means 1,
            for an output with one element.
        retain_graph: keep the graph for another call (default: the value of ``create_graph``).
        create_graph: record how the gradients are computed, so that they can be differentiated.
        only_inputs: True.
        allow_unused: return None for an input on which no output depends, instead of raising
            (default: the value of ``materialize_grads``).
        is_grads_batched: not supported.
        materialize_grads: return zeros for such an input.

    Returns:
        A gradient for each input, with its shape and dtype.

    Raises:
        RuntimeError: an output or input does not require gradients, an output with several elements
            has no ``grad_output``, an input is not used, or the graph has been freed.
        NotImplementedError: with ``create_graph``, the derivative of an operation cannot be
            differentiated; the message names the operation.
    """
    check.unsupported("only_inputs", only_inputs, True)
    check.unsupported("is_grads_batched", is_grads_batched, False)
    materialize = check.boolean("materialize_grads", materialize_grads)
    if allow_unused is None:
        allow_unused = materialize
    elif not check.boolean("allow_unused", allow_unused) and materialize:
        raise ValueError("allow_unused: expected True or None with materialize_grads, got False")
    ys, seeds = _outputs("grad", "outputs", "grad_outputs", outputs, grad_outputs)
    xs = wanted_of("grad", inputs)
    gradients = sweep("grad", ys, seeds, retain_graph, create_graph, xs)
    results: list[Any] = []
    for i, x in enumerate(xs):
        gradient = gradients.get(end_of(x))
        if gradient is None and not allow_unused:
            raise RuntimeError(
                f"grad: inputs: no output depends on number {i}; "
                "allow_unused=True gives None for it"
            )
        if gradient is not None:
            results.append(gradient.tensor(Tensor))
        else:
            results.append(Tensor(get_xp(x.data).zeros_like(x.data)) if materialize else None)
    return tuple(results)


def backward(
    tensors: Tensor | Tensors,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: None = None,
    inputs: Tensor | Tensors | None = None,
) -> None:
    """:meth:`Tensor.backward` of several tensors in one pass.

    Args:
        tensors: a Tensor or several.
        grad_tensors: the gradient of each; None means 1, for a tensor with one element.
        retain_graph, create_graph, inputs: as in :meth:`Tensor.backward`.
        grad_variables: not supported; PyTorch's old name for ``grad_tensors``.
    """
    check.unsupported("grad_variables", grad_variables, None)
    ys, seeds = _outputs("backward", "tensors", "grad_tensors", tensors, grad_tensors)
    backward_of(ys, seeds, retain_graph, create_graph, inputs)


def _outputs(
    caller: str, name: str, seeds_name: str, outputs: Any, seeds: Any
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Results and their gradients, as lists of one length."""
    ys = [outputs] if isinstance(outputs, Tensor) else check.items(name, outputs, "Tensors")
    for y in ys:
        check.tensor(name, y)
    if not ys:
        raise RuntimeError(f"{caller}: {name}: expected at least one Tensor, got none")
    if seeds is None:
        return ys, [None] * len(ys)
    gradients = [seeds] if isinstance(seeds, Tensor) else check.items(seeds_name, seeds, "Tensors")
    if len(gradients) != len(ys):
        raise RuntimeError(
            f"{caller}: {seeds_name}: expected one for each of {len(ys)} tensors, "
            f"got {len(gradients)}"
        )
    return ys, gradients


__all__ = ["backward", "grad"]
