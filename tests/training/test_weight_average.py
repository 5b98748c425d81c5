"""The average of the weights against the weighted mean of all weights, in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from crosstower.data.layout import CodeField
from crosstower.nn.embedding import EmbeddingStore
from crosstower.recipe.training import Training
from crosstower.training.checkpoint import Position, load_checkpoint, save_checkpoint
from crosstower.training.optimizers import build_optimizers
from crosstower.training.weight_average import STEPS, WeightAverage


class Learner(nn.Module):
    """A table of which a step touches some rows, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = EmbeddingStore((CodeField("item", 8, "item"),), (), dim=4)
        self.dense = nn.Linear(4, 1)


def steps(
    model: Learner, average: WeightAverage, *, first: int, count: int
) -> list[dict[str, np.ndarray]]:
    """Train some steps and return the weights after each, in float64."""
    optimizers = build_optimizers(model, Training(learning_rate=0.1, embedding_learning_rate=0.1))
    found = []
    for step in range(first, first + count):
        (table,) = model.embed.tables.values()
        for optimizer in optimizers:
            optimizer.zero_grad()
        rows = torch.tensor([step % 3, 3, (2 * step) % 5])
        vectors = nn.functional.embedding(rows, table, sparse=True)
        model.dense(vectors).sub(1.0).square().mean().backward()
        average.follow()
        for optimizer in optimizers:
            optimizer.step()
        found.append(copied(model))
    return found


def copied(model: nn.Module) -> dict[str, np.ndarray]:
    return {n: p.detach().double().numpy().copy() for n, p in model.named_parameters()}


def expected(weights: list[dict[str, np.ndarray]], decay: float) -> dict[str, np.ndarray]:
    shares = decay ** np.arange(len(weights) - 1, -1, -1.0)
    return {
        name: np.tensordot(shares / shares.sum(), np.stack([w[name] for w in weights]), axes=1)
        for name in weights[0]
    }


def check(model: Learner, average: WeightAverage, weights: list[dict[str, np.ndarray]]) -> None:
    with average.in_place():
        for name, value in expected(weights, average.decay).items():
            np.testing.assert_allclose(copied(model)[name], value, rtol=1e-5, atol=1e-6)
    for name, value in weights[-1].items():  # back to the bit
        np.testing.assert_array_equal(copied(model)[name], value)


@pytest.fixture
def model() -> Learner:
    torch.manual_seed(0)
    return Learner()


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_the_weighted_mean_of_the_weights_after_each_step(
    model: Learner, decay: float
) -> None:
    average = WeightAverage(model, decay)
    weights = steps(model, average, first=0, count=7)
    check(model, average, weights)
    weights += steps(model, average, first=7, count=30)  # a look in between changes nothing
    check(model, average, weights)


def test_rows_that_no_step_touches_stay_as_they_are(model: Learner) -> None:
    before, average = copied(model), WeightAverage(model, 0.9)
    steps(model, average, first=0, count=5)
    (name,) = [n for n in before if n.startswith("embed")]
    with average.in_place():
        np.testing.assert_array_equal(copied(model)[name][5:], before[name][5:])


def test_before_the_first_step_it_is_the_weights(model: Learner) -> None:
    before = copied(model)
    with WeightAverage(model, 0.9).in_place():
        for name, value in copied(model).items():
            np.testing.assert_array_equal(value, before[name])


def test_frozen_parameters_have_no_average(model: Learner) -> None:
    model.dense.weight.requires_grad_(False)
    assert "dense.weight" not in WeightAverage(model, 0.9).values


def test_a_checkpoint_keeps_it_to_the_bit(model: Learner, tmp_path: Path) -> None:
    average = WeightAverage(model, 0.9)
    weights = steps(model, average, first=0, count=7)
    optimizers = build_optimizers(model, Training())
    save_checkpoint(tmp_path / "a", model, optimizers, Position(step=7), average=average)
    other = Learner()
    again = WeightAverage(other, 0.9)
    load_checkpoint(tmp_path / "a", other, build_optimizers(other, Training()), average=again)
    assert again.steps == 7
    check(other, again, weights)
    more = steps(other, again, first=7, count=5)
    check(other, again, [*weights, *more])


def test_a_checkpoint_changes_nothing_about_the_average(model: Learner) -> None:
    """Rows are brought up to date when they are touched, or all at once, which rounds once more."""
    looked_at, other = WeightAverage(model, 0.9), Learner()
    other.load_state_dict(model.state_dict())
    average = WeightAverage(other, 0.9)
    for first in (0, 4, 8):
        for one, its in ((model, looked_at), (other, average)):
            steps(one, its, first=first, count=4)
        looked_at.restore({name: value.clone() for name, value in looked_at.state().items()})
    with looked_at.in_place(), average.in_place():
        for name, value in copied(model).items():
            np.testing.assert_array_equal(value, copied(other)[name])


def test_a_checkpoint_without_one_begins_a_new_average(model: Learner, tmp_path: Path) -> None:
    optimizers = build_optimizers(model, Training())
    save_checkpoint(tmp_path / "a", model, optimizers, Position(step=7))
    other = Learner()
    again = WeightAverage(other, 0.9)
    load_checkpoint(tmp_path / "a", other, build_optimizers(other, Training()), average=again)
    assert again.steps == 0
    check(other, again, steps(other, again, first=0, count=3))
    assert STEPS in again.state()
