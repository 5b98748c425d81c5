"""The training rows that sources are made of."""

import numpy as np
import pytest

from crosstower.retrieval.sources.source_rows import SourceRows

from ...fixtures.sourced_films import recipes, watched
from .conftest import rows_of
from .test_popular import trained


def test_rows_are_those_of_training(film_rows: SourceRows) -> None:
    rows = trained(watched())
    assert film_rows.shape == (60, 32)
    assert film_rows.items.ids.gather(film_rows.item).to_list() == rows["film"].to_list()
    assert film_rows.segment is not None
    assert film_rows.segment.to_list() == rows["country"].to_list()
    assert film_rows.seconds is not None
    assert film_rows.seconds.to_list() == rows["time"].dt.epoch("s").to_list()
    users, items = film_rows.pairs
    assert users.tolist() == rows["user"].to_list()
    assert items.tolist() == film_rows.item.tolist()


def test_refitting_counts_the_rows_of_valid(tmp_path_factory: pytest.TempPathFactory) -> None:
    recipe = recipes(tmp_path_factory.mktemp("refit"))[0]
    training = recipe.training.model_copy(update={"refit": True})
    rows = rows_of(recipe.model_copy(update={"training": training}))
    assert rows.counts().sum() == 900 - 60
    assert len(rows.histories.items) == 900 - 60
    assert rows.seconds is not None
    assert np.isfinite(rows.seconds.to_numpy()).all()
