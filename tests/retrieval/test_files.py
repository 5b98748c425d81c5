"""What a retrieval run keeps, and damage to it."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.retrieval.files import COUNT, ID, SEEN_ITEMS, USER
from crosstower.retrieval.results import stored_report
from crosstower.training.run import Run

from ..fixtures.films import recipe


def test_the_run_folder_holds_what_is_asked_later(film_run: Run) -> None:
    folder = film_run.folder / "retrieval"
    items = pl.read_parquet(folder / "items.parquet")
    assert items.columns == ["film", "genre", "title", "year", ID, COUNT]
    assert items[COUNT].sum() == film_run.info.facts.rows["train"]
    users = pl.read_parquet(folder / "users.parquet")
    assert users.columns == [USER, SEEN_ITEMS, "device"]
    assert users[SEEN_ITEMS].list.len().sum() == 4000
    assert {p.stem for p in (folder / "baselines").iterdir()} == {"ease", "item_knn", "popularity"}
    page = film_run.report.read_text()
    assert "NDCG@10 by epoch" in page
    assert "items never trained on (cold)" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    run = fit(one, out=tmp_path / "run", quiet=True)
    path = run.folder / "retrieval" / "questions.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunError, match=r"questions\.parquet: damaged"):
        stored_report(run)
