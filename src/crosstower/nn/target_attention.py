"""Target attention: a history as a sum of its values, weighted by how they fit a candidate."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.ragged import Ragged

_HIDDEN = 36


class TargetAttention(nn.Module):
    """Activation unit and weighted sum of DIN (Zhou et al. 2018, arXiv 1706.06978, equation 3).

    out = Σ_j a(e_j, v) e_j with a(e, v) = w · PReLU(W [v, e, v − e, v ⊙ e] + b) + c, where v is the
    candidate. As in the paper, the weights are not a softmax, so their sum shows how strong an
    interest is, and the unit has one layer of 36 (figure 2). Its input is that of the authors'
    code, which has a softmax, layers of 80 and 40 and sigmoids instead. Dice, the paper's other
    activation, is left out: its statistics over a batch would tie each row to its company.

    The products with v, e and v − e are computed once per candidate and once per value, so that
    only v ⊙ e costs a product per pair of both.

    >>> import torch
    >>> attend = TargetAttention(8, length=5)
    >>> present = torch.tensor([[True, True, False]])
    >>> attend(torch.ones(4, 8), torch.ones(1, 3, 8), present).shape  # 4 candidates, one history
    torch.Size([4, 8])

    Args:
        width: D.
        length: largest L; not used, every pooling takes it.
        dropout: not used, as the paper has none.

    """

    def __init__(self, width: int, length: int, *, dropout: float = 0.1) -> None:
        del length, dropout
        super().__init__()
        self.hidden = nn.Linear(4 * width, _HIDDEN)
        self.activation = nn.PReLU()
        self.out = nn.Linear(_HIDDEN, 1)

    def forward(self, target: Tensor, rows: Tensor, present: Tensor) -> Tensor:
        """Return the histories as each candidate sees them, `[B, D]`.

        Args:
            target: `[B, D]`.
            rows: `[B, L, D]`, or `[1, L, D]` for a history that all candidates share.
            present: `[B, L]` or `[1, L]`, False for padding.

        """
        weights = self.weights(target.unsqueeze(1), rows).masked_fill(~present, 0.0)  # [B, L]
        return (weights.unsqueeze(1) @ rows).squeeze(1)

    def ragged(self, target: Tensor, rows: Tensor, lists: Ragged) -> Tensor:
        """Return `forward` for lists without padding.

        Args:
            target: `[B, D]`.
            rows: `[V, D]` of the values of all lists.
            lists: B lists.

        """
        owners = lists.owners()
        weights = self.weights(target.index_select(0, owners), rows)  # [V]
        weighted = weights.unsqueeze(1) * rows
        return target.new_zeros(target.shape).index_add(0, owners, weighted.to(target.dtype))

    def weights(self, target: Tensor, rows: Tensor) -> Tensor:
        """Return a(e, v) `[...]` for rows e `[..., D]` and candidates v `[..., D]`."""
        of_target, of_row, of_gap, of_product = self.hidden.weight.chunk(4, dim=1)
        hidden = (
            F.linear(target, of_target + of_gap, self.hidden.bias)
            + F.linear(rows, of_row - of_gap)
            + F.linear(target * rows, of_product)
        )
        return self.out(self.activation(hidden)).squeeze(-1)
