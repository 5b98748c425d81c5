"""PLE: progressive layered extraction (Tang et al. 2020, RecSys); one level is CGC."""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.experts import ProgressiveExtraction
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk, Trunk, build_trunk
from crosstower.recipe.frozen import FrozenModel


@register_model("ple")
class PLE(nn.Module):
    """PLE: task-specific and shared experts, so that conflicting tasks do not disturb each other.

    Tang et al. 2020, section 4. Every expert is a trunk; experts of a higher level read the gates'
    outputs of the level below.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"), ct.Head("like", "binary")),
    ... )
    >>> model = PLE(layout, PLE.Config(specific_experts=1, shared_experts=2))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 2))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2]), 'like': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Options of PLE."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        trunk: Trunk = Field(
            default_factory=MLPTrunk,
            description="Trunk, or only its name: mlp, dcn_v2 or wide_deep.",
        )
        specific_experts: int = Field(default=1, ge=1, description="Per task and level.")
        shared_experts: int = Field(default=1, ge=1, description="Per level, for all tasks.")
        levels: int = Field(default=1, ge=1, description="1 is CGC, customised gate control.")
        tower_hidden: tuple[int, ...] = Field(
            default=(32,), description="Widths of each tower's dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Within the towers.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.specific_experts = config.specific_experts
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.extraction = ProgressiveExtraction(
            self.input.output_width,
            partial(build_trunk, config.trunk),
            tasks=len(layout.heads),
            specific=config.specific_experts,
            shared=config.shared_experts,
            levels=config.levels,
        )
        self.towers = TaskTowers(
            layout,
            config.trunk,
            width=self.extraction.output_width,
            hidden=config.tower_hidden,
            dropout=config.dropout,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        extracted = self.extraction(x0)  # T of [B, H]
        return by_head(self.layout, self.towers(extracted, batch))

    def gates(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: weights of the experts `[B, E]`} of the last level, for B encoded rows.

        The first `specific_experts` of the E experts are the head's own, the others are shared.
        """
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        heads = [head.name for head in self.layout.heads]
        return dict(zip(heads, self.extraction.weights(x0), strict=True))
