"""A recipe's training in PyTorch: optimiser, schedule and loss, written with torch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.recipes.optimizers import step_schedules
from cifar.recipes.recipe import Lookahead
from cifar.training.run import leave_groups
from cifar.twins import reference

Mask = Callable[[tuple[int, ...], float], Any]


class Training:
    """The twin of a recipe's model and its training. All arguments and results are NumPy arrays.

    Args:
        recipe: the recipe.
        counts: number of training images of each class.
        dtype: "float32" or "float64".
        device: PyTorch's name of the device, "cpu" or "cuda:N".
        threads: number of threads of PyTorch's operations on the CPU; None for no change.
        steps: number of steps of an epoch.
        memory_format: memory format of the model and of images.

    Attributes:
        model: the model; its weights are random until :meth:`load`.
        optimizers, schedules: those of the current epoch, one for each part of the parameters.
        average: the average of a recipe with a lookahead, by name.
    """

    optimizers: list[torch.optim.Optimizer]
    schedules: list[Any]
    average: dict[str, Tensor]

    def __init__(
        self,
        recipe: Recipe,
        counts: Sequence[int],
        dtype: str = "float32",
        device: str = "cpu",
        threads: int | None = None,
        steps: int = 1,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.recipe, self.threads, self.steps, self.done = recipe, threads, steps, 0
        self.memory_format = memory_format
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        if self.device.type == "cuda":
            # By default PyTorch rounds a convolution's inputs to 10 bits on a GPU.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        model = reference.create(recipe.model, len(counts), **recipe.model_options)
        self.model = model.to(self.device, self.dtype)
        self.model.to(memory_format=memory_format)  # type: ignore[call-overload]
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.objective = make_objective(recipe, self.model, counts)

    def load(self, state: Mapping[str, Any]) -> None:
        """Load weights and running statistics (arrays by name)."""
        self.model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}

    @property
    def lr(self) -> float:
        """The current learning rate."""
        return float(self.optimizers[0].param_groups[0]["lr"])

    def start_epoch(self, epoch: int) -> None:
        """Before epoch ``epoch``, counted from 0: create a new optimiser if it is the first or a
        restart."""
        named = dict(self.model.named_parameters())
        if epoch in (0, *dict(self.recipe.restarts)):
            self.optimizers, self.schedules = make_optimizers(self.recipe, named, self.steps, epoch)
        leave_groups(self.recipe, named, epoch)
        self.model.train()

    def step(self, images: Any, labels: Any) -> tuple[float, Any]:
        """Update the model from images (N, 3, 32, 32) and labels (N,); returns the loss and the
        logits (N, C) before the update."""
        with num_threads(self.threads):
            logits = self.model(self.images(images))
            loss = self.objective(logits, torch.as_tensor(labels, device=self.device))
            self.model.zero_grad()
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
            if self.recipe.schedule_every == "step":
                self._step_schedules()
            self.done += 1
            if self.recipe.lookahead is not None:
                self._look_ahead(self.recipe.lookahead)
            return loss.item(), logits.detach().cpu().numpy()  # item() waits for a GPU

    def end_epoch(self, val_loss: float) -> None:
        """After an epoch: step the schedules, which may depend on the validation loss."""
        if self.recipe.schedule_every == "epoch":
            self._step_schedules(val_loss)

    def _step_schedules(self, val_loss: float = 0.0) -> None:
        step_schedules(self.schedules, val_loss, torch.optim.lr_scheduler.ReduceLROnPlateau)

    @torch.no_grad()
    def _look_ahead(self, options: Lookahead) -> None:
        """Update the lookahead's average and the model, if it is due."""
        total = self.recipe.epochs * self.steps
        decays = []
        if self.done % options.every == 0:
            decays.append(options.decay_at(self.done, total))
        if self.done == total:
            decays.append(1.0)
        for decay in decays:
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    value.copy_(self.average[name].lerp_(value, 1 - decay))

    def evaluate(self, batches: Iterable[tuple[Any, Any]]) -> tuple[float, float]:
        """Mean cross-entropy (and the L2 term) and accuracy over (images, labels), in evaluation
        mode."""
        self.model.eval()
        loss, correct, seen = 0.0, 0, 0
        with num_threads(self.threads), torch.no_grad():
            for images, labels in batches:
                logits = self.model(self.images(images))
                target = torch.as_tensor(labels, device=self.device)
                loss += F.cross_entropy(logits, target, reduction="sum").item()
                correct += int((logits.argmax(1) == target).sum())
                seen += len(target)
            term = float(penalty(self.model, self.recipe.l2)) if self.recipe.l2 else 0.0
        return loss / seen + term, correct / seen

    def gradients(self) -> dict[str, Any]:
        """The last step's gradients by parameter name."""
        grads = ((name, p.grad) for name, p in self.model.named_parameters())
        return {name: grad.cpu().numpy() for name, grad in grads if grad is not None}

    def weights(self) -> dict[str, Any]:
        """The parameters by name, on the CPU; not copied if the model is on the CPU."""
        named = self.model.named_parameters()
        return {name: p.detach().cpu().numpy() for name, p in named}

    def share_masks(self, mask: Mask) -> None:
        """From now on, every dropout layer multiplies by ``mask(shape, p)`` in training: an array
        with zeros, of probability p, and 1 / (1 − p)."""

        def masked(layer: nn.Dropout, args: tuple[Tensor], own: Tensor) -> Tensor:
            (x,) = args
            if not layer.training or layer.p == 0:
                return own
            return x * torch.as_tensor(mask(tuple(x.shape), layer.p)).to(x)

        for layer in self.model.modules():
            if isinstance(layer, nn.Dropout):
                layer.register_forward_hook(masked)

    def images(self, images: Any) -> Tensor:
        """The array on the model's device, in its dtype and memory format."""
        moved = torch.as_tensor(images).to(self.device, self.dtype)
        return moved.contiguous(memory_format=self.memory_format)


def find_device(kind: str, index: int = 0) -> str:
    """PyTorch's name for the CPU ("cpu") or a GPU ("gpu").

    Raises:
        UserError: the installed PyTorch cannot use that GPU.
    """
    if kind == "cpu":
        return kind
    if index >= torch.cuda.device_count():
        raise UserError(
            f"device: PyTorch {torch.__version__} sees {torch.cuda.device_count()} GPUs, not "
            f"gpu:{index}; install a build of it for CUDA, or choose --device cpu"
        )
    return f"cuda:{index}"


def gpu_name(device: str) -> str | None:
    """The model of the device "cuda:N"; None for the CPU."""
    return None if device == "cpu" else torch.cuda.get_device_name(device)


@contextmanager
def num_threads(threads: int | None) -> Iterator[None]:
    """Run PyTorch's operations on this many threads; None changes nothing."""
    before = torch.get_num_threads()
    if threads in (None, before):
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---------------------------------------------------------------------------- optimiser, schedule


class Muon(torch.optim.Optimizer):
    """Muon, because torch's own iterates in bfloat16 and takes matrices only."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Jordan et al., *Muon*, 2024; filters as in the code of arXiv 2404.00498."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad, group)

    def _update(self, p: nn.Parameter, g: Tensor, group: dict[str, Any]) -> None:
        b = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
        b.lerp_(g, 1 - group["momentum"])
        x = (g.lerp(b, group["momentum"]) if group["nesterov"] else b).flatten(1)
        rows, columns = x.shape
        x = x / x.norm().clamp(min=1e-7)
        for _ in range(group["ns_steps"]):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        if group["normalize_weight"]:
            p.mul_(rows**0.5 / p.norm())
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(group["lr"] * max(1, rows / columns) ** 0.5 * x.view_as(p))


def make_optimizers(
    recipe: Recipe, parameters: Mapping[str, nn.Parameter], steps: int, epoch: int
) -> tuple[list[torch.optim.Optimizer], list[Any]]:
    """The recipe's optimisers of the named parameters, their moments empty, and their schedules
    (None for a constant rate)."""
    optimizers: list[torch.optim.Optimizer] = []
    schedules: list[Any] = []
    trained = [name for name, p in parameters.items() if p.requires_grad]
    for part in recipe.parts(trained, steps, epoch):
        kind = Muon if part.optimizer == "Muon" else getattr(torch.optim, part.optimizer)
        own = [parameters[name] for name in part.parameters]
        optimizers.append(kind(own, lr=part.lr, **part.optimizer_options))
        schedule = part.schedule and getattr(torch.optim.lr_scheduler, part.schedule)
        schedules.append(schedule(optimizers[-1], **part.schedule_options) if schedule else None)
    return optimizers, schedules


# ---------------------------------------------------------------------------- loss


def make_objective(
    recipe: Recipe, model: nn.Module, counts: Sequence[int]
) -> Callable[[Tensor, Tensor], Tensor]:
    """The training loss of (logits, labels): the recipe's loss and its L2 term, a scalar.

    Args:
        counts: training images of each class, for class-balanced weights.
    """
    weight = None
    if recipe.class_balance is not None:
        like = next(model.parameters())
        weight = class_balanced_weights(counts, recipe.class_balance).to(like)

    def objective(logits: Tensor, labels: Tensor) -> Tensor:
        if recipe.loss == "focal_loss":
            loss = focal_loss(logits, labels, recipe.gamma, weight)
        else:
            loss = F.cross_entropy(
                logits,
                labels,
                weight,
                reduction=recipe.reduction,
                label_smoothing=recipe.label_smoothing,
            )
        return loss + penalty(model, recipe.l2) if recipe.l2 else loss

    return objective


def focal_loss(logits: Tensor, labels: Tensor, gamma: float, weight: Tensor | None) -> Tensor:
    """Mean of −w (1 − p)^γ ln p over the weights w of the true classes, p the softmax probability
    of the true class (Lin et al., ICCV 2017).

    Args:
        logits: (N, C).
        labels: class indices (N,).
        weight: (C,), or None for equal weights.
    """
    log_p = F.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    w = torch.ones_like(log_p) if weight is None else weight[labels]
    return -(w * (-torch.expm1(log_p)) ** gamma * log_p).sum() / w.sum()


def class_balanced_weights(counts: Sequence[int], beta: float) -> Tensor:
    """(1 − β) / (1 − β^n) for a class of n images, scaled to sum to the number of classes; float64
    (Cui et al., CVPR 2019, eq. 4)."""
    n = torch.tensor(counts, dtype=torch.float64)
    weights = (1 - beta) / (1 - beta**n)
    return weights * len(n) / weights.sum()


def penalty(model: nn.Module, factor: float) -> Tensor:
    """``factor`` times the sum of squares of all 3 x 3 kernels: a scalar."""
    squares = [p.square().sum() for p in model.parameters() if p.shape[2:] == (3, 3)]
    return factor * torch.stack(squares).sum()
