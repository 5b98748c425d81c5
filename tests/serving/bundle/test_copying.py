"""What of a run comes along in a bundle."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from crosstower.data.counters.count_files import load_counts
from crosstower.errors import BundleError
from crosstower.fitting.fit import fit
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.copying import copy_run
from crosstower.training.run import Run

from ...fixtures.funnels import Runs
from .test_bundle import TEXT, again


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_copy_needs_nothing_of_the_runs(blended: Runs, bundle: Bundle, copy: Path) -> None:
    expected = bundle.funnel().recommend(3)
    moved = copy.rename(copy.with_name("elsewhere"))
    opened = Bundle.open(moved)
    assert opened.version == bundle.version
    assert opened.funnel().recommend(3).equals(expected)
    texts = [p.read_text() for p in moved.rglob("*") if p.suffix in TEXT]
    assert not any(str(blended.ranking.folder.parent) in text for text in texts)


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_tables_that_the_ranker_joins_come_along(tmp_path: Path, recipe, folder: Path) -> None:
    table = pl.DataFrame({"genre": ["action", "comedy", "drama", "war"], "heat": [1.0, 2, 3, 4]})
    table.write_parquet(tmp_path / "genres.parquet")
    plain = json.loads(recipe.model_dump_json(exclude_unset=True, by_alias=True))
    plain["data"]["joins"] = [{"path": str(tmp_path / "genres.parquet"), "on": "genre"}]
    plain["schema"]["columns"]["heat"] = "numeric"
    run = fit(type(recipe).model_validate(plain), out=tmp_path / "run", quiet=True)
    rows = pl.read_parquet(folder / "rows.parquet").head(50)
    expected = run.predict(rows)
    made = make_bundle([run], tmp_path / "bundle")
    (tmp_path / "genres.parquet").unlink()
    shutil.rmtree(tmp_path / "run")
    found = Bundle.open(made.folder).ranking
    assert found is not None
    assert found.predict(rows).equals(expected)
    assert made.manifest.stages == ["rank"]
    with pytest.raises(BundleError, match=r"can only rank; a funnel needs both"):
        made.funnel()
    with pytest.raises(BundleError, match="only ranks"):
        made.retriever()


def test_a_recipe_that_reads_outside_the_bundle_is_refused(copy: Path, tmp_path: Path) -> None:
    pl.DataFrame({"listing_id": [1], "x": [1]}).write_parquet(tmp_path / "other.parquet")
    path = copy / "ranking" / "recipe.yaml"
    for place in (tmp_path / "other.parquet", Path("../../other.parquet")):
        plain = yaml.safe_load(path.read_text())
        plain.setdefault("data", {})["joins"] = [{"path": str(place), "on": "listing_id"}]
        path.write_text(yaml.safe_dump(plain))
        again(copy)
        with pytest.raises(BundleError, match=r"joins .*other\.parquet, which is outside"):
            Bundle.open(copy)


def test_what_a_blend_is_fitted_on_comes_along(bundle: Bundle, blended: Runs) -> None:
    rows, reference = bundle.held_out(), bundle.manifest.reference
    assert rows is not None
    assert bundle.manifest.blend_by == ("city",)
    assert rows["city"].n_unique() > 1
    stored = pl.read_parquet(blended.ranking.model_folder("shared_bottom", 0) / "valid.parquet")
    assert rows["click__prediction"].equals(stored["click__prediction"])
    assert set(reference) == {"click", "booking"}
    middle = float(np.median(stored["click__prediction"].to_numpy()))
    assert reference["click"][0] < middle < reference["click"][-1]


def test_counts_at_the_end_of_the_log_go_along_without_its_path(
    counted_run: Run, tmp_path: Path
) -> None:
    copy_run(counted_run, tmp_path / "ranking", None)
    kept = Run.open(tmp_path / "ranking")
    counts, own = (load_counts(run.folder / "counters") for run in (kept, counted_run))
    assert counts is not None
    assert own is not None
    assert counts.until == own.until
    assert [c.arrays()["keys"].size for c in counts.counts.values()] == [12, 12, 12]
    assert Path(str(kept.recipe.data.events[0].path)) == tmp_path / "ranking" / "log.parquet"
    assert str(counted_run.folder.parent) not in (kept.folder / "recipe.yaml").read_text()
