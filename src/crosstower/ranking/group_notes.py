"""Losses that compare rows: their requirements on a recipe, and notes in the report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.grouped_batches import group_codes
from crosstower.errors import RecipeError
from crosstower.losses.registry import Loss
from crosstower.recipe.calibration import Calibration


def check_groups(losses: Mapping[str, Loss], group: str | None) -> None:
    """Reject losses that compare the rows of groups without a group.

    Args:
        losses: by task.
        group: `training.group`.

    Raises:
        RecipeError: names the task and its loss.

    """
    for name, loss in losses.items():
        if loss.grouped and group is None:
            raise RecipeError(
                f"schema.tasks.{name}.loss: '{loss.name}' compares the rows of a group; set"
                " training.group to a column, such as the request, the session or the query"
            )


def group_notes(
    group: str, rows: EncodedRows, losses: Mapping[str, Loss], batch_size: int
) -> list[str]:
    """Return sentences about the groups of the training rows.

    Args:
        group: `training.group`.
        rows: of the training, with groups.
        losses: by task, in the order of the labels.
        batch_size: rows per batch.

    """
    codes = group_codes(rows)
    sizes = np.bincount(codes)
    words = (
        f"training.group '{group}': {len(sizes):,} groups of {sizes.min():,} to {sizes.max():,}"
        f" training rows ({sizes.mean():.1f} on average); {int((sizes == 1).sum()):,} have one row"
    )
    if longer := int((sizes > batch_size).sum()):
        words += (
            f"; {longer:,} are longer than a batch of {batch_size:,} rows and are divided at random"
            " in every epoch"
        )
    labels = np.concatenate([rows.block(n).labels.numpy() for n in range(rows.blocks)])
    notes = [words]
    for place, (name, loss) in enumerate(losses.items()):
        if loss.grouped:
            equal = len(sizes) - _with_order(codes, labels[:, place], len(sizes))
            if equal:
                notes.append(
                    f"task '{name}': in {equal:,} of {len(sizes):,} groups of the training rows all"
                    f" labels are equal or missing; loss '{loss.name}' learns no order from them"
                )
    return notes


def _with_order(codes: np.ndarray, labels: np.ndarray, groups: int) -> int:
    """Return how many groups have rows with different labels."""
    known = ~np.isnan(labels)
    low, high = np.full(groups, np.inf), np.full(groups, -np.inf)
    np.minimum.at(low, codes[known], labels[known])
    np.maximum.at(high, codes[known], labels[known])
    return int((high > low).sum())


def uncalibrated_notes(losses: Mapping[str, Loss], section: Calibration) -> list[str]:
    """Return a sentence per task whose loss learns an order only and that is not calibrated."""
    return [
        f"task '{name}': loss '{loss.name}' learns an order, so its predictions are not"
        " probabilities; set calibration.method to platt or isotonic, or use loss jrc"
        for name, loss in losses.items()
        if not loss.calibrated and section.method_of(name) == "none"
    ]
