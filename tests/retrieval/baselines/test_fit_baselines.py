"""A baseline that is left out is named with the reason, wherever results are shown."""

import weakref
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crosstower.cli.main import app
from crosstower.errors import CrosstowerWarning
from crosstower.fitting.fit import fit
from crosstower.retrieval.baselines import fit_baselines as baselines
from crosstower.retrieval.baselines.ease import Ease
from crosstower.retrieval.baselines.fit_baselines import baseline_names, omitted_baselines
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.baselines.popularity import Popularity
from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.training.run import Run

from ...fixtures.films import recipe, watches

REASON = "60 items are more than the 50 that its matrix is made for"


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose catalogue is too large for EASE^R."""
    monkeypatch.setattr(baselines, "EASE_LIMIT", 50)
    made = recipe(tmp_path)
    training = made.training.model_copy(update={"epochs": 1})
    return fit(made.model_copy(update={"training": training}), out=tmp_path / "run", quiet=True)


def test_a_baseline_left_out_is_reported_everywhere(short: Run, tmp_path: Path) -> None:
    assert short.metrics["omitted_baselines"] == {"ease": REASON}
    assert f"baseline ease left out: {REASON}" in short.report.read_text()
    result = CliRunner().invoke(app, ["fit", str(short.folder), "--resume"])
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert f"baseline ease left out: {REASON}" in words
    assert "(best epoch by retrieval.ndcg@10 of the validation rows)" in words
    with pytest.warns(CrosstowerWarning, match=f"baseline ease left out: {REASON}"):
        _, page = evaluate_retrieval_on(short, watches(500, seed=1), tmp_path / "page.html")
    assert REASON in page.read_text()


def test_nothing_is_left_out_of_small_catalogues_or_named_baselines(tmp_path: Path) -> None:
    plain = recipe(tmp_path)
    assert omitted_baselines(plain, 60) == {}
    assert "ease" in baseline_names(plain, 60)
    assert set(omitted_baselines(plain, 10**6)) == {"ease"}
    assert "ease" not in baseline_names(plain, 10**6)


def test_one_baseline_is_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = list[int]()

    def counted(kind: type[Any]) -> None:
        true = kind.fit

        def fitted(*given: Any, **options: Any) -> Any:
            made = true(*given, **options)
            alive.add(made)
            most.append(len(alive))
            return made

        monkeypatch.setattr(kind, "fit", fitted)

    for kind in (Popularity, ItemKnn, Ease):
        monkeypatch.setattr(kind, "__hash__", object.__hash__)
        counted(kind)
    made = recipe(tmp_path)
    training = made.training.model_copy(update={"epochs": 1})
    run = fit(made.model_copy(update={"training": training}), out=tmp_path / "run", quiet=True)
    evaluate_retrieval_on(run, watches(500, seed=1), tmp_path / "page.html")
    assert set(most) == {1}
    assert len(most) >= 7  # item_knn and ease with three settings each, then one each
