"""Explanations add up, and equal the exact Shapley values where these can be enumerated."""

from itertools import combinations
from math import factorial

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.sources.source import Chunk
from crosstower.ranking.explain import shapley_values
from crosstower.ranking.mixed_rows import ColumnMixer
from crosstower.ranking.scorer import RawArrays, Scorer
from crosstower.recipe.schema import Schema

NAMES = ("x", "y", "z", "city")
RAW = RawArrays({}, {})


class Interacting(nn.Module):
    """A logit with a product and a lookup; column z moves nothing."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.numbers[:, 0], batch.numbers[:, 1]
        city = batch.codes[:, 0].float()
        return {"click": x * y + 0.5 * x + 0.3 * (city - 3) * y - 0.2}


@pytest.fixture(scope="module")
def scorer() -> tuple[Scorer, Batch, Batch]:
    random = np.random.default_rng(3)
    frame = pl.DataFrame({n: random.normal(size=40) for n in NAMES[:3]})
    frame = frame.with_columns(city=pl.Series(random.choice(["a", "b", "c"], 40)))
    columns = {"x": "numeric", "y": "numeric", "z": "numeric", "city": "categorical"}
    schema = Schema.model_validate({"columns": columns, "tasks": {"click": "binary"}})
    cleaned = Cleaner(schema, with_labels=False).clean(Chunk(frame, "rows", 0, 0))
    fit = EncoderFit(schema)
    fit.add(cleaned)
    encoder = fit.finish()
    rows = encoder.encode(cleaned)
    return Scorer(encoder, Interacting()), rows[:1], rows[1:]


def exact(scorer: Scorer, row: Batch, background: Batch) -> dict[str, float]:
    """The definition (Shapley 1953): all coalitions, absent columns from each background row."""
    mixer, rows = ColumnMixer(scorer.encoder), len(background)
    both, names = Batch.concatenate([row, background]), mixer.columns

    def value(coalition: set[str]) -> float:
        source = np.repeat(np.arange(1, rows + 1)[:, None], len(names), 1)
        source[:, [names.index(name) for name in coalition]] = 0
        logits = scorer.logits(mixer.mix(both, source))
        return float(scorer.encoder.decode(logits)["click"].mean())

    found = dict[str, float]()
    for name in names:
        others = [other for other in names if other != name]
        found[name] = 0.0
        for size in range(len(names)):
            share = factorial(size) * factorial(len(names) - size - 1) / factorial(len(names))
            for chosen in combinations(others, size):
                gain = value({*chosen, name}) - value(set(chosen))
                found[name] += share * gain
    return found


def test_contributions_sum_to_the_prediction_minus_the_base(
    scorer: tuple[Scorer, Batch, Batch],
) -> None:
    model, row, background = scorer
    found = shapley_values(model, row, RAW, background)["click"]
    prediction, base = (
        model.encoder.decode(model.logits(rows))["click"] for rows in (row, background)
    )
    assert found.prediction == pytest.approx(prediction[0])
    assert found.base == pytest.approx(base.mean())
    total = sum(found.contributions.values())
    assert total == pytest.approx(found.prediction - found.base, abs=1e-12)


def test_contributions_are_the_exact_shapley_values_within_their_errors(
    scorer: tuple[Scorer, Batch, Batch],
) -> None:
    model, row, background = scorer
    expected = exact(model, row, background)
    runs = [shapley_values(model, row, RAW, background, seed=seed)["click"] for seed in range(12)]
    for name in NAMES:
        mean = np.mean([run.contributions[name] for run in runs])
        error = np.mean([run.errors[name] for run in runs]) / np.sqrt(len(runs))
        assert mean == pytest.approx(expected[name], abs=4 * error + 1e-9), name
    assert expected["x"] != pytest.approx(0.0, abs=1e-3)


def test_a_column_that_moves_nothing_has_no_contribution(
    scorer: tuple[Scorer, Batch, Batch],
) -> None:
    model, row, background = scorer
    found = shapley_values(model, row, RAW, background)["click"]
    assert found.contributions["z"] == found.errors["z"] == 0.0


def test_one_background_row_with_two_columns_is_exact(
    scorer: tuple[Scorer, Batch, Batch],
) -> None:
    """An order and its reverse are all orders of two columns that differ."""
    model, row, background = scorer
    other = Batch(row.codes, row.numbers.clone(), row.lists, row.labels)
    other.numbers[0, :2] = background.numbers[0, :2]
    found = shapley_values(model, row, RAW, other)["click"]
    expected = exact(model, row, other)
    assert found.contributions == pytest.approx(expected, abs=1e-7)
    assert torch.equal(row.codes, other.codes)
