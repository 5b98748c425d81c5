"""The objective of a retrieval model: its positives against candidates."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.rows_per_process import filled_part_of
from crosstower.errors import RecipeError
from crosstower.losses.frequency import StreamingFrequency
from crosstower.losses.registry import Candidates, retrieval_loss_of
from crosstower.losses.sampled_softmax import mixed_log_q
from crosstower.models.two_tower import TwoTower
from crosstower.nn.world import ALONE, World
from crosstower.recipe.retrieval import Retrieval
from crosstower.retrieval.data.pairs import Pairs

TopLists = Callable[[TwoTower, int], Tensor]


class RetrievalObjective:
    """The loss of a retrieval recipe on batches of pairs.

    Args:
        section: loss and negatives.
        items: all items `[N]`, encoded.
        batch_size: B.
        top_lists: returns each user's best items `[U, P]` by the model, excluding the history;
            called before each epoch if there are hard negatives.
        user_rows: `[U]`, number of training rows of each user.
        world: whose processes each have the queries of a part of a batch.

    """

    def __init__(
        self,
        section: Retrieval,
        items: Batch,
        *,
        batch_size: int,
        top_lists: TopLists,
        user_rows: Tensor,
        world: World = ALONE,
    ) -> None:
        self.world = world
        self._user_share = user_rows / user_rows.sum().clamp(min=1)
        self.section, self.items, self.batch_size = section, items, batch_size
        self._loss = retrieval_loss_of(section)
        self.frequency = StreamingFrequency(len(items))
        self._top_lists = top_lists
        self.hard_lists = torch.empty(0, 0, dtype=torch.int32)
        self.hard_share = torch.zeros(len(items))

    def begin_epoch(self, model: nn.Module) -> None:
        """Update the hard negatives."""
        n = self.section.negatives
        if n.hard:
            lists = self._top_lists(_two_tower(model), min(n.hard_pool, len(self.items)))
            self.hard_lists = lists.int()
            # How often a draw for a random training row gives an item; places of -1 give none.
            there = lists >= 0
            share = (self._user_share / lists.shape[1]).unsqueeze(1).expand_as(lists)[there]
            self.hard_share = torch.bincount(
                lists[there].long(), weights=share, minlength=len(self.items)
            ).float()

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the mean loss of a batch of pairs.

        Raises:
            RecipeError: a custom loss does not return a scalar.

        """
        loss = self._loss.compute(_Step(self, _two_tower(model), batch))
        if loss.dim() != 0:
            raise RecipeError(
                f"retrieval.objective: loss '{self._loss.name}' must return the mean over the"
                f" batch, a scalar, got shape {list(loss.shape)}"
            )
        if self.world.size == 1:
            return loss
        rows = self.world.part(len(batch))
        return self.world.sum(loss * ((rows.stop - rows.start) / len(batch)))

    def rows(self, batch: Any) -> Tensor:
        """Return the number of pairs `[1]`; each pair is a positive."""
        return torch.tensor([len(batch)])

    def backward(self, model: nn.Module, loss: Tensor) -> None:
        """Write the gradients of the loss to the parameters."""
        del model
        loss.backward()

    def log_values(self) -> dict[str, float]:
        """Return nothing: there is only one loss."""
        return {}

    def describe(self, batch: Any) -> list[str]:
        """Return one line per number column of the queries: minimum, mean and maximum."""
        numbers = batch.query.numbers
        if not numbers.shape[1]:
            return []
        rows = zip(numbers.amin(0), numbers.mean(0), numbers.amax(0), strict=True)
        return [f"  number {i}: min {a:.4g}, mean {b:.4g}, max {c:.4g}"
                for i, (a, b, c) in enumerate(rows)]  # fmt: skip

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

    def candidates(self, towers: TwoTower, batch: Pairs) -> Candidates:
        """Return candidates for a batch, drawn according to the section."""
        drawn = self._drawn(batch)
        ids, place, counts = torch.unique(drawn, return_inverse=True, return_counts=True)
        return Candidates(
            vectors=self.vectors(towers, ids, drawn.device),
            positive=place[: len(batch)][self.own(batch)],
            counts=self._counts(counts, place, len(batch)),
            log_q=self._log_q(batch.item, ids, len(batch)),
        )

    def own(self, batch: Pairs) -> slice:
        """Return the pairs of a batch whose queries this process has."""
        return filled_part_of(len(batch), self.world.rank, self.world.size)[0]

    def vectors(self, towers: TwoTower, places: Tensor | None, device: torch.device) -> Tensor:
        """Return item vectors `[n, D]` at positions that are the same in all processes.

        Each process computes a part of them.
        """
        items, world = self.encoded(places, device), self.world
        world.computing(len(items))
        if world.size == 1:
            return towers.items(items)
        part, fills = filled_part_of(len(items), world.rank, world.size)
        found = towers.items(items[part])
        return world.all_rows(found[:0] if fills else found, len(items))

    def encoded(self, places: Tensor | None, device: torch.device) -> Batch:
        """Return the encoded items at some positions; all items if None."""
        if self.items.codes.device != device:
            self.items = self.items.to(device)
        return self.items if places is None else self.items[places]

    def _drawn(self, batch: Pairs) -> Tensor:
        """Return the drawn items: the positives first, then uniform and hard ones."""
        n, device = self.section.negatives, batch.item.device
        drawn = [batch.item]
        if n.uniform:
            drawn.append(torch.randint(0, len(self.items), (n.uniform,)).to(device))
        if n.hard and len(self.hard_lists):
            lists = self.hard_lists[batch.user.cpu()]
            picks = torch.randint(0, lists.shape[1], (len(batch), n.hard))
            hard = lists.gather(1, picks).flatten().long()
            drawn.append(hard[hard >= 0].to(device))
        return torch.cat(drawn)

    def _counts(self, counts: Tensor, place: Tensor, rows: int) -> Tensor:
        """Return the number of draws of each candidate as a negative."""
        if self.section.negatives.in_batch:
            return counts.float()
        positive = torch.bincount(place[:rows], minlength=len(counts))
        return (counts - positive).float()

    def _log_q(self, positives: Tensor, ids: Tensor, rows: int) -> Tensor | None:
        n, section = self.section.negatives, self.section
        if not section.log_q:
            return None
        self.frequency.update(positives.cpu())
        probability = self.frequency.probability(ids.cpu(), batch_size=self.batch_size)
        log_q = mixed_log_q(
            probability,
            in_batch=rows - 1 if n.in_batch else 0,
            uniform=n.uniform,
            catalogue=len(self.items),
            hard=rows * n.hard * self.hard_share[ids.cpu()] if n.hard else None,
        )
        return log_q.to(ids.device)


class _Step:
    """A batch as a loss sees it: `losses.registry.RetrievalStep`."""

    def __init__(self, objective: RetrievalObjective, towers: TwoTower, batch: Pairs) -> None:
        self._objective, self._towers, self._batch = objective, towers, batch
        self.section, self.all_positives = objective.section, batch.item
        self.items = len(objective.items)
        self.own = objective.own(batch)
        self.positives, self.owner = batch.item[self.own], batch.owner
        self.history = batch.history
        if self.owner is None:
            objective.world.computing(len(batch))
        else:  # other processes have other queries, and another number of them
            objective.world.computing_alone()
        self._vectors = towers.queries(batch.query)

    @cached_property
    def queries(self) -> Tensor:
        return self._vectors if self.owner is None else self._vectors[self.owner]

    @cached_property
    def distinct_queries(self) -> Tensor:  # once: `scale` moves the temperature into its range
        return self._vectors * self._towers.scale()

    @cached_property
    def scaled_queries(self) -> Tensor:
        return self.distinct_queries if self.owner is None else self.distinct_queries[self.owner]

    def vectors(self, places: Tensor | None = None) -> Tensor:
        objective, device = self._objective, self.queries.device
        if places is None:
            return objective.vectors(self._towers, None, device)
        objective.world.computing_alone()
        return self._towers.items(objective.encoded(places, device))

    def shared_vectors(self, places: Tensor) -> Tensor:
        return self._objective.vectors(self._towers, places, self.queries.device)

    def uniform(self) -> Tensor:
        count = self.section.negatives.uniform
        drawn = torch.randint(0, len(self._objective.items), (count,))
        return drawn.to(self.positives.device)

    def candidates(self) -> Candidates:
        return self._objective.candidates(self._towers, self._batch)


def _two_tower(model: nn.Module) -> TwoTower:
    if not isinstance(model, TwoTower):
        raise TypeError(f"expected a TwoTower, got {type(model).__name__}")
    return model
