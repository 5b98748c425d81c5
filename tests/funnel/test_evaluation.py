"""The stages of a funnel against what was to be found."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.datasets import worlds
from crosstower.errors import DataError, QueryError
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.funnel.evaluation import FunnelLists, evaluate_funnel, funnel_lists
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.queries import FunnelQueries, queries_of_rows, queries_of_run
from crosstower.funnel.report import FunnelReport
from crosstower.retrieval.run_files import COUNT, load_lists

from ..fixtures.counted_films import CountedFilms
from ..fixtures.funnels import Runs, watches

PLENTY = 20_000_000


@pytest.fixture(scope="module")
def funnel(blended: Runs) -> Funnel:
    return Funnel.open(blended.retrieval, blended.ranking, candidates=40)


@pytest.fixture(scope="module")
def queries(funnel: Funnel) -> FunnelQueries:
    return queries_of_run(funnel, [], lambda _stage, _rows: None)


@pytest.fixture(scope="module")
def lists(funnel: Funnel, queries: FunnelQueries) -> FunnelLists:
    return funnel_lists(funnel, queries, k=10, limit=PLENTY)


@pytest.fixture(scope="module")
def report(funnel: Funnel) -> FunnelReport:
    return evaluate_funnel(funnel, k=10, truth=relevance)


def relevance(rows: pl.DataFrame) -> np.ndarray:
    """The world's formula."""
    fits = rows["amenities"].list.contains(rows["wanted"])
    near = rows["city"] == rows["home_city"]
    gap = (rows["price"] / rows["budget"]).log().abs()
    return expit(-1 + 1.5 * fits.cast(float) + near.cast(float) - 2 * gap).to_numpy()


def test_what_is_retrieved_is_what_the_run_was_tested_with(
    funnel: Funnel, lists: FunnelLists
) -> None:
    run = funnel.retriever.run
    stored = load_lists(run.model_folder("two_tower", 0) / "test.parquet")
    assert np.array_equal(lists.candidates[:, : stored.shape[1]], stored)
    assert np.array_equal(lists.shown["retrieved"], stored[:, :10])


def test_popular_items_are_those_with_most_training_rows(
    funnel: Funnel, queries: FunnelQueries, lists: FunnelLists
) -> None:
    counts = funnel.retriever.items[COUNT].to_numpy()
    for query in (0, 5, 9):
        left = counts.astype(float)
        left[queries.evaluation.history(query)] = -1
        assert sorted(counts[lists.shown["popular"][query]]) == sorted(np.sort(left)[-10:])


def test_lists_follow_the_scores_of_the_candidates(
    funnel: Funnel, queries: FunnelQueries, lists: FunnelLists
) -> None:
    items = funnel.retriever.catalogue
    for query in (0, 3):
        candidates = lists.candidates[query]
        row = np.full(len(candidates), query)
        scored = funnel.score(queries.columns, row, candidates)
        clicks = candidates[np.argsort(-scored["click__prediction"].to_numpy(), kind="stable")]
        blend = candidates[np.argsort(-scored["blend__score"].to_numpy(), kind="stable")]
        assert lists.shown["ranked"][query].tolist() == clicks[:10].tolist()
        assert lists.shown["blended"][query].tolist() == blend[:10].tolist()
        cities = items.attributes["city"].gather(lists.shown["diversified"][query][:5])
        assert cities.value_counts()["count"].max() <= 2


def test_metrics_are_those_of_the_lists(
    queries: FunnelQueries, lists: FunnelLists, report: FunnelReport
) -> None:
    assert [stage.name for stage in report.stages] == list(lists.shown) == [
        "popular", "retrieved", "ranked", "blended", "diversified", "all items ranked",
        "all items blended", "perfect order of the retrieved", "perfect",
    ]  # fmt: skip
    for stage in report.stages:
        found = list_metrics(lists.shown[stage.name], queries.evaluation.relevant, [10])
        for metric in ("recall@10", "ndcg@10", "mrr@10", "hit_rate@10"):
            assert stage.metrics[metric].mean == pytest.approx(found[metric].mean(), abs=1e-12)
            assert stage.metrics[metric].low <= stage.metrics[metric].mean
    assert report.stage("perfect").metrics["ndcg@10"].mean == 1.0


def test_no_order_of_the_candidates_beats_the_perfect_one(
    queries: FunnelQueries, lists: FunnelLists
) -> None:
    values = {
        name: list_metrics(shown, queries.evaluation.relevant, [10])["ndcg@10"]
        for name, shown in lists.shown.items()
    }
    best = values["perfect order of the retrieved"]
    for name in ("retrieved", "ranked", "blended", "diversified"):
        assert (values[name] <= best + 1e-12).all()
    assert (best > values["blended"]).any()


def test_nothing_that_was_had_is_shown(queries: FunnelQueries, lists: FunnelLists) -> None:
    query, item = queries.evaluation.seen
    history = set(zip(query.tolist(), item.tolist(), strict=True))
    assert history
    for name in lists.shown:
        rows = lists.shown[name].tolist()
        assert not history & {(q, place) for q, row in enumerate(rows) for place in row}


def test_with_all_items_as_candidates_retrieval_misses_nothing(blended: Runs) -> None:
    funnel = Funnel.open(blended.retrieval, blended.ranking, candidates=10**6)
    queries = queries_of_run(funnel, [], lambda _stage, _rows: None).sampled(30, seed=1)
    lists = funnel_lists(funnel, queries, k=10, limit=PLENTY)
    for name in ("ranked", "blended"):
        assert np.array_equal(lists.shown[name], lists.shown[f"all items {name}"])
    assert np.array_equal(
        lists.shown["perfect order of the retrieved"] >= 0, lists.candidates[:, :10] >= 0
    )


def test_what_is_left_is_what_the_lists_hold(
    queries: FunnelQueries, lists: FunnelLists, report: FunnelReport
) -> None:
    query, item = queries.evaluation.relevant
    pairs = set(zip(query.tolist(), item.tolist(), strict=True))
    shown = {"retrieval": lists.candidates, "ranking": lists.shown["ranked"]}
    shown |= {"blending": lists.shown["blended"], "diversity": lists.shown["diversified"]}
    before = len(pairs)
    assert report.relevant == before
    for step in report.steps:
        rows = shown[step.name].tolist()
        left = pairs & {(q, place) for q, row in enumerate(rows) for place in row}
        assert step.left == len(left) == before - step.lost + step.gained
        before = step.left


def test_the_truth_of_a_stage_is_the_sum_over_its_lists(
    queries: FunnelQueries, lists: FunnelLists, funnel: Funnel, report: FunnelReport
) -> None:
    items = funnel.retriever.catalogue.attributes
    shown = lists.shown["blended"]
    worth = []
    for number, row in enumerate(shown):
        query = queries.columns[[number] * len(row)]
        worth.append(relevance(pl.concat([query, items[row]], how="horizontal")).sum())
    found = report.stage("blended").metrics["true_value@10"]
    assert found.mean == pytest.approx(np.mean(worth))
    assert "true_value@10" not in report.stage("perfect").metrics
    assert any("the true value of the first 10" in words for words in report.verdicts)


@pytest.mark.parametrize(
    "truth", [lambda rows: np.ones(3), lambda rows: np.full(rows.height, np.nan)]
)
def test_a_truth_that_is_no_number_a_row_is_refused(funnel: Funnel, truth: Any) -> None:
    with pytest.raises(DataError, match="truth: expected a finite number for each of"):
        evaluate_funnel(funnel, truth=truth)


def test_queries_are_drawn_where_there_are_too_many(funnel: Funnel, queries: FunnelQueries) -> None:
    items = len(funnel.retriever.catalogue)
    report = evaluate_funnel(funnel, limit=25 * items, seed=4)
    assert report.queries == len(queries)  # times 40 candidates is below the limit
    assert report.stage("all items ranked").queries == 25
    assert report.stage("ranked").queries == len(queries)
    assert f"ranked over all {items:,} items: a sample of 25 queries, seed 4" in report.notes
    few = evaluate_funnel(funnel, limit=30 * 40, seed=4)
    assert few.queries == 30
    assert f"a sample of 30 of {len(queries)} queries, seed 4" in few.notes
    assert "raise the limit" in few.notes[-1]
    assert "all items ranked" not in {stage.name for stage in few.stages}


def test_drawn_queries_keep_their_relevant_items(queries: FunnelQueries) -> None:
    few = queries.sampled(20, seed=2)
    assert few.sampled(50, seed=9) is few
    places = {user: i for i, user in enumerate(queries.evaluation.ids.to_list())}
    for i, user in enumerate(few.evaluation.ids.to_list()):
        whole = places[user]
        for mine, theirs in (
            (few.evaluation.relevant, queries.evaluation.relevant),
            (few.evaluation.seen, queries.evaluation.seen),
        ):
            assert mine[1][mine[0] == i].tolist() == theirs[1][theirs[0] == whole].tolist()
        assert few.columns.row(i) == queries.columns.row(whole)
        own = few.evaluation.history(i).tolist()
        assert own == queries.evaluation.history(whole).tolist()


def test_drawn_queries_for_all_items_get_the_lists_of_all_queries(
    funnel: Funnel, queries: FunnelQueries, lists: FunnelLists
) -> None:
    items = len(funnel.retriever.catalogue)
    some = funnel_lists(funnel, queries, k=10, limit=25 * items)
    mine = some.covered["all items blended"]
    assert mine.sum() == 25
    for name in ("all items ranked", "all items blended"):
        assert np.array_equal(some.shown[name][mine], lists.shown[name][mine])


def test_other_rows_are_evaluated(funnel: Funnel) -> None:
    later = worlds.make("rentals", rows=1_000, seed=5).frame
    known = funnel.retriever.catalogue.ids
    report = evaluate_funnel(funnel, data=later.filter(pl.col("listing_id").is_in(known)))
    assert report.source == "data frame"
    assert len(report.notes) == 1
    assert re.fullmatch(
        r"0 of \d+ relevant items .*\(retrieval.seen_relevant: ignore\)", report.notes[0]
    )
    clicks = later.filter((pl.col("click") == 1) & pl.col("listing_id").is_in(known))
    assert 0 < report.relevant <= clicks.select("user_id", "listing_id").n_unique()


def test_other_rows_that_hold_nothing_new_are_refused(funnel: Funnel) -> None:
    rows = worlds.make("rentals", rows=20_000).frame
    with pytest.raises(DataError, match="no relevant item is left: all are in"):
        evaluate_funnel(funnel, data=rows)


def test_k_and_limit_have_bounds(funnel: Funnel) -> None:
    with pytest.raises(QueryError, match="k: expected 1 to 40, the number of candidates, got 41"):
        evaluate_funnel(funnel, k=41)
    with pytest.raises(QueryError, match="limit: expected at least 40 rows"):
        evaluate_funnel(funnel, limit=39)


def hours_of(rows: pl.DataFrame, *, late: pl.Expr) -> pl.DataFrame:
    """Rows with an hour that is not a number for some."""
    hour = pl.when(late).then(pl.lit("late")).otherwise(pl.col("hour").cast(pl.String))
    return rows.with_columns(hour.alias("hour"))


def test_candidates_that_cannot_be_scored_are_counted(cinema: Runs) -> None:
    """The ranker cannot read the year of the last film, nor the hour of every third user."""
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    rows = hours_of(watches(300, seed=5), late=pl.col("user") % 3 == 0)
    queries = queries_of_rows(funnel, rows, ["hour"], lambda _stage, _rows: None)
    late = int((queries.columns["hour"] == "late").sum())
    assert 0 < late < len(queries)
    films, total = 40, len(queries)
    counts = {
        f"{stage}: {count:,} of {total * films:,} rows left out for '{column}'"
        for stage in ("ranking candidates", "ranking all items")
        for column, count in (("hour", late * films), ("year", total))
    }
    report = evaluate_funnel(funnel, data=rows, columns=["hour"])
    seen, *left_out = report.notes
    assert "relevant items" in seen
    assert "counted like all others (retrieval.exclude_seen: false)" in seen
    assert len(left_out) == 4
    assert set(left_out) == counts
    lists = funnel_lists(funnel, queries, k=40, limit=PLENTY)
    shown = (lists.shown["ranked"] >= 0).sum(axis=1)
    assert shown.tolist() == [0 if hour == "late" else 39 for hour in queries.columns["hour"]]


def test_notes_of_drawn_queries_and_of_rows_left_out_are_both_kept(cinema: Runs) -> None:
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    notes = evaluate_funnel(funnel, columns=["hour"], limit=25 * 40).notes[2:]
    assert notes == (
        "a sample of 25 of 50 queries, seed 0",
        "ranking candidates: 25 of 1,000 rows left out for 'year'",
        "ranking all items: 25 of 1,000 rows left out for 'year'",
    )


def test_a_ranker_that_can_read_no_candidate_shows_nothing(cinema: Runs) -> None:
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    rows = hours_of(watches(300, seed=5), late=pl.lit(value=True))
    report = evaluate_funnel(funnel, data=rows, columns=["hour"])
    assert report.stage("ranked").metrics["recall@10"].mean == 0.0
    total = f"{report.queries * 40:,}"
    assert f"ranking candidates: {total} of {total} rows left out for 'hour'" in report.notes


def test_more_items_than_candidates_ask_for_more_candidates(cinema: Runs, funnel: Funnel) -> None:
    with pytest.raises(QueryError, match=r"raise --candidates \(candidates= in Python\) to 41"):
        evaluate_funnel(funnel, k=41)
    whole = Funnel.open(cinema.retrieval, cinema.ranking)
    with pytest.raises(QueryError, match=r"expected 1 to 40.*there are no more items; ask for few"):
        evaluate_funnel(whole, k=41)


@pytest.mark.filterwarnings("ignore:.* of these rows trained the model")
def test_events_are_counted_before_the_time_of_each_query(counted_films: CountedFilms) -> None:
    """The same rows with their times, given to the ranker, get the same scores."""
    ranking, films = counted_films.ranking, 12
    funnel = Funnel.open(counted_films.retrieval, ranking, candidates=films)
    queries = queries_of_run(funnel, [], lambda _stage, _rows: None)
    assert "time" in queries.columns.columns
    query, item = np.divmod(np.arange(8 * films), films)
    query += len(queries) - 8  # the latest ones have events before them
    found = funnel.score(queries.columns, query, item)["liked__prediction"]
    pairs = queries.columns[query].with_columns(film=funnel.retriever.catalogue.ids.gather(item))
    columns = [count.column for count in ranking.recipe.schema_.counts()]
    counts = next(counted_source_of(ranking.recipe, pairs).chunks(columns)).frame
    assert min(counts.n_unique(subset=[name]) for name in columns) > 1
    wanted = ranking.predict(pairs)["liked__prediction"]
    assert np.allclose(found, wanted, atol=1e-6)
    later = queries.columns.with_columns(pl.col("time") + 3_600)
    assert not np.allclose(funnel.score(later, query, item)["liked__prediction"], wanted)
    assert evaluate_funnel(funnel, k=5).queries == len(queries)
