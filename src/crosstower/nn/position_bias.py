"""Position bias: a shallow tower for how a row was shown, next to a model of its content."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import MISSING, Layout
from crosstower.nn.inputs import DenseInput
from crosstower.nn.mlp import MLP
from crosstower.recipe.bias import Bias


class PositionBias(nn.Module):
    """A model whose logits are shifted by a shallow tower over bias columns, while it trains.

    Zhao et al. 2019 ("Recommending what video to watch next", section 4.4): logit_t = main_t(x) +
    tower_t(position, device), per task t. The model does not read the bias columns. In a share of
    the training rows they count as missing, so that the tower knows the average. Outside training
    they are missing in all rows: the shift is a constant, which leaves every order as it is.

    >>> import torch, crosstower as ct
    >>> position = ct.CodeField("position", 13, "position")
    >>> layout = ct.Layout((position,), ("age",), (), (ct.Head("click", "binary"),))
    >>> main = ct.models.build(layout.without(["position"]), {"name": "mlp"})
    >>> model = PositionBias(main, layout, Bias(columns=["position"])).eval()
    >>> rows = ct.Batch(torch.tensor([[3], [9]]), torch.zeros(2, 1), {}, torch.zeros(2, 1))
    >>> bool(torch.equal(*model(rows)["click"]))
    True

    Args:
        main: model of the layout without the bias columns.
        layout: of all columns.
        options: the bias columns, and the tower.

    """

    def __init__(self, main: nn.Module, layout: Layout, options: Bias) -> None:
        super().__init__()
        self.main, self.heads = main, [head.name for head in layout.heads]
        own, rest = layout.only(options.columns), layout.without(options.columns)
        self._lists = rest.list_names()
        for name, side in (("own", own), ("rest", rest)):
            codes, numbers = _places(layout, side)
            self.register_buffer(f"{name}_codes", codes, persistent=False)
            self.register_buffer(f"{name}_numbers", numbers, persistent=False)
        self.seen = nn.Dropout(options.dropout)
        self.input = DenseInput(own, dim=options.dim)
        self.mlp = MLP(self.input.output_width, options.hidden)
        self.head = nn.Linear(self.mlp.output_width, len(layout.heads))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows with the bias columns."""
        codes, numbers = self._columns(batch, "rest")
        lists = {name: batch.lists[name] for name in self._lists}
        logits: dict[str, Tensor] = self.main(
            replace(batch, codes=codes, numbers=numbers, lists=lists)
        )
        shift = self._shift(batch) if self.training else self.constant()
        return {name: logits[name] + shift[:, i] for i, name in enumerate(self.heads)}

    def constant(self) -> Tensor:
        """Return the shift of rows whose bias columns are missing, `[1, T]`."""
        codes, numbers = self.get_buffer("own_codes"), self.get_buffer("own_numbers")
        missing = torch.full((1, len(codes)), MISSING, dtype=torch.int32, device=codes.device)
        return self._tower(missing, torch.zeros(1, len(numbers), device=codes.device))

    def served(self) -> WithoutBias:
        """Return the model for rows without the bias columns; its logits are those of `eval`."""
        with torch.no_grad():
            return WithoutBias(self.main, self.heads, self.constant()[0]).eval()

    def _shift(self, batch: Batch) -> Tensor:
        """Return the shift `[B, T]` of training rows, some of them without their columns."""
        codes, numbers = self._columns(batch, "own")
        seen = self.seen(torch.ones(len(batch), 1, device=codes.device)) > 0  # [B, 1]
        return self._tower(torch.where(seen, codes, MISSING), torch.where(seen, numbers, 0.0))

    def _tower(self, codes: Tensor, numbers: Tensor) -> Tensor:
        return self.head(self.mlp(self.input(codes, numbers, {})))

    def _columns(self, batch: Batch, side: str) -> tuple[Tensor, Tensor]:
        codes, numbers = self.get_buffer(f"{side}_codes"), self.get_buffer(f"{side}_numbers")
        return batch.codes.index_select(1, codes), batch.numbers.index_select(1, numbers)


class WithoutBias(nn.Module):
    """A model that was trained with a bias tower, as it serves: its logits and a constant.

    Args:
        main: model of the layout without the bias columns.
        heads: names of T heads.
        shift: `[T]`.

    """

    def __init__(self, main: nn.Module, heads: list[str], shift: Tensor) -> None:
        super().__init__()
        self.main, self.heads = main, heads
        self.register_buffer("shift", shift)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return {head: logits `[B]`} for B encoded rows without the bias columns."""
        logits: dict[str, Tensor] = self.main(batch)
        shift = self.get_buffer("shift")
        return {name: logits[name] + shift[i] for i, name in enumerate(self.heads)}


def _places(layout: Layout, part: Layout) -> tuple[Tensor, Tensor]:
    """Return the places of a part's inputs among the codes and the numbers of a batch."""
    codes = [i for i, field in enumerate(layout.codes) if field in part.codes]
    numbers = [i for i, name in enumerate(layout.numbers) if name in part.numbers]
    return torch.tensor(codes, dtype=torch.long), torch.tensor(numbers, dtype=torch.long)
