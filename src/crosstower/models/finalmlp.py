"""FinalMLP: two MLPs over gated features (Mao et al. 2023, AAAI, arXiv 2304.00902)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError, did_you_mean
from crosstower.models.registry import register_model
from crosstower.nn.fields import FieldInput
from crosstower.nn.inputs import by_head
from crosstower.nn.mlp import MLP
from crosstower.nn.two_streams import BilinearFusion, StreamGate
from crosstower.recipe.frozen import FrozenModel


@register_model("finalmlp")
class FinalMLP(nn.Module):
    """FinalMLP: two MLPs, each over features that a gate weights, fused by a bilinear form.

    Mao et al. 2023, section 3; see `StreamGate` and `BilinearFusion`. Gates may be conditioned on
    columns, such as those of the user for one stream and those of the item for the other.

    >>> import torch, crosstower as ct
    >>> layout = ct.Layout(
    ...     codes=(ct.CodeField("user_id", 100, "user_id"), ct.CodeField("item_id", 50, "item_id")),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(ct.Head("click", "binary"),),
    ... )
    >>> model = FinalMLP(layout, FinalMLP.Config(hidden=(16,), gate=("user_id",)))
    >>> batch = ct.Batch(torch.tensor([[7, 9], [8, 3]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> {head: logits.shape for head, logits in model(batch).items()}
    {'click': torch.Size([2])}

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        config: options of the model.

    Raises:
        RecipeError: a gate names an unknown column.

    """

    class Config(FrozenModel):
        """Options of FinalMLP."""

        embedding_dim: int = Field(default=16, ge=1, description="D of all fields.")
        hidden: tuple[int, ...] = Field(
            default=(128, 64), min_length=1, description="Widths of the first stream's layers."
        )
        second_hidden: tuple[int, ...] | None = Field(
            default=None,
            min_length=1,
            description="Widths of the second stream's layers; those of the first if unset.",
        )
        fusion_heads: int = Field(
            default=1, ge=1, description="Heads of the fusion; divides the last widths."
        )
        gates: bool = Field(default=True, description="Whether gates weight the features.")
        gate: tuple[str, ...] = Field(
            default=(), description="Columns that the first gate reads; none: a learned vector."
        )
        second_gate: tuple[str, ...] = Field(
            default=(), description="Columns that the second gate reads."
        )
        gate_hidden: tuple[int, ...] = Field(
            default=(64,), description="Widths of a gate's dense layers."
        )
        dropout: float = Field(default=0.1, ge=0, lt=1, description="After each dense layer.")

        def streams(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
            """Return the widths of both streams."""
            return self.hidden, self.second_hidden or self.hidden

        @model_validator(mode="after")
        def _options_mean_something(self) -> Self:
            lasts = [widths[-1] for widths in self.streams()]
            if any(last % self.fusion_heads for last in lasts):
                raise ValueError(
                    f"fusion_heads: expected a divisor of both last widths {lasts},"
                    f" got {self.fusion_heads}"
                )
            given = sorted({"gate", "second_gate", "gate_hidden"} & self.model_fields_set)
            if given and not self.gates:
                raise ValueError(f"{', '.join(given)}: only with gates: true")
            return self

    def __init__(self, layout: Layout, config: Config) -> None:
        super().__init__()
        self.layout = layout
        self.input = FieldInput(layout, dim=config.embedding_dim)
        contexts = {"gate": config.gate, "second_gate": config.second_gate}
        self.gates = nn.ModuleList(
            self._gate(config, _places(list(self.input.names), columns, where=key))
            for key, columns in contexts.items()
        )
        first, second = config.streams()
        width, dropout = self.input.output_width, config.dropout
        self.mlps = nn.ModuleList(MLP(width, h, dropout=dropout) for h in (first, second))
        self.fusion = BilinearFusion(
            first[-1], second[-1], outputs=len(layout.heads), heads=config.fusion_heads
        )

    def _gate(self, config: Config, context: Sequence[int]) -> nn.Module:
        if not config.gates:
            return nn.Flatten()
        return StreamGate(
            fields=len(self.input.names),
            dim=config.embedding_dim,
            context=context,
            hidden=config.gate_hidden,
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows."""
        fields = self.input(batch.codes, batch.numbers, batch.lists)  # [B, F, D]
        streams = zip(self.gates, self.mlps, strict=True)
        first, second = (mlp(gate(fields)) for gate, mlp in streams)
        return by_head(self.layout, self.fusion(first, second))


def _places(names: list[str], columns: Sequence[str], *, where: str) -> list[int]:
    for column in columns:
        if column not in names:
            raise RecipeError(
                f"model.{where}: no column '{column}'{did_you_mean(column, names)};"
                f" allowed: {', '.join(names)}"
            )
    return [names.index(column) for column in columns]
