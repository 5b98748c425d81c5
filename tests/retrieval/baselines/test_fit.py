"""A baseline that is left out is named with the reason, wherever results are shown."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosstower.cli.main import app
from crosstower.errors import CrosstowerWarning
from crosstower.fitting.fit import fit
from crosstower.retrieval.baselines import fit as baselines
from crosstower.retrieval.baselines.fit import baseline_names, omitted_baselines
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
    assert "by valid retrieval.ndcg@10)" in words
    with pytest.warns(CrosstowerWarning, match=f"baseline ease left out: {REASON}"):
        _, page = evaluate_retrieval_on(short, watches(500, seed=1), tmp_path / "page.html")
    assert REASON in page.read_text()


def test_nothing_is_left_out_of_small_catalogues_or_named_baselines(tmp_path: Path) -> None:
    plain = recipe(tmp_path)
    assert omitted_baselines(plain, 60) == {}
    assert "ease" in baseline_names(plain, 60)
    assert set(omitted_baselines(plain, 10**6)) == {"ease"}
    assert "ease" not in baseline_names(plain, 10**6)
