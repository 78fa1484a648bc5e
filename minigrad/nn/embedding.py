"""Embedding: a table of learnt rows."""

from __future__ import annotations

from .. import check
from .. import functional as F
from ..creation import zeros
from ..ops.embedding import check_options
from ..options import lacks
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """Rows of a table by index; see :func:`minigrad.functional.embedding`.

    Args:
        num_embeddings, embedding_dim: R and D.
        padding_idx: a row that is initially zero and gets no gradient.
        max_norm, norm_type, scale_grad_by_freq, sparse: only PyTorch's defaults are supported.

    Shapes: input (*), int32 or int64; output (*, D); ``weight`` (R, D), initially normal.
    """

    @lacks("device", "dtype")
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> None:
        check_options(max_norm, norm_type, scale_grad_by_freq, sparse)
        self.num_embeddings = check.integer("num_embeddings", num_embeddings, 1)
        self.embedding_dim = check.integer("embedding_dim", embedding_dim, 1)
        if padding_idx is not None:
            check.integer("padding_idx", padding_idx, -num_embeddings, num_embeddings - 1)
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = Parameter(zeros(num_embeddings, embedding_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the rows from the normal distribution, and set that of ``padding_idx`` to zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
