"""Published train, valid and test files: metrics beside an independent NumPy computation."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.data.relevant_counts import RelevantCounts
from crosstower.fitting.fit import fit
from crosstower.recipe.loading import load_recipe
from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.retrieval.results import stored_report
from crosstower.retrieval.run_files import FOLDER, ID, load_lists
from crosstower.training.run import Run

from ...fixtures.films import recipe, watches
from ...test_examples import ROOT, data_folder

SPLITS = ("train", "valid", "test")
K = 10
QUICK = ["training.epochs=1", "retrieval.baselines=[popularity]", "retrieval.k=[5,10]"]


def published(name: str, users: int) -> dict[str, pl.DataFrame]:
    """Return the rows of the first users of a published data set."""
    data = data_folder()
    if data is None or not (data / name).is_dir():
        pytest.skip(f"{name}: not at hand; set CROSSTOWER_DATA to its folder")
    frames = {s: pl.read_parquet(data / name / f"{s}.parquet") for s in SPLITS}
    return {split: frame.filter(pl.col("user") < users) for split, frame in frames.items()}


def sets(frame: pl.DataFrame) -> dict[int, set[int]]:
    return {user: set(items) for user, items in frame.group_by("user").agg("item").iter_rows()}


def oracle(lists: dict[int, list[int]], wanted: dict[int, set[int]], k: int) -> dict[str, float]:
    """Return the mean metrics of the first k, query by query, in float64."""
    found: dict[str, list[float]] = {m: [] for m in ("recall", "hit_rate", "ndcg", "mrr", "map")}
    for user, relevant in wanted.items():
        hits = np.array([item in relevant for item in lists[user][:k]], dtype=np.float64)
        gains = 1.0 / np.log2(np.arange(2, k + 2))
        best = gains[: min(len(relevant), k)].sum()
        ranks = np.flatnonzero(hits) + 1
        precision = [hits[:rank].sum() / rank for rank in ranks]
        found["recall"].append(hits.sum() / len(relevant))
        found["hit_rate"].append(float(hits.any()))
        found["ndcg"].append((hits * gains[: len(hits)]).sum() / best)
        found["mrr"].append(1.0 / ranks[0] if len(ranks) else 0.0)
        found["map"].append(sum(precision) / min(len(relevant), k))
    return {f"{name}@{k}": float(np.mean(values)) for name, values in found.items()}


def lists_of(run: Run, path: Path) -> dict[int, list[int]]:
    """Return the stored lists by user, as item ids."""
    folder = run.folder / FOLDER
    ids = pl.read_parquet(folder / "items.parquet")[ID].to_numpy()
    queries = pl.read_parquet(folder / "queries.parquet")["id"].to_list()
    return dict(zip(queries, ids[load_lists(path)].tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "example"),
    [("ml-1m-unordered", "movielens_1m"), ("lastfm-unordered", "lastfm")],
)
def test_metrics_of_published_files_equal_an_oracle(
    name: str, example: str, tmp_path: Path
) -> None:
    parts = published(name, users=300)
    one = load_recipe(ROOT / "examples" / f"{example}.yaml", QUICK)
    run = fit(
        one,
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        out=tmp_path / "run",
        quiet=True,
    )
    wanted = sets(parts["test"])
    history = sets(pl.concat([parts["train"], parts["valid"]]))
    assert max(map(len, wanted.values())) > 3  # several relevant items per user
    paths = {
        "two_tower": run.model_folder("two_tower", 0) / "test.parquet",
        "popularity": run.folder / FOLDER / "baselines" / "popularity.parquet",
    }
    for model, path in paths.items():
        lists = lists_of(run, path)
        assert all(not history.get(user, set()) & set(lists[user]) for user in wanted)
        for k in (5, K):
            for metric, value in oracle(lists, wanted, k).items():
                assert run.metrics["retrieval"][model][metric]["mean"] == pytest.approx(value)
    popular = lists_of(run, paths["popularity"])
    counts = dict(parts["train"]["item"].value_counts().iter_rows())
    for user in wanted:  # the best of what the user did not have, whatever the order of ties
        rest = sorted(
            (n for i, n in counts.items() if i not in history.get(user, set())), reverse=True
        )
        assert [counts.get(item, 0) for item in popular[user]] == rest[:K]
    assert run.metrics["relevant_counts"] == {
        "total": parts["test"].height, "seen": 0, "rule": "ignored"
    }  # fmt: skip
    known = set(parts["train"]["item"])
    unseen = run.encoder.tables["item"].encode(
        pl.Series(sorted(set(parts["test"]["item"]) - known))
    )
    assert len(unseen)
    assert (unseen == 2).all()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"exclude_seen": True}, "ignored"),
        ({"exclude_seen": True, "seen_relevant": "miss"}, "missed"),
        ({"exclude_seen": False}, "shown"),
    ],
)
def test_relevant_items_in_the_history_count_as_the_recipe_says(
    tmp_path: Path, changes: dict, rule: str
) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    section = one.retrieval.model_dump(exclude_unset=True) | changes  # type: ignore[union-attr]
    plain = one.model_dump(mode="json", by_alias=True, exclude_unset=True)
    one = type(one).model_validate(plain | {"retrieval": section})
    run = fit(one, out=tmp_path / "run", quiet=True)
    rows = watches().rename({"film": "item"}).with_row_index("row").sort("user", "time")
    last = rows.group_by("user", maintain_order=True).last()
    before = rows.join(last, on="row", how="anti")
    wanted, history = sets(last), sets(before)
    again = sum(len(history[user] & relevant) for user, relevant in wanted.items())
    assert 0 < again < len(wanted)
    report = stored_report(run)
    assert report.relevant_counts == RelevantCounts(total=len(wanted), seen=again, rule=rule)  # type: ignore[arg-type]
    if rule == "ignored":
        wanted = {user: relevant - history[user] for user, relevant in wanted.items()}
        wanted = {user: relevant for user, relevant in wanted.items() if relevant}
    assert report.queries == len(wanted)
    lists = lists_of(run, run.model_folder("two_tower", 0) / "test.parquet")
    shown_again = any(history[user] & set(shown) for user, shown in lists.items())
    assert shown_again is (rule == "shown")
    for metric, value in oracle(lists, wanted, K).items():
        assert run.metrics["retrieval"]["two_tower"][metric]["mean"] == pytest.approx(value)
    assert f"{again} of 120 relevant items" in run.report.read_text()


def test_other_rows_report_what_their_users_already_had(film_run: Run, tmp_path: Path) -> None:
    rows = watches(200, seed=5)
    report = evaluate_retrieval_on(film_run, rows, tmp_path / "page.html")[0]
    history, wanted = sets(watches().rename({"film": "item"})), sets(rows.rename({"film": "item"}))
    again = sum(len(history[user] & relevant) for user, relevant in wanted.items())
    total = sum(map(len, wanted.values()))
    assert report.relevant_counts == RelevantCounts(total=total, seen=again, rule="shown")
    assert report.relevant_counts is not None
    assert report.relevant_counts.words() in (tmp_path / "page.html").read_text()
