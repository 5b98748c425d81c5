"""MaskNet: layers behind masks of the embeddings (Wang et al. 2021, arXiv 2102.07619)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.fields import FieldInput
from crosstower.nn.inputs import by_head
from crosstower.nn.mask_block import FieldNorm, MaskBlock
from crosstower.nn.mlp import MLP
from crosstower.recipe.frozen import FrozenModel

_PARALLEL = {"blocks", "block_width"}


@register_model("masknet")
class MaskNet(nn.Module):
    """MaskNet: layers whose inputs are multiplied by masks computed from the row itself.

    Wang et al. 2021, figure 2: a serial MaskNet is a stack of `MaskBlock`s, each over the output of
    the one below; in a parallel one, all blocks read the normalised embeddings, and an MLP reads
    the blocks.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = MaskNet(layout, MaskNet.Config(hidden=(16,)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: from `Config`: an option of parallel blocks in a serial model.

    """

    class Config(FrozenModel):
        """Options of MaskNet."""

        space: ClassVar[dict[str, Any]] = {"reduction_ratio": {"low": 0.5, "high": 2.0}}

        embedding_dim: int = Field(default=16, ge=1, description="D of all fields.")
        structure: Literal["serial", "parallel"] = Field(
            default="serial",
            description="serial: one block above the other; parallel: an MLP over blocks.",
        )
        blocks: int = Field(default=3, ge=1, description="Number of parallel blocks.")
        block_width: int = Field(default=64, ge=1, description="Width of a parallel block.")
        hidden: tuple[int, ...] = Field(
            default=(128, 64),
            min_length=1,
            description="Widths of serial blocks, or of the MLP over parallel ones.",
        )
        reduction_ratio: float = Field(
            default=1.0,
            gt=0,
            description="Width of a mask's hidden layer, as a multiple of the mask's width.",
        )
        dropout: float = Field(
            default=0.1, ge=0, lt=1, description="After each block and dense layer."
        )

        @model_validator(mode="after")
        def _options_mean_something(self) -> Self:
            given = sorted(_PARALLEL & self.model_fields_set)
            if given and self.structure == "serial":
                raise ValueError(f"{', '.join(given)}: only with structure: parallel")
            return self

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = FieldInput(layout, dim=config.embedding_dim)
        self.norm = FieldNorm(len(self.input.names), config.embedding_dim)
        body = _Serial if config.structure == "serial" else _Parallel
        self.body = body(self.input.output_width, config)
        self.head = nn.Linear(self.body.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        fields = self.input(batch.codes, batch.numbers, batch.lists)  # [B, F, D]
        hidden = self.body(self.norm(fields), fields.flatten(1))
        return by_head(self.layout, self.head(hidden))


class _Serial(nn.Module):
    def __init__(self, width: int, config: MaskNet.Config) -> None:
        super().__init__()
        self.blocks = _blocks(width, (width, *config.hidden[:-1]), config.hidden, config)
        self.output_width = config.hidden[-1]

    def forward(self, x: Tensor, embeddings: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, embeddings)
        return x


class _Parallel(nn.Module):
    def __init__(self, width: int, config: MaskNet.Config) -> None:
        super().__init__()
        count, out = config.blocks, config.block_width
        self.blocks = _blocks(width, [width] * count, [out] * count, config)
        self.mlp = MLP(count * out, config.hidden, dropout=config.dropout)
        self.output_width = self.mlp.output_width

    def forward(self, x: Tensor, embeddings: Tensor) -> Tensor:
        return self.mlp(torch.cat([block(x, embeddings) for block in self.blocks], dim=1))


def _blocks(
    embedding_width: int, widths: Sequence[int], outputs: Sequence[int], config: MaskNet.Config
) -> nn.ModuleList:
    """Return a block per width of an input and of an output."""
    return nn.ModuleList(
        MaskBlock(
            embedding_width,
            width,
            output_width=out,
            reduction_ratio=config.reduction_ratio,
            dropout=config.dropout,
        )
        for width, out in zip(widths, outputs, strict=True)
    )
