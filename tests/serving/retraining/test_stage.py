from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from crosstower.errors import DataError, RecipeError, RunError
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.times import TimeFormat
from crosstower.serving.retraining.plan import Labels, Runs
from crosstower.serving.retraining.stage import (
    RECIPES,
    Stage,
    check_weights,
    id_columns,
    run_of,
    stages_of,
    time_column,
)

from ...fixtures.live_films import UNTIL, LiveFilms, recipes, rows
from ...fixtures.retrieved_films import RetrievedFilms


def runs_of(films: LiveFilms) -> Runs:
    return Runs(retrieval=str(films.retrieval.folder), ranking=str(films.ranking.folder))


def ranking(split: dict[str, Any] | None = None, **data: Any) -> Recipe:
    plain: dict[str, Any] = {"columns": {"u": "categorical"}, "tasks": {"click": "binary"}}
    given = data | ({} if split is None else {"split": split})
    return Recipe.model_validate({"schema": plain, "data": given})


def test_stages_go_on_from_the_runs_of_the_bundle(live_films: LiveFilms) -> None:
    first, second = stages_of(live_films.bundle, None, runs_of(live_films))
    assert (first.name, second.name) == ("retrieval", "ranking")
    assert first.start.folder == live_films.retrieval.folder
    assert (first.time, second.time) == ("time", "time")
    assert first.needed == ("film", "user", "country", "device")
    assert second.needed == ("had", "device", "film", "genre", "liked")


def test_lists_of_times_are_needed_and_become_datetimes(tmp_path: Path) -> None:
    had = {"kind": "sequence", "table": "f", "pooling": "hstu", "times": "whens"}
    rows = pl.DataFrame({"f": ["a"], "had": [["b", "c"]], "whens": [[1_700_000_000, 1_700_000_060]],
                         "click": [1], "time": [1_700_000_100]})  # fmt: skip
    rows.write_parquet(tmp_path / "rows.parquet")
    recipe = Recipe.model_validate(
        {
            "schema": {
                "columns": {"f": "categorical", "had": had}, "tasks": {"click": "binary"}
            },
            "data": {"path": str(tmp_path / "rows.parquet"), "time": "time"},
        }
    )  # fmt: skip
    stage = Stage("ranking", recipe, None, "time")  # type: ignore[arg-type]
    assert stage.needed == ("f", "had", "click", "whens")
    base = stage.base(None, [])
    times = [datetime.fromtimestamp(1_700_000_000 + s, UTC) for s in (0, 60)]
    assert base["whens"].to_list() == [times]
    assert base["time"].item() == datetime.fromtimestamp(1_700_000_100, UTC)


def test_sample_weights_are_needed() -> None:
    tasks = {"click": {"kind": "binary", "sample_weight": "w"}, "stay": "regression"}
    plain = {"columns": {"u": "categorical"}, "tasks": tasks}
    recipe = Recipe.model_validate({"schema": plain, "data": {"path": "rows.parquet"}})
    stage = Stage("ranking", recipe, None, "time")  # type: ignore[arg-type]
    assert stage.needed == ("u", "click", "stay", "w")


def test_runs_of_another_bundle_are_refused(live_films: LiveFilms) -> None:
    with pytest.raises(RunError, match=r"runs.retrieval: missing; the first retraining continues"):
        stages_of(live_films.bundle, None, Runs(ranking=str(live_films.ranking.folder)))
    run, other = live_films.retrieval, live_films.only.retrieval
    assert other is not None
    with pytest.raises(RunError, match=r"runs.ranking: .* is not the run .*\(it has no model"):
        check_weights(run, live_films.ranking, key="runs.ranking")
    with pytest.raises(RunError, match=r"runs.retrieval: .*\(its weights differ\)"):
        check_weights(live_films.retrieval, other, key="runs.retrieval")
    with pytest.raises(RunError, match=r"runs.ranking: nowhere: no run in this folder"):
        run_of("nowhere", key="runs.ranking")


def test_a_ranker_that_reads_columns_of_retrieval_is_refused(
    retrieved_films: RetrievedFilms,
) -> None:
    runs = Runs(
        retrieval=str(retrieved_films.retrieval.folder), ranking=str(retrieved_films.ranking.folder)
    )
    with pytest.raises(RecipeError, match=r"reads retrieval\.score and retrieval\.sources, which"):
        stages_of(retrieved_films.bundle, None, runs)


def test_base_rows_have_their_time_as_one(live_films: LiveFilms) -> None:
    stage = stages_of(live_films.bundle, None, runs_of(live_films))[0]
    base = stage.base(None, ["liked", "absent"])
    assert base.columns == ["film", "user", "country", "device", "liked", "time"]
    assert base.height == rows().height
    assert base["time"].max() == datetime.fromtimestamp(UNTIL, UTC)
    assert base.schema["time"] == pl.Datetime("us", "UTC")


def test_base_rows_elsewhere_and_of_other_times(live_films: LiveFilms, tmp_path: Path) -> None:
    stage = stages_of(live_films.bundle, None, runs_of(live_films))[0]
    moved = str(tmp_path / "moved.parquet")
    rows().head(5).with_columns(
        pl.from_epoch("time").dt.strftime("%d.%m.%Y %H:%M:%S")
    ).write_parquet(moved)
    how = TimeFormat(format="%d.%m.%Y %H:%M:%S", timezone="Europe/Berlin")
    data = stage.recipe.data.model_copy(update={"times": {"time": how}})
    recipe = stage.recipe.model_copy(update={"data": data})
    berlin = Stage("retrieval", recipe, stage.start, "time")
    first: Any = berlin.base(moved, [])["time"]
    expected = datetime.fromtimestamp(UNTIL, UTC) - timedelta(seconds=60 * 899, hours=2)
    assert first.min() == expected
    with pytest.raises(
        DataError, match=r"rows of the retrieval recipe cannot be read.*rows: {base"
    ):
        stage.base(str(tmp_path / "gone.parquet"), [])
    rows().drop("device").write_parquet(moved)
    with pytest.raises(DataError, match="device"):
        stage.base(moved, [])


def test_times_that_only_order_rows_are_refused(live_films: LiveFilms, tmp_path: Path) -> None:
    stage = stages_of(live_films.bundle, None, runs_of(live_films))[0]
    path = str(tmp_path / "rows.parquet")
    rows().with_columns(pl.int_range(pl.len()).alias("time")).write_parquet(path)
    with pytest.raises(DataError, match="column 'time' holds numbers that only order the rows"):
        stage.base(path, [])


def test_rows_without_a_time_are_older_than_all_events(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"u": [1, 2], "click": [0, 1]}).write_parquet(path)
    recipe = ranking(path=str(path))
    stage = Stage("ranking", recipe, None, time_column(None, recipe))  # type: ignore[arg-type]
    base = stage.base(None, [])
    assert base["time"].to_list() == [None, None]
    assert base.schema["time"] == pl.Datetime("us", "UTC")


def test_base_rows_have_the_time_that_their_own_recipe_names(tmp_path: Path) -> None:
    """Whatever the time of other stages is called, and although the split is random."""
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"u": [1, 2], "click": [0, 1], "at": [0, 86_400]}).write_parquet(path)
    plain = yaml.safe_load(ranking(path=str(path)).to_yaml())
    plain["data"] |= {"events": "rows", "time": "at", "times": {"at": {"format": "s"}}}
    counter = {"kind": "counter", "event": "click", "by": "u", "window": "1d"}
    plain["schema"]["columns"]["clicks"] = counter
    recipe = Recipe.model_validate(plain)
    assert time_column(None, recipe) == "at"
    for name in ("at", "time"):
        base = Stage("ranking", recipe, None, name).base(None, [])  # type: ignore[arg-type]
        assert base.columns == ["u", "click", name]
        assert base[name].dt.epoch("s").to_list() == [0, 86_400]


def test_joined_columns_are_not_needed_but_their_keys_are(tmp_path: Path) -> None:
    table, path = tmp_path / "items.parquet", tmp_path / "rows.parquet"
    pl.DataFrame({"item": [1], "genre": ["x"], "price": [1.0]}).write_parquet(table)
    pl.DataFrame({"item": [1], "u": [1], "click": [1]}).write_parquet(path)
    recipe = Recipe.model_validate(
        {
            "data": {"path": str(path), "joins": [{"path": str(table), "on": "item"}]},
            "schema": {
                "columns": {"u": "categorical", "genre": "categorical"},
                "tasks": {"click": "binary"},
            },
            "evaluation": {"group": "u", "slices": ["price"]},
        }
    )
    stage = Stage("ranking", recipe, None, "time")  # type: ignore[arg-type]
    assert stage.needed == ("u", "click", "item")
    assert stage.base(None, []).columns == ["u", "click", "item", "time"]


def test_the_time_column_is_that_of_a_recipe(tmp_path: Path) -> None:
    retrieval, second = recipes(tmp_path)
    timed = ranking({"kind": "time", "column": "at"})
    assert time_column(retrieval, second) == "time"
    assert time_column(None, timed) == "at"
    assert time_column(None, ranking()) == "time"
    both = ranking({"kind": "time", "column": "u"})
    with pytest.raises(RecipeError, match="column 'u' is both the time of the rows and an input"):
        time_column(None, both)


def test_ids_are_those_of_the_retriever_or_of_the_plan(tmp_path: Path) -> None:
    retrieval, second = recipes(tmp_path)
    both = {"retrieval": retrieval, "ranking": second}
    assert id_columns(both, Labels()) == ("user", "film")
    assert id_columns(both, Labels(user="account")) == ("account", "film")
    with pytest.raises(RecipeError, match=r"labels.item: missing; the bundle only ranks"):
        id_columns({"ranking": second}, Labels())
    assert id_columns({"ranking": second}, Labels(item="film")) == (None, "film")
    for group, user in (("user", "user"), ("search", None), ("request_id", None)):
        evaluation = second.evaluation.model_copy(update={"group": group})
        grouped = {"ranking": second.model_copy(update={"evaluation": evaluation})}
        assert id_columns(grouped, Labels(item="film", request="search")) == (user, "film")


def test_a_version_has_its_runs_and_the_first_recipes(
    live_films: LiveFilms, tmp_path: Path
) -> None:
    (tmp_path / RECIPES).mkdir()
    for run in (live_films.retrieval, live_films.ranking):
        (tmp_path / run.folder.name).symlink_to(run.folder)
        text = run.recipe.model_copy(update={"name": f"first-{run.folder.name}"}).to_yaml()
        (tmp_path / RECIPES / f"{run.folder.name}.yaml").write_text(text)
    first, second = stages_of(live_films.bundle, tmp_path, Runs())
    assert (first.recipe.name, second.recipe.name) == ("first-retrieval", "first-ranking")
    assert second.start.folder == tmp_path / "ranking"


def test_where_cannot_read_a_joined_table(live_films: LiveFilms) -> None:
    stage = stages_of(live_films.bundle, None, runs_of(live_films))[0]
    assert stage.recipe.retrieval is not None
    section = stage.recipe.retrieval.model_copy(update={"where": "liked == 1"})
    recipe = stage.recipe.model_copy(update={"retrieval": section})
    where = Stage("retrieval", recipe, stage.start, "time")
    assert where.positives(pl.DataFrame({"liked": [0, 1, None]})).height == 1
    with pytest.raises(RecipeError, match=r"retrieval.where: reads 'liked' of a joined table"):
        where.positives(pl.DataFrame({"film": ["f01"]}))
