"""Id-only retrievers that start from the spectrum of their training pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crosstower.data.sources.source import open_source
from crosstower.errors import RecipeError
from crosstower.models.registry import build
from crosstower.models.two_tower import TwoTower
from crosstower.nn.embedding import INIT_STD
from crosstower.nn.world import ALONE
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.retrieval_data import RetrievalData, prepare_retrieval
from crosstower.retrieval.data.spectral_start import check_spectral_start, start_from_spectrum
from crosstower.retrieval.job import RetrievalJob

from ...fixtures.films import recipe, watches

BAG = {"had": {"kind": "bag"}, "film": "categorical"}
WIDTH = 4


def ids_recipe(folder: Path, columns: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    plain = recipe(folder).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain["data"]["split"] = {"kind": "leave_last_out", "group": "user", "time": "time"}
    plain["schema"] = {"columns": BAG if columns is None else columns}
    plain["model"] = {
        "name": "two_tower",
        "item": ["film"],
        "dim": WIDTH,
        "embedding_dim": WIDTH,
        "normalise": False,
    }
    plain["retrieval"] |= {"objective": "full_softmax", "history": "had", "start": "spectral"}
    watches(1500).write_parquet(folder / "rows.parquet")
    for section, values in changes.items():
        plain[section] = {**plain[section], **values}
    return Recipe.model_validate(plain)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RetrievalData:
    one = ids_recipe(tmp_path_factory.mktemp("films"))
    return prepare_retrieval(one, open_source(one.data.path))


def new_model(data: RetrievalData, width: int = WIDTH) -> TwoTower:
    options = {"name": "two_tower", "item": ["film"], "dim": width, "embedding_dim": width}
    torch.manual_seed(0)
    model = build(data.encoder.layout, {**options, "normalise": False})
    assert isinstance(model, TwoTower)
    return model


def pairs_of(data: RetrievalData) -> np.ndarray:
    users, items = data.train.pairs(np.arange(len(data.rows.users)))
    pairs = np.zeros((len(data.rows.users), len(data.items)))
    pairs[users, items] = 1.0
    return pairs


def vectors_of(model: TwoTower, data: RetrievalData) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of each item, and of each item as a history."""
    one = torch.arange(len(data.items))
    encoder = data.query_encoder()
    with torch.no_grad():
        items = model.eval().items(data.item_batch)
        alone = encoder.batch(data.queries.take(np.zeros(len(one), int)), one, one, one + 1)
        return items.double().numpy(), model.queries(alone).double().numpy()


def test_scores_are_those_of_the_low_pass_filter(data: RetrievalData) -> None:
    """Oracle: x D^-½ V Vᵀ, by NumPy's dense singular value decomposition."""
    model = new_model(data)
    start_from_spectrum(model, data, ALONE)
    pairs = pairs_of(data)
    seen = pairs.any(0)
    inverse = 1 / np.sqrt(np.maximum(pairs.sum(0), 1))
    scaled = pairs / np.sqrt(np.maximum(pairs.sum(1, keepdims=True), 1)) * inverse
    strongest = np.linalg.svd(scaled)[2][:WIDTH]
    expected = (inverse[:, None] * strongest.T) @ strongest
    items, histories = vectors_of(model, data)
    found = (histories @ items.T)[np.ix_(seen, seen)]
    expected = expected[np.ix_(seen, seen)]
    np.testing.assert_allclose(found / found.std(), expected / expected.std(), atol=1e-5)
    for vectors in (items[seen], histories[seen]):
        assert np.sqrt(np.square(vectors).mean()) == pytest.approx(INIT_STD, rel=1e-5)


def test_items_without_a_pair_and_dimensions_beyond_the_rank_stay_random(
    data: RetrievalData,
) -> None:
    width = len(data.items) + 5
    random, model = new_model(data, width), new_model(data, width)
    start_from_spectrum(model, data, ALONE)
    before, after = vectors_of(random, data)[0], vectors_of(model, data)[0]
    rank = np.linalg.matrix_rank(pairs_of(data))
    assert rank < min(width, *pairs_of(data).shape) + 1
    np.testing.assert_array_equal(before[:, rank:], after[:, rank:])
    assert (before[:, :rank] != after[:, :rank]).any()
    unseen = ~pairs_of(data).any(0)
    assert unseen.any()
    np.testing.assert_array_equal(before[unseen], after[unseen])


def test_a_random_start_is_random(data: RetrievalData, tmp_path: Path) -> None:
    job = RetrievalJob(ids_recipe(tmp_path, retrieval={"start": "random"}))
    job.data = data
    before, model = new_model(data), new_model(data)
    job.start_model(model, ALONE)
    assert all(
        torch.equal(a, b) for a, b in zip(before.parameters(), model.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("columns", "changes", "words"),
    [
        (BAG | {"had": {"kind": "bag", "table": "film"}}, {}, "without a table of another"),
        (BAG | {"had": {"kind": "sequence", "table": "film"}}, {}, "declare it as {kind: bag}"),
        (BAG | {"user": "categorical"}, {}, "a query of only the user's items"),
        (
            BAG | {"genre": "categorical"},
            {"model": {"item": ["film", "genre"]}},
            "id-only item tower",
        ),
        (BAG | {"film": "numeric"}, {}, "a categorical column of film"),
        (None, {"model": {"item_hidden": [8]}}, "drop model.item_hidden"),
        (None, {"model": {"query_hidden": [8]}}, "drop model.query_hidden"),
        (None, {"model": {"embedding_dim": 8}}, "got 8 and model.dim 4"),
        (BAG | {"had": {"kind": "bag", "dim": 6}}, {}, "got 6 and model.dim 4"),
        (BAG | {"film": {"kind": "categorical", "hash_buckets": 9}}, {}, "film.hash_buckets"),
        (None, {"training": {"pretrained": {"film": "v.parquet"}}}, "film gives these vectors too"),
    ],
)
def test_other_recipes_are_refused(
    tmp_path: Path, columns: dict[str, Any] | None, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=r"^retrieval\.start: spectral: ") as refused:
        check_spectral_start(ids_recipe(tmp_path, columns, **changes))
    assert words in str(refused.value)


def test_a_recipe_of_ids_alone_is_taken(tmp_path: Path) -> None:
    check_spectral_start(ids_recipe(tmp_path))
