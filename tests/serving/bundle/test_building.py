"""Bundles made of runs: versions, indexes, runs that do not go together."""

import shutil
from pathlib import Path
from typing import cast

import pytest

from crosstower.cli.bundle import print_bundle
from crosstower.errors import BundleError, RunError
from crosstower.retrieval import indexing as building
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.training.run import Run

from ...fixtures.funnels import Runs
from ...fixtures.live_films import LiveFilms
from ...fixtures.retrieved_films import RetrievedFilms


@pytest.mark.slow
def test_the_version_is_that_of_the_content(blended: Runs, bundle: Bundle, tmp_path: Path) -> None:
    same = make_bundle([blended.ranking, blended.retrieval], tmp_path / "same", candidates=50)
    alone = make_bundle([blended.retrieval], tmp_path / "alone")
    assert same.version == bundle.version
    assert alone.version != bundle.version
    assert alone.manifest.stages == ["retrieve"]
    assert alone.held_out() is None


def test_runs_that_do_not_go_together(blended: Runs, bundle: Bundle, tmp_path: Path) -> None:
    one = blended.retrieval
    with pytest.raises(BundleError, match=r"one that retrieves, one that ranks, or both; got"):
        make_bundle([one, one], tmp_path / "b")
    with pytest.raises(BundleError, match="got none"):
        make_bundle([], tmp_path / "b")
    with pytest.raises(BundleError, match="already exists"):
        make_bundle([one], bundle.folder)
    with pytest.raises(BundleError, match="candidates: expected at least 1"):
        make_bundle([one], tmp_path / "b", candidates=0)
    with pytest.raises(RunError, match="no seed 7"):
        make_bundle([one], tmp_path / "b", seed=7)
    assert not (tmp_path / "b").exists()


def test_a_run_that_has_not_finished_is_refused(blended: Runs, tmp_path: Path) -> None:
    run = shutil.copytree(blended.ranking.folder, tmp_path / "run")
    (run / "metrics.json").unlink()
    with pytest.raises(RunError, match="has not finished"):
        make_bundle([run], tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("least", "kind"), [(0.95, "ann"), (1.01, "exact")])
def test_the_index_is_approximate_only_where_recall_reaches_the_target(
    blended: Runs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    least: float,
    kind: str,
) -> None:
    monkeypatch.setattr(building, "_ANN_FROM", 10)
    monkeypatch.setattr(building, "RECALL", least)
    made = make_bundle([blended.retrieval], tmp_path / "bundle")
    assert made.manifest.index == kind
    assert type(made.retriever().index).__name__ == {"ann": "AnnIndex", "exact": "ExactIndex"}[kind]
    assert made.manifest.index_recall is not None
    assert made.manifest.index_recall >= 0.95
    print_bundle(made)
    text = " ".join(capsys.readouterr().out.split())
    words = {
        "ann": "The approximate index has recall@10",
        "exact": "The index is exact: an approximate one has",
    }
    assert words[kind] in text


def test_few_items_are_scored_exactly_without_a_measurement(bundle: Bundle) -> None:
    assert bundle.manifest.index == "exact"
    assert bundle.manifest.index_recall is None


def test_runs_of_another_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="runs: expected one or two runs or their folders, got 5"):
        make_bundle(cast("Run", 5), tmp_path / "bundle")


def test_a_ranker_that_reads_columns_of_retrieval_needs_a_retriever_that_has_them(
    retrieved_films: RetrievedFilms, live_films: LiveFilms, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"reads retrieval.score and .* bundle it with the retr"):
        make_bundle(retrieved_films.ranking, tmp_path / "alone")
    with pytest.raises(RunError, match="has no sources, but the ranker reads retrieval"):
        make_bundle([live_films.retrieval, retrieved_films.ranking], tmp_path / "other")
    assert list(tmp_path.iterdir()) == []
