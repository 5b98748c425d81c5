"""ESMM: entire space multi-task model (Ma et al. 2018, SIGIR, arXiv 1804.07931)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError, did_you_mean
from crosstower.models.registry import register_model
from crosstower.nn.chain import chained_logits
from crosstower.nn.inputs import DenseInput, by_head
from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk, Trunk, build_trunks
from crosstower.recipe.frozen import FrozenModel


@register_model("esmm")
class ESMM(nn.Module):
    """Chained tasks: P(conversion) = P(click) · P(conversion | click) on all impressions.

    Ma et al. 2018, equation 2. Tasks share their embeddings; each has its own trunk. The tower of a
    chained task gives the probability of its event given the one before; its head gives the joint
    probability, which is what the labels of impressions describe. Training on all impressions
    instead of clicked ones avoids sample selection bias.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"), ct.Head("buy", "binary")),
    ... )
    >>> model = ESMM(layout, ESMM.Config(chain=("click", "buy")))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 2))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2]), 'buy': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: `chain` names an unknown or non-binary task, or there is no binary task.

    """

    class Config(FrozenModel):
        """Options of ESMM."""

        embedding_dim: int = Field(
            default=16, ge=1, description="D of columns that do not set their own `dim`."
        )
        chain: tuple[str, ...] = Field(
            default=(),
            description="Binary tasks, each requiring the one before it; all binary tasks in the"
            " order of the schema if unset.",
        )
        trunk: Trunk = Field(
            default_factory=MLPTrunk,
            description="Trunk, or only its name: mlp, dcn_v2 or wide_deep.",
        )
        tower_hidden: tuple[int, ...] = Field(
            default=(), description="Widths of each tower's dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="Within the towers.")

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout, tasks = layout, len(layout.heads)
        self.chain = _chain(layout, config.chain)
        self.input = DenseInput(layout, dim=config.embedding_dim)
        self.trunks = build_trunks(config.trunk, self.input.output_width, tasks)
        self.towers = TaskTowers(
            layout,
            config.trunk,
            width=self.trunks[0].output_width,  # pyright: ignore[reportArgumentType]
            hidden=config.tower_hidden,
            dropout=config.dropout,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        x0 = self.input(batch.codes, batch.numbers, batch.lists)  # [B, W]
        own = [trunk(x0) for trunk in self.trunks]  # T of [B, H]
        logits = by_head(self.layout, self.towers(own, batch))
        chained = chained_logits([logits[name] for name in self.chain])
        return logits | dict(zip(self.chain, chained, strict=True))


def _chain(layout: Layout, given: tuple[str, ...]) -> tuple[str, ...]:
    binary = [head.name for head in layout.heads if head.kind == "binary"]
    for name in given:
        if name not in binary:
            raise RecipeError(
                f"model.chain: no binary task '{name}'{did_you_mean(name, binary)};"
                f" allowed: {', '.join(binary)}"
            )
    if len(set(given)) < len(given):
        raise RecipeError(f"model.chain: a task is repeated: {', '.join(given)}; name each once")
    if not binary:
        raise RecipeError("model.chain: ESMM needs a binary task, such as click; use mmoe instead")
    return given or tuple(binary)
