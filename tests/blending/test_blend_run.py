import json
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from crosstower.blending.blend_run import blend_run
from crosstower.blending.blender import load_blend
from crosstower.blending.utility import Constraint, Utility
from crosstower.cli.blend import print_blend
from crosstower.data.datasets import worlds
from crosstower.data.held_out import held_out_columns
from crosstower.data.reading import source_of
from crosstower.errors import DataError, RecipeError
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.fitting.fit import fit
from crosstower.recipe.blend import Blend, Diversity
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from ..fixtures.feed import ROWS

PROBIT = Blend(weights={"like": 1, "comment": 2}, transform="probit", by="content_type")


@pytest.fixture
def run(feed_run: Run, tmp_path: Path) -> Run:
    """A copy that a test may write into."""
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    return Run.open(tmp_path / "feed")


def test_the_blend_is_fitted_on_valid_and_shown_on_test(run: Run) -> None:
    result = blend_run(run, PROBIT)
    folder = run.model_folder("shared_bottom", 0)
    types = held_out_columns(run.recipe, source_of(run.recipe.data), ["content_type"])
    valid, test = (
        pl.concat([pl.read_parquet(folder / f"{n}.parquet"), types[n]], how="horizontal")
        for n in ("valid", "test")
    )
    score = np.zeros(test.height)
    for task, weight in (("like", 1), ("comment", 2)):
        for kind in ("photo", "video"):
            fitted = norm.ppf(valid.filter(content_type=kind)[f"{task}__prediction"])
            mine = test["content_type"].to_numpy() == kind
            z = norm.ppf(test[f"{task}__prediction"].to_numpy()[mine])
            score[mine] += weight * (z - fitted.mean()) / fitted.std()
    expected = ndcg_per_group(test["user_id"], score, test["like"], 10).mean
    other = pl.read_parquet(run.model_folder("shared_bottom", 1) / "test.parquet")
    assert other.height == test.height
    stored = pl.read_parquet(run.folder / "blended.parquet")
    found = ndcg_per_group(stored["user_id"], stored["blend__score"], stored["like"], 10).mean
    assert found == pytest.approx(expected, abs=1e-6)
    ours = result.orders[0]
    assert ours.name == "blend"
    assert ours.metrics["ndcg.like"].seeds == 2
    low, high = ours.intervals["ndcg.like"]
    assert low < expected < high


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_notebook_shows_orders_findings_and_distributions(run: Run) -> None:
    result = blend_run(run, PROBIT)
    orders = len(result.orders)
    assert repr(result) == f"BlendResult(like 1, comment 2; {orders} orders, '{result.page}')"
    html = result._repr_html_()
    for words in (*(order.name for order in result.orders), *result.sentences, "blend.html"):
        assert escape(words) in html
    axes = result.plot().axes
    titles = [one.get_title() for one in axes]
    assert titles[:2] == ["like: prediction, share of rows", "like: in the blend, share of rows"]
    assert axes[0].get_legend_handles_labels()[1] == ["photo", "video"]


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_scoring_gives_the_blend_from_then_on(run: Run) -> None:
    frame = worlds.make("feed_engagement", rows=ROWS).frame.drop("like", "comment")
    assert "blend__score" not in run.predict(frame.head(5)).columns
    blend_run(run, PROBIT)
    again = Run.open(run.folder)
    scored = again.predict(frame.head(50), columns=["content_type"])
    fitted = load_blend(again.model_folder("shared_bottom", 0) / "blend.json")
    np.testing.assert_allclose(scored["blend__score"], fitted.score(scored), rtol=1e-9)
    assert scored.columns == [
        "content_type",
        "like__prediction",
        "comment__prediction",
        "blend__score",
    ]
    one = again.predict(frame[7:8])
    assert one["blend__score"][0] == pytest.approx(scored["blend__score"][7], rel=1e-6)
    assert "blend__score" in again.predict(frame.head(2), seed=1).columns


def test_expected_events_are_counted_by_the_true_probabilities(run: Run) -> None:
    result = blend_run(run, Blend(weights={"like": 1}), k=5)
    best = next(o for o in result.orders if o.role == "best")
    for other in result.orders:
        assert other.metrics["expected.like"].mean <= best.metrics["expected.like"].mean + 1e-12
    assert [o.name for o in result.orders] == [
        "blend",
        "like alone",
        "shuffled",
        "true weighted sum",
    ]


def test_value_is_the_product_times_the_amount(run: Run) -> None:
    spec = Blend(weights={"like": 1, "comment": 0.5}, mode="product", amount="context")
    blend_run(run, spec)
    rows = pl.read_parquet(run.folder / "blended.parquet")
    expected = rows["like__prediction"] * rows["comment__prediction"].sqrt() * rows["context"]
    np.testing.assert_allclose(rows["blend__score"], expected)


WANTED = {"like": 1.0, "comment": 2.0}


def test_tuning_keeps_to_its_constraint_where_the_plain_sum_does_not(run: Run) -> None:
    share = Constraint(column="content_type", value="photo", min_share=0.6)
    utility = Utility(
        values=WANTED,
        user="user_id",
        k=3,
        by=(None, "content_type"),
        constraints=(share,),
        trials=15,
    )
    result = blend_run(run, tune=utility)
    shares = {o.name: o.metrics["share.photo"].mean for o in result.orders}
    assert shares["blend"] > 0.5
    assert shares["plain sum"] < 0.5
    assert "utility" in result.orders[0].metrics
    words = " ".join(result.sentences)
    assert "Tuned on the validation rows: the best of" in words
    found = re.search(
        r"On the test rows, share of content_type 'photo' at least 0.6: blend 0\.\d+ \(\w+\),"
        r" plain sum 0\.\d+ \(missed\)\.",
        words,
    )
    assert found is not None


def test_a_blend_by_hand_can_be_measured_by_a_utility(run: Run) -> None:
    utility = Utility(values=WANTED, user="user_id", k=7, metric="total")
    result = blend_run(run, Blend(weights=WANTED), utility=utility)
    assert result.comparison.k == 7
    rows = pl.read_parquet(run.folder / "blended.parquet").filter(pl.col("rank") <= 7)
    worth = (rows["like"] + 2 * rows["comment"]).sum() / rows["user_id"].n_unique()
    got = result.orders[0].metrics["utility"].mean
    assert got == pytest.approx(worth, abs=0.05)  # one seed against the mean of both


def test_diversity_is_the_last_step_and_is_compared_with_none(run: Run) -> None:
    capped = Diversity(by="content_type", caps={"video": 1}, top=4)
    result = blend_run(run, Blend(weights={"comment": 1}), diversity=capped, k=4)
    names = [o.name for o in result.orders]
    assert names[:2] == ["blend", "before diversity"]
    shares = {o.name: o.metrics["share.video"].mean for o in result.orders}
    assert shares["blend"] < 0.4  # some users have fewer than three photos
    assert shares["before diversity"] > 0.5
    assert any(s.startswith("Diversity changed the lists of") for s in result.sentences)


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_recipe_with_a_blend_is_blended_when_it_is_fitted(
    feed_recipe: Recipe, tmp_path: Path
) -> None:
    training = feed_recipe.training.model_copy(update={"epochs": 1})
    recipe = feed_recipe.model_copy(update={"blend": PROBIT, "training": training})
    frame = worlds.make("feed_engagement", rows=5_000).frame
    run = fit(recipe, data=frame, out=tmp_path / "run", quiet=True)
    assert (run.folder / "blend.html").is_file()
    assert "blend__score" in run.predict(frame.head(3)).columns


def test_a_blend_in_a_recipe_needs_lists(feed_recipe: Recipe, tmp_path: Path) -> None:
    evaluation = feed_recipe.evaluation.model_copy(update={"group": None})
    recipe = feed_recipe.model_copy(update={"blend": PROBIT, "evaluation": evaluation})
    with pytest.raises(RecipeError, match=r"Set evaluation\.group to a column"):
        fit(recipe, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_content_type_unseen_in_fitting_is_counted(run: Run) -> None:
    for seed in run.info.seeds:
        path = run.model_folder("shared_bottom", seed) / "test.parquet"
        test = pl.read_parquet(path)
        kinds = pl.Series("kind", ["ad", *["photo"] * (test.height - 1)])
        test.with_columns(kinds).write_parquet(path)
        valid = path.with_name("valid.parquet")
        pl.read_parquet(valid).with_columns(kind=pl.lit("photo")).write_parquet(valid)
    result = blend_run(run, Blend(weights={"like": 1}, transform="percentile", by="kind"))
    assert any(
        "1 test rows use the maps of all types" in n and "'ad' (1)" in n for n in result.notes
    )


@pytest.mark.parametrize(
    ("spec", "options", "error", "words"),
    [
        (None, {}, RecipeError, "blend: no weights; give --weights"),
        (Blend(weights={"lik": 1}), {}, RecipeError, "no task 'lik'; did you mean 'like'"),
        (Blend(weights={"like": 1}, by="kind"), {}, DataError, "no column 'kind'"),
        (Blend(weights={"like": 1}, by="comment"), {}, RecipeError, "'comment' is a task of the"),
        (
            Blend(weights={"like": 1}),
            {"k": 3, "utility": Utility(values=WANTED, user="user_id")},
            RecipeError,
            "-k: 3 was given, but the utility has k: 10",
        ),
        (Blend(weights={"like": 1}), {"user": "usr"}, DataError, "no column 'usr'"),
        (
            Blend(weights={"like": 1}),
            {"user": "item_id", "utility": Utility(values=WANTED, user="user_id")},
            RecipeError,
            "--user: 'item_id' was given, but the utility has user: user_id",
        ),
    ],
)
def test_wrong_blends_are_explained(
    run: Run, spec: Blend | None, options: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as raised:
        blend_run(run, spec, **options)
    assert words in str(raised.value)
    assert not (run.folder / "blend.html").exists()


def test_an_interrupted_blend_says_no_more_than_the_scores(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    blend_run(run, PROBIT)
    (run.folder / "funnel.json").write_text("{}")

    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.blending.blend_run.write_blend_report", stop)
    with pytest.raises(KeyboardInterrupt):
        blend_run(run, Blend(weights={"like": 1}))
    # The scores are those of the new blend, and nothing is said of the old one any more.
    for seed in run.info.seeds:
        kept = load_blend(run.model_folder("shared_bottom", seed) / "blend.json")
        assert kept.spec.weights == {"like": 1}
    assert not (run.folder / "blended.json").exists()
    assert not (run.folder / "funnel.json").exists()


def test_names_with_brackets_are_printed_as_they_are(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in run.info.seeds:
        for split in ("valid", "test"):
            path = run.model_folder("shared_bottom", seed) / f"{split}.parquet"
            rows = pl.read_parquet(path)
            kinds = pl.Series("kind", ["vid[/b]", "ph[red]x"] * rows.height)[: rows.height]
            rows.with_columns(kinds).write_parquet(path)
    print_blend(blend_run(run, Blend(weights={"like": 1}, transform="logit", by="kind")))
    out = capsys.readouterr().out
    assert "vid[/b]" in out
    assert "ph[red]x" in out


def test_resuming_makes_up_for_predictions_that_are_missing_and_keeps_a_later_blend(
    run: Run,
) -> None:
    blend_run(run, Blend(weights={"like": 1}))
    (run.model_folder("shared_bottom", 0) / "valid.parquet").unlink()
    recipe = run.recipe.model_copy(update={"blend": PROBIT})
    (run.folder / "recipe.yaml").write_text(recipe.to_yaml())
    fit(recipe, out=run.folder, resume=True, quiet=True)
    assert (run.model_folder("shared_bottom", 0) / "valid.parquet").is_file()
    kept = json.loads((run.folder / "blended.json").read_text())
    assert kept["blend"]["weights"] == {"like": 1.0}


def test_the_diversity_of_the_recipe_stays(run: Run) -> None:
    capped = Diversity(by="content_type", caps={"video": 3}, top=5)
    spec = Blend(weights={"like": 1}, diversity=capped)
    recipe = run.recipe.model_copy(update={"blend": spec})
    result = blend_run(Run(run.folder, recipe, run.info), Blend(weights={"comment": 1}))
    assert result.blend.diversity == capped
    other = Diversity(by="content_type", caps={"photo": 1}, top=5)
    result = blend_run(Run(run.folder, recipe, run.info), spec, diversity=other)
    assert result.blend.diversity == other


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_rows_without_an_amount_are_bad_rows(feed_recipe: Recipe, tmp_path: Path) -> None:
    frame = worlds.make("feed_engagement", rows=4_000).frame
    bid = pl.Series("bid", [None if i % 50 == 0 else 1.0 + i % 7 for i in range(4_000)])
    frame = frame.with_columns(bid)
    spec = Blend(weights={"like": 1}, mode="product", amount="bid")
    data = feed_recipe.data.model_copy(update={"on_bad_rows": "skip"})
    training = feed_recipe.training.model_copy(update={"epochs": 1})
    recipe = feed_recipe.model_copy(update={"blend": spec, "training": training})
    with pytest.raises(DataError, match="column 'bid': expected an amount of at least 0"):
        fit(recipe, data=frame, out=tmp_path / "strict", quiet=True)
    assert not (tmp_path / "strict").exists()
    lenient = recipe.model_copy(update={"data": data})
    run = fit(lenient, data=frame, out=tmp_path / "run", quiet=True)
    assert "80 rows left out for 'bid'" in run.info.facts.notes
    scored = run.predict(frame)["blend__score"]
    assert (len(scored), scored.null_count()) == (4_000, 80)
    assert scored.drop_nulls().is_finite().all()
    # A column that was not stored is read from the rows again: the same ones are left out.
    other = Blend(weights={"comment": 1}, diversity=Diversity(mmr=0.9, similar_by=("item_id",)))
    assert blend_run(run, other, data=frame).page.is_file()


@pytest.mark.parametrize("name", ["blend", "tune", "utility", "diversity"])
def test_a_section_given_as_plain_data_is_named(feed_run: Run, name: str) -> None:
    with pytest.raises(RecipeError, match=rf"^{name}: expected a .*, got a dict; create one with"):
        blend_run(feed_run, **{name: {"weights": {"like": 1}}})  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_a_blend_counts_at_least_one_place(feed_run: Run, k: Any) -> None:
    with pytest.raises(RecipeError, match="k: expected at least 1"):
        blend_run(feed_run, Blend(weights={"like": 1}), k=k)


def test_two_utilities_are_one_too_many(feed_run: Run) -> None:
    utility = Utility(values={"like": 1}, user="user_id")
    with pytest.raises(RecipeError, match="tune already measures"):
        blend_run(feed_run, tune=utility, utility=utility)
