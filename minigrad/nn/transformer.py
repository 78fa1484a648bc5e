"""Encoder layers of transformers (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .. import check
from .. import functional as F
from ..options import lacks
from ..tensor import Tensor
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers at every position, each with a residual addition.

    Args:
        d_model: E, the size of each position's vector.
        nhead: the number of heads.
        dim_feedforward: the size between the two linear layers.
        dropout: the probability with which weights and values are dropped in training.
        activation: "relu", "gelu", or a function of a Tensor.
        layer_norm_eps: ε of the two layer norms.
        batch_first: whether batches are (N, L, E) instead of (L, N, E).
        norm_first: whether layer norm comes before each part instead of after its addition.
        bias: whether linear layers and norms have a bias.
    """

    @lacks("device", "dtype")
    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ) -> None:
        check.integer("d_model", d_model, 1)
        check.integer("dim_feedforward", dim_feedforward, 1)
        if d_model % check.integer("nhead", nhead, 1):
            raise ValueError(f"nhead: expected a divisor of {d_model}, got {check.shown(nhead)}")
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias=bias, batch_first=batch_first
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = check.boolean("norm_first", norm_first)
        eps = check.number("layer_norm_eps", layer_norm_eps, 0)
        self.norm1 = LayerNorm(d_model, eps, bias=bias)
        self.norm2 = LayerNorm(d_model, eps, bias=bias)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        if isinstance(activation, str):
            known: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}
            activation = known[check.choice("activation", activation, tuple(known))]
        self.activation = check.function("activation", activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The result for each position, of the same shape.

        Args:
            src: (L, N, E), or (N, L, E) if ``batch_first``; (L, E) for a single example.
            src_mask, src_key_padding_mask, is_causal: as ``attn_mask``, ``key_padding_mask`` and
                ``is_causal`` of :class:`MultiheadAttention`.
        """
        masks = src_key_padding_mask, src_mask, check.boolean("is_causal", is_causal)
        if self.norm_first:
            src = src + self._attend(self.norm1(src), *masks)
            return src + self._feed(self.norm2(src))
        src = self.norm1(src + self._attend(src, *masks))
        return self.norm2(src + self._feed(src))

    def _attend(self, x: Tensor, padding: Any, mask: Any, causal: bool) -> Tensor:
        y, _ = self.self_attn(x, x, x, padding, False, mask, is_causal=causal)
        return self.dropout1(y)

    def _feed(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoder(Module):
    """A stack of copies of an encoder layer.

    Args:
        encoder_layer: the layer to copy, including its weights.
        num_layers: number of copies.
        norm: applied at the end, if given.
        enable_nested_tensor, mask_check: no effect; in PyTorch they affect the speed.
    """

    norm: Module | None

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        check.boolean("enable_nested_tensor", enable_nested_tensor)
        check.boolean("mask_check", mask_check)
        if not isinstance(encoder_layer, Module):
            raise TypeError(f"encoder_layer: expected a Module, got {check.shown(encoder_layer)}")
        self.num_layers = check.integer("num_layers", num_layers, 1)
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        if norm is not None and not isinstance(norm, Module):
            raise TypeError(f"norm: expected a Module or None, got {check.shown(norm)}")
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """All layers in turn, each with the same masks; see :class:`TransformerEncoderLayer`."""
        causal = is_causal is not None and check.boolean("is_causal", is_causal)
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, causal)
        return src if self.norm is None else self.norm(src)
