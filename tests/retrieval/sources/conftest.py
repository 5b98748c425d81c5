"""Training rows of sources, read once."""

from pathlib import Path

import pytest

from crosstower.data.reading import training_source
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.retrieval_data import prepare_retrieval
from crosstower.retrieval.sources.source_rows import SourceRows

from ...fixtures.sourced_films import recipes


def rows_of(recipe: Recipe) -> SourceRows:
    return SourceRows(recipe, prepare_retrieval(recipe, training_source(recipe.data)))


@pytest.fixture(scope="session")
def films_recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder: Path = tmp_path_factory.mktemp("source-rows")
    return recipes(folder)[0]


@pytest.fixture(scope="session")
def film_rows(films_recipe: Recipe) -> SourceRows:
    return rows_of(films_recipe)
