"""The objective of a retrieval model: its positives against candidates."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.rows_per_process import filled_part_of
from crosstower.errors import RecipeError
from crosstower.losses.registry import Candidates, retrieval_loss_of
from crosstower.models.two_tower import TwoTower
from crosstower.nn.world import ALONE, World
from crosstower.recipe.retrieval import Retrieval
from crosstower.retrieval.data.pairs import Pairs
from crosstower.retrieval.negatives import NegativeSampler, TopLists


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
        self.world, self.section, self.items = world, section, items
        self._loss = retrieval_loss_of(section)
        self.sampler = NegativeSampler(
            section, len(items), batch_size=batch_size, top_lists=top_lists, user_rows=user_rows
        )

    def begin_epoch(self, model: nn.Module) -> None:
        """Update the hard negatives."""
        self.sampler.begin_epoch(_two_tower(model))

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
        return self.sampler.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a state returned by `state`."""
        self.sampler.restore(state)

    def candidates(self, towers: TwoTower, batch: Pairs) -> Candidates:
        """Return candidates for a batch, drawn according to the section."""
        drawn, rows = self.sampler.drawn(batch), len(batch)
        ids, place, counts = torch.unique(drawn, return_inverse=True, return_counts=True)
        return Candidates(
            vectors=self.vectors(towers, ids, drawn.device),
            positive=place[:rows][self.own(batch)],
            counts=self.sampler.negative_counts(counts, place, rows),
            log_q=self.sampler.log_q(batch.item, ids),
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
        return self._objective.sampler.uniform().to(self.positives.device)

    def candidates(self) -> Candidates:
        return self._objective.candidates(self._towers, self._batch)


def _two_tower(model: nn.Module) -> TwoTower:
    if not isinstance(model, TwoTower):
        raise TypeError(f"expected a TwoTower, got {type(model).__name__}")
    return model
