"""Negatives of a batch of pairs: in-batch, uniform and hard ones, and their expected frequency."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from crosstower.losses.frequency import StreamingFrequency
from crosstower.losses.sampled_softmax import mixed_log_q
from crosstower.models.two_tower import TwoTower
from crosstower.recipe.retrieval import Retrieval
from crosstower.retrieval.data.pairs import Pairs

TopLists = Callable[[TwoTower, int], Tensor]


class NegativeSampler:
    """Draws the negatives of batches according to a retrieval section.

    Args:
        section: its `negatives` and `log_q`.
        items: number of items N.
        batch_size: B.
        top_lists: returns each user's best items `[U, P]` by the model, excluding the history;
            called before each epoch if there are hard negatives.
        user_rows: `[U]`, number of training rows of each user.

    """

    def __init__(
        self,
        section: Retrieval,
        items: int,
        *,
        batch_size: int,
        top_lists: TopLists,
        user_rows: Tensor,
    ) -> None:
        self._section, self._items, self._batch_size = section, items, batch_size
        self._top_lists = top_lists
        self._user_share = user_rows / user_rows.sum().clamp(min=1)
        self.frequency = StreamingFrequency(items)
        self.hard_lists = torch.empty(0, 0, dtype=torch.int32)
        self.hard_share = torch.zeros(items)

    def begin_epoch(self, model: TwoTower) -> None:
        """Update the hard negatives."""
        n = self._section.negatives
        if n.hard:
            lists = self._top_lists(model, min(n.hard_pool, self._items))
            self.hard_lists = lists.int()
            # How often a draw for a random training row gives an item; places of -1 give none.
            there = lists >= 0
            share = (self._user_share / lists.shape[1]).unsqueeze(1).expand_as(lists)[there]
            self.hard_share = torch.bincount(
                lists[there].long(), weights=share, minlength=self._items
            ).float()

    def uniform(self) -> Tensor:
        """Return `negatives.uniform` items drawn uniformly from the catalogue."""
        return torch.randint(0, self._items, (self._section.negatives.uniform,))

    def drawn(self, batch: Pairs) -> Tensor:
        """Return the drawn items of a batch: the positives first, then uniform and hard ones."""
        n, device = self._section.negatives, batch.item.device
        drawn = [batch.item]
        if n.uniform:
            drawn.append(self.uniform().to(device))
        if n.hard and len(self.hard_lists):
            lists = self.hard_lists[batch.user.cpu()]
            picks = torch.randint(0, lists.shape[1], (len(batch), n.hard))
            hard = lists.gather(1, picks).flatten().long()
            drawn.append(hard[hard >= 0].to(device))
        return torch.cat(drawn)

    def negative_counts(self, counts: Tensor, place: Tensor, rows: int) -> Tensor:
        """Return the number of draws of each candidate as a negative `[C]`.

        Args:
            counts: `[C]`, number of draws of each candidate.
            place: of each draw among the candidates; the first `rows` draws are the positives.
            rows: of the batch.

        """
        if self._section.negatives.in_batch:
            return counts.float()
        positive = torch.bincount(place[:rows], minlength=len(counts))
        return (counts - positive).float()

    def log_q(self, positives: Tensor, ids: Tensor) -> Tensor | None:
        """Return the log of the expected number of draws of candidates `[C]`.

        The frequency of items in the stream learns from the positives. None without `log_q`.

        Args:
            positives: `[B]`, of the batch.
            ids: `[C]`, distinct items.

        """
        n, rows = self._section.negatives, len(positives)
        if not self._section.log_q:
            return None
        self.frequency.update(positives.cpu())
        probability = self.frequency.probability(ids.cpu(), batch_size=self._batch_size)
        log_q = mixed_log_q(
            probability,
            in_batch=rows - 1 if n.in_batch else 0,
            uniform=n.uniform,
            catalogue=self._items,
            hard=rows * n.hard * self.hard_share[ids.cpu()] if n.hard else None,
        )
        return log_q.to(ids.device)

    def state(self) -> dict[str, Tensor]:
        """Return the state that a resumed training run needs."""
        frequency = self.frequency
        return {
            "step": torch.tensor(frequency.step),
            "last_seen": frequency.last_seen,
            "interval": frequency.interval,
            "times": frequency.times,
            "hard_lists": self.hard_lists,
            "hard_share": self.hard_share,
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a state returned by `state`."""
        self.frequency.step = int(state["step"])
        self.frequency.last_seen, self.frequency.interval = state["last_seen"], state["interval"]
        self.frequency.times = state["times"]
        self.hard_lists, self.hard_share = state["hard_lists"], state["hard_share"]
