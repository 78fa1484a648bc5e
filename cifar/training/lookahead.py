"""Lookahead: a running average of a model's weights that replaces them at intervals."""

from __future__ import annotations

import minigrad as mg
from cifar.recipes.recipe import Lookahead

swa_utils = mg.optim.swa_utils


class Average:
    """The average of :class:`cifar.recipes.recipe.Lookahead`, which starts as a copy of the model.

    Args:
        model: its weights and running statistics are averaged; counters are not.
        options: the settings.
        steps: number of steps of the whole training.
    """

    def __init__(self, model: mg.nn.Module, options: Lookahead, steps: int) -> None:
        self.options, self.steps = options, steps
        self._averaged = swa_utils.AveragedModel(model, use_buffers=True)
        self._averaged.update_parameters(model)

    def state_dict(self) -> dict[str, mg.Tensor]:
        """The averaged values, by the model's names. The arrays are not copied."""
        state = self._averaged.module.state_dict()
        return {name: value for name, value in state.items() if value.dtype.kind == "f"}

    def load_state_dict(self, state: dict[str, mg.Tensor]) -> None:
        """Load the result of :meth:`state_dict`."""
        whole = self._averaged.module.state_dict()
        if state.keys() != self.state_dict().keys():
            raise ValueError("average: expected the model's weights")
        self._averaged.module.load_state_dict(whole | state)

    def after_step(self, model: mg.nn.Module, step: int) -> None:
        """Update average and model after step ``step``, counted from 1, if it is due."""
        if step % self.options.every == 0:
            self._pull(model, self.options.decay_at(step, self.steps))
        if step == self.steps:
            self._pull(model, 1.0)

    def _pull(self, model: mg.nn.Module, decay: float) -> None:
        self._averaged.multi_avg_fn = swa_utils.get_ema_multi_avg_fn(decay)
        self._averaged.update_parameters(model)
        current = model.state_dict()
        for name, value in self.state_dict().items():
            current[name].data[...] = value.data
