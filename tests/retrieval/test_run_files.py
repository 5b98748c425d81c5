"""What a retrieval run keeps, and damage to it."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.retrieval.results import stored_report
from crosstower.retrieval.run_files import COUNT, ID, SEEN_ITEMS, USER, read_segments
from crosstower.training.run import Run

from ..fixtures.films import recipe
from ..fixtures.live_films import UNTIL, LiveFilms
from ..fixtures.live_films import rows as live_rows


def test_the_run_folder_holds_what_is_needed_later(film_run: Run) -> None:
    folder = film_run.folder / "retrieval"
    items = pl.read_parquet(folder / "items.parquet")
    assert items.columns == ["film", "genre", "title", "year", ID, COUNT]
    assert items[COUNT].sum() == film_run.info.facts.rows["train"]
    users = pl.read_parquet(folder / "users.parquet")
    assert users.columns == [USER, SEEN_ITEMS, "device"]
    assert users[SEEN_ITEMS].list.len().sum() == 4000
    baselines = {p.stem for p in (folder / "baselines").iterdir()}
    assert baselines == {"ease", "item_knn", "popularity", "transition_graph"}
    page = film_run.report.read_text()
    assert "NDCG@10 by epoch" in page
    assert "items never trained on (cold)" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_training_rows_are_counted_per_segment(live_films: LiveFilms) -> None:
    run = live_films.retrieval
    found = read_segments(run.folder)
    assert found is not None
    last = pl.col("time").rank("ordinal", descending=True).over("user")
    train = (
        live_rows().with_columns(last=last).filter(pl.col("last") > 2)
    )  # the last two are held out
    assert train.height == run.info.facts.rows["train"]
    ids = pl.read_parquet(run.folder / "retrieval" / "items.parquet")[ID]
    named = found.with_columns(film=ids.gather(found["item"]))
    expected = train.group_by(country="country", film="film").len().sort("country", "film")
    assert named.select("segment", "film", "rows").sort("segment", "film").rows() == expected.rows()
    assert run.info.facts.until == datetime.fromtimestamp(UNTIL, UTC)
    assert live_films.bundle.retriever().run.info.facts.until == datetime.fromtimestamp(UNTIL, UTC)


def test_a_run_without_a_segment_has_no_counts(film_run: Run) -> None:
    assert read_segments(film_run.folder) is None
    assert film_run.info.facts.until is None  # its times only order the rows


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    run = fit(one, out=tmp_path / "run", quiet=True)
    path = run.folder / "retrieval" / "queries.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunError, match=r"queries\.parquet: damaged"):
        stored_report(run)
