"""A ranker with counters: it learns from them, scores as it was tested, and leaks nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from crosstower.cli.evaluate import evaluate_app
from crosstower.cli.predict import predict_app
from crosstower.data.counters.count_files import load_counts
from crosstower.data.counters.counted_source import counted_training_source
from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.fitting.off_policy.evaluate import evaluate_policy
from crosstower.ranking.predict import predict_file
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.history import read_predictions
from crosstower.training.run import Run

from ..fixtures.counted_rows import DAY, RECIPE, START, counted_rows, log_of


def auc(run: Run) -> float:
    return run.metrics["tasks"]["click"]["logistic_regression"]["auc"]["mean"]


def cli(app: typer.Typer, *arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_moving_popularity_is_followed(counted_run: Run) -> None:
    assert auc(counted_run) > 0.65  # the item alone tells nothing: its popularity moves


def test_rows_are_scored_as_they_were_tested(counted_run: Run) -> None:
    test = read_predictions(counted_run, "logistic_regression", counted_run.info.seeds[0])
    with pytest.warns(match="of these rows trained the model"):
        scores = counted_run.predict(counted_rows(), columns=["time"])
    assert scores.columns == ["time", "click__prediction"]
    assert scores["click__prediction"].tail(test.height).equals(test["click__prediction"])


def test_rows_as_events_are_that_log(counted_run: Run, tmp_path: Path) -> None:
    rows = counted_run.folder.parent / "rows.parquet"
    text = RECIPE.replace("rows.parquet", str(rows)).replace("log.parquet", "rows")
    run = fit(parse_recipe(text), out=tmp_path / "run", quiet=True)
    assert auc(run) == auc(counted_run)


def test_shuffled_labels_cannot_be_told_from_their_events(tmp_path: Path) -> None:
    """A leak of a row's own label, or of a later one, would give more than chance."""
    rows = counted_rows(4_000, seed=3)
    click = np.random.default_rng(4).permutation(rows["click"].to_numpy())
    # One event per key and moment would tell the label if its own time counted.
    rows = rows.with_columns(click=pl.Series(click), item_id=pl.col("row") % 400)
    text = RECIPE.replace("path: rows.parquet, events: log.parquet", "events: rows")
    run = fit(parse_recipe(text), data=rows, out=tmp_path / "run", quiet=True)
    assert abs(auc(run) - 0.5) < 3 * 0.5 / np.sqrt(3 * 400 * 0.2)  # 3 standard errors


def test_the_run_keeps_the_counts_at_the_end_of_the_log(counted_run: Run) -> None:
    kept = load_counts(counted_run.folder / "counters")
    assert kept is not None
    assert kept.until == counted_rows()["time"].max() * 10**9
    assert tuple(kept.counts) == counted_run.recipe.schema_.counts()


def test_a_warm_start_counts_the_whole_log_and_moves_its_rate(
    counted_run: Run, tmp_path: Path
) -> None:
    """Rows of later days only are trained on; their counts are of all days."""
    later = counted_rows(1_000, seed=2).with_columns(pl.col("time") + 20 * DAY)
    log = pl.concat([log_of(counted_rows()), log_of(later)])
    log.write_parquet(tmp_path / "log.parquet")
    recipe = parse_recipe(RECIPE, folder=tmp_path)
    run = fit(recipe, data=later, out=tmp_path / "run", warm_start=counted_run, quiet=True)
    count, per = (c.column for c in recipe.schema_.counts()[:2])
    sums = np.zeros(2)
    for rows in (counted_rows(), later):
        frame = next(counted_training_source(recipe, rows).chunks([count, per])).frame
        train = frame[: round(0.8 * len(frame))]  # rows are in order of time
        sums += train.sum().row(0)
    assert run.encoder.states["rate"].rate == pytest.approx(sums[0] / sums[1], rel=1e-3)
    assert load_counts(run.folder / "counters").until == log["time"].max() * 10**9


class TestMatches:
    """Rows with events are reported, as rows with keys of joined tables are."""

    def test_rows_with_events_are_noted(self, counted_run: Run) -> None:
        notes = counted_run.info.facts.notes
        counts = [note for note in notes if note.startswith("counts of ")]
        assert [note.partition(":")[0] for note in counts] == [
            "counts of 'click' by item_id within 2d",
            "counts of 'impression' by item_id within 2d",
            "counts of 'impression' by item_id within 12h",
        ]
        assert "of 3,000 rows have events (9" in counts[1]

    @pytest.mark.filterwarnings("ignore:.* of these rows trained the model")
    def test_keys_that_are_written_otherwise_are_a_warning(self, counted_run: Run) -> None:
        rows = counted_rows(200)
        with pytest.warns(match="0 of 200 rows have events .0.0%.; check that rows and events"):
            counted_run.predict(rows.with_columns(item_id="i" + pl.col("item_id").cast(pl.String)))


class TestOtherEvents:
    """New rows are counted from the log of the recipe, or from another one."""

    @pytest.fixture
    def new(self, tmp_path: Path) -> Path:
        rows = counted_rows(2_000, seed=9).with_columns(pl.col("time") + 20 * DAY)
        rows.write_parquet(tmp_path / "new.parquet")
        return tmp_path / "new.parquet"

    def test_another_log_moves_the_scores(self, new: Path, counted_run: Run) -> None:
        likes = log_of(counted_rows(4_000, seed=5).with_columns(click=pl.col("item_id") % 2))
        likes.with_columns(pl.col("time") + 19 * DAY).write_parquet(new.with_name("likes.parquet"))
        for name in ("own", "other"):
            more = ["--events", str(new.with_name("likes.parquet"))] if name == "other" else []
            out = new.with_name(f"{name}.parquet")
            cli(predict_app, counted_run.folder, new, "-o", out, *more)
        own, other = (pl.read_parquet(new.with_name(f"{n}.parquet")) for n in ("own", "other"))
        by_item = other.filter(pl.col("time") > START + 24 * DAY).group_by(pl.col("item_id") % 2)
        means = dict(by_item.agg(pl.col("click__prediction").mean()).iter_rows())
        assert means[1] > 2 * means[0]
        assert own["click__prediction"].to_list() != other["click__prediction"].to_list()

    def test_evaluation_reads_it_too(self, new: Path, counted_run: Run) -> None:
        log_of(pl.read_parquet(new)).write_parquet(new.with_name("log.parquet"))
        more = ("--events", new.with_name("log.parquet"), "--out", new.with_name("r.html"))
        printed = cli(evaluate_app, counted_run.folder, "--data", new, "--json", *more)
        assert json.loads(printed)["click"]["logistic_regression"]["auc"]["mean"] > 0.65

    def test_a_log_that_is_gone(self, new: Path, counted_run: Run) -> None:
        folder = new.parent / "run"
        shutil.copytree(counted_run.folder, folder)
        text = (folder / "recipe.yaml").read_text().replace("/log.parquet", "/gone.parquet")
        (folder / "recipe.yaml").write_text(text)
        with pytest.raises(DataError, match=r"data\.events: .*gone\.parquet: no such file"):
            predict_file(Run.open(folder), new, new.with_name("scores.parquet"))
        assert not new.with_name("scores.parquet").exists()

    def test_a_history_reads_another_log(self, tmp_path: Path) -> None:
        """Rows of a data frame are not kept, so a log with the same clicks replaces them."""
        rows = counted_rows(600).with_columns(user=pl.col("row") % 20)
        history = {"kind": "sequence", "table": "item_id", "event": "click", "by": "user"}
        recipe = Recipe.model_validate(
            {
                "data": {"events": "rows", "split": {"kind": "time", "column": "time"}},
                "schema": {
                    "columns": {"item_id": "categorical", "history": history},
                    "tasks": {"click": "binary"},
                },
                "model": "mlp",
                "training": {"epochs": 1},
                "evaluation": {"baselines": []},
            }
        )
        run = fit(recipe, data=rows, out=tmp_path / "run", quiet=True)
        with pytest.raises(DataError, match=r"does not keep; give a log of events with --events"):
            run.predict(rows)
        clicks = rows.filter(pl.col("click") == 1).with_columns(type=pl.lit("click"))
        clicks.write_parquet(tmp_path / "clicks.parquet")
        with pytest.warns(match="of these rows trained the model"):
            scores = run.with_events(tmp_path / "clicks.parquet").predict(rows)
        test = read_predictions(run, "mlp", 0)["click__prediction"]
        assert scores["click__prediction"].tail(len(test)).equals(test)

    def test_a_run_without_counters(self, bandit_run: Run) -> None:
        with pytest.raises(RunError, match="no column reads events; leave out the log"):
            bandit_run.with_events("x.parquet")


def test_other_actions_have_no_counts(counted_run: Run) -> None:
    with pytest.raises(RunError, match="column 'rate' counts events, but the counts of other act"):
        evaluate_policy(counted_run, action="item_id", propensity="p")
