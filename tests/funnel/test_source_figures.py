"""What each source finds, by loops over the candidates of a funnel."""

import numpy as np
import pytest

from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.funnel.evaluation import FunnelLists, evaluate_funnel, funnel_lists
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.queries import FunnelQueries, queries_of_run
from crosstower.funnel.source_figures import source_figures
from crosstower.ranking.scorer import PREDICTION

from ..fixtures.sourced_films import SOURCES, TOTAL, SourcedFilms


@pytest.fixture(scope="module")
def funnel(sourced_films: SourcedFilms) -> Funnel:
    return Funnel.open(sourced_films.retrieval, sourced_films.ranking)


@pytest.fixture(scope="module")
def queries(funnel: Funnel) -> FunnelQueries:
    return queries_of_run(funnel, [], lambda _stage, _rows: None)


@pytest.fixture(scope="module")
def lists(funnel: Funnel, queries: FunnelQueries) -> FunnelLists:
    return funnel_lists(funnel, queries, k=5, limit=10**6)


def test_found_items_are_counted_per_source(
    funnel: Funnel, queries: FunnelQueries, lists: FunnelLists
) -> None:
    relevant = queries.evaluation.relevant
    found = dict.fromkeys(SOURCES, 0)
    alone = dict(found)
    for query, item in zip(*relevant, strict=True):
        for column in np.flatnonzero(lists.candidates[query] == item):
            names = [
                n
                for n, r in zip(lists.found.names, lists.found.ranks[query, column], strict=True)
                if r
            ]
            for name in names:
                found[name] += 1
                alone[name] += names == [name]
    assert funnel.candidates == TOTAL
    assert funnel.retriever.sources is not None
    figures = source_figures(lists.found, funnel.retriever.sources.quotas, relevant)
    assert {one.name: one.found for one in figures} == found
    assert {one.name: one.alone for one in figures} == alone
    assert sum(found.values()) > sum(alone.values()) > 0


def test_lists_without_a_source_lack_what_it_alone_found(
    funnel: Funnel, queries: FunnelQueries, lists: FunnelLists
) -> None:
    for source, name in enumerate(SOURCES):
        shown = lists.shown[f"without {name}"]
        for query in (0, 13, 44):
            row = lists.candidates[query]
            kept = [
                int(place)
                for place, ranks in zip(row, lists.found.ranks[query], strict=True)
                if place >= 0 and np.delete(ranks, source).any()
            ]
            places = np.array(kept)
            scored = funnel.score(queries.columns, np.full(len(kept), query), places)
            score = scored[f"{funnel.task}{PREDICTION}"].to_numpy()
            expected = places[np.argsort(-score, kind="stable")][:5]
            assert shown[query][: len(expected)].tolist() == expected.tolist()


def test_the_report_tells_what_a_source_is_worth(funnel: Funnel, lists: FunnelLists) -> None:
    report = evaluate_funnel(funnel, k=5)
    assert [one.name for one in report.sources] == list(SOURCES)
    queries = queries_of_run(funnel, [], lambda _stage, _rows: None)
    without = list_metrics(lists.shown["without item_knn"], queries.evaluation.relevant, [5])
    lift = next(one for one in report.lifts if one.stage == "without item_knn")
    assert lift.over == "ranked"
    assert lift.changes["ndcg@5"].after == pytest.approx(without["ndcg@5"].mean())
    sentences = [words for words in report.verdicts if "item_knn" in words]
    assert sentences[0].startswith("item_knn finds ")
    assert sentences[1].startswith("Without item_knn, NDCG@5 would ")
    assert report.plain()["sources"][1]["quota"] == 4
