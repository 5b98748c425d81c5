"""MMoE: multi-gate mixture of experts (Ma et al. 2018, KDD)."""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.models.registry import register_model
from crosstower.nn.experts import MultiGateMixture
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk, Trunk, build_trunk
from crosstower.recipe.frozen import FrozenModel


@register_model("mmoe")
class MMoE(nn.Module):
    """MMoE: shared experts, mixed by one gate per task.

    Ma et al. 2018, equations 6 and 7: the input of task k's tower is Σ_i g_k(x)_i · f_i(x), with
    g_k(x) = softmax(W_k x). Every expert f_i is a trunk.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"), ct.Head("like", "binary")),
    ... )
    >>> model = MMoE(layout, MMoE.Config(experts=3))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 2))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2]), 'like': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    """

    class Config(FrozenModel):
        """Options of MMoE."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        trunk: Trunk = Field(
            default_factory=MLPTrunk,
            description="Trunk, or only its name: mlp, dcn_v2 or wide_deep.",
        )
        experts: int = Field(default=4, ge=2, description="Number of shared experts.")
        tower_hidden: tuple[int, ...] = Field(
            default=(32,), description="Widths of each tower's dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Within the towers.")

    specific_experts = 0
    """Number of experts per task."""

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.mixture = MultiGateMixture(
            self.input.output_width,
            partial(build_trunk, config.trunk),
            experts=config.experts,
            tasks=len(layout.heads),
        )
        self.towers = TaskTowers(
            layout,
            config.trunk,
            width=self.mixture.output_width,
            hidden=config.tower_hidden,
            dropout=config.dropout,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        mixed = self.mixture(x0)  # T of [B, H]
        return by_head(self.layout, self.towers(mixed, batch))

    def gates(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: weights of the experts `[B, E]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        heads = [head.name for head in self.layout.heads]
        return dict(zip(heads, self.mixture.weights(x0), strict=True))
