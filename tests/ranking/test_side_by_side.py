"""Several blends of one ranker as columns of one frame."""

from typing import Any

import numpy as np
import pytest

import crosstower as ct
from crosstower.blending.blender import fit_blend
from crosstower.errors import RecipeError, RunError
from crosstower.training.history import read_predictions
from crosstower.training.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*never seen in training")
BLENDS = {
    "plain": ct.Blend(weights={"like": 1, "comment": 2}),
    "typed": ct.Blend(weights={"like": 1, "comment": 2}, transform="probit", by="content_type"),
}


@pytest.fixture(scope="module")
def mixed() -> Run:
    """An mmoe of likes and comments without test rows; read only."""
    world = ct.worlds.make("feed_engagement", rows=1_500, seed=0)
    recipe = ct.Recipe(
        schema=world.schema,
        model={"name": "mmoe", "experts": 3, "trunk": {"name": "mlp", "hidden": [8]}},
        training=ct.Training(epochs=1),
        evaluation=ct.Evaluation(baselines=[], slices=["content_type"]),
    )
    return ct.fit(recipe, train=world.frame, quiet=True)


def test_each_blend_is_a_column_as_alone(mixed: Run) -> None:
    rows = ct.worlds.make("feed_engagement", rows=200, seed=5).frame
    found = mixed.predict(rows, columns=["item_id"], blend=BLENDS)
    assert found.columns == [
        "item_id",
        "like__prediction",
        "comment__prediction",
        "plain__score",
        "typed__score",
    ]
    p = found["like__prediction"].to_numpy(), found["comment__prediction"].to_numpy()
    assert found["plain__score"].to_numpy() == pytest.approx(p[0] + 2 * p[1])
    valid = read_predictions(mixed, "mmoe", 0, "valid.parquet")
    alone = fit_blend(BLENDS["typed"], mixed.recipe.schema_.kinds(), valid)
    frame = found.with_columns(rows["content_type"])
    assert found["typed__score"].to_numpy() == pytest.approx(alone.score(frame))


def test_one_blend_scores_in_place_of_the_runs_own(mixed: Run) -> None:
    rows = ct.worlds.make("feed_engagement", rows=100, seed=5).frame
    wanted = mixed.predict(rows, blend=BLENDS)
    for name, blend in BLENDS.items():
        found = mixed.predict(rows, blend=blend)
        assert found.columns == ["like__prediction", "comment__prediction", "blend__score"]
        assert found["blend__score"].to_list() == wanted[f"{name}__score"].to_list()
    with pytest.raises(RecipeError, match="stars"):
        mixed.predict(rows, blend=ct.Blend(weights={"stars": 1}))
    with pytest.raises(RecipeError, match=r"expected True, False, a Blend, .* got 'probit'"):
        mixed.predict(rows, blend="probit")  # type: ignore[arg-type]


def test_a_transform_by_type_makes_types_comparable(mixed: Run) -> None:
    rows = ct.worlds.make("feed_engagement", rows=4_000, seed=6).frame
    found = mixed.predict(rows, columns=["content_type"], blend=BLENDS)
    gaps: dict[str, Any] = {}
    for name in BLENDS:
        scores = found[f"{name}__score"]
        means = [scores.filter(found["content_type"] == kind).mean() for kind in ("photo", "video")]
        gaps[name] = abs(np.subtract(*means)) / scores.std()
    assert gaps["typed"] < 0.3 < gaps["plain"]


def test_blends_that_do_not_fit_are_refused(mixed: Run) -> None:
    rows = ct.worlds.make("feed_engagement", rows=20, seed=5).frame
    for blend, error, words in (
        (ct.Blend(weights={"share": 1}), RecipeError, "no task 'share'"),
        (5, RecipeError, "blend: expected {NAME: Blend"),
        (ct.Blend(weights={"like": 1}, transform="probit", by="context"), RunError, "lack context"),
    ):
        with pytest.raises(error, match=words):
            mixed.predict(rows, blend={"one": blend})  # type: ignore[dict-item]
