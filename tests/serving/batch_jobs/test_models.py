"""The model of a batch job."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import QueryError, RunError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.run_files import FOLDER
from crosstower.serving.batch_jobs.models import digest_of_model, open_model
from crosstower.serving.bundle import Bundle
from crosstower.training.run import Run


def test_a_run_and_a_bundle_are_told_apart(film_run: Run, bundle: Bundle) -> None:
    run, packed = open_model(film_run.folder), open_model(bundle.folder)
    assert (run.candidates, run.name) == (None, f"run {film_run.folder}")
    assert packed.candidates == 50
    assert digest_of_model(packed) == bundle.version


def test_what_does_not_recommend_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run in this folder"):
        open_model(tmp_path)
    with pytest.raises(QueryError, match=r"--seed: .* is a bundle"):
        open_model(bundle.folder, seed=1)


def test_the_digest_of_a_run_stands_for_what_lists_depend_on(film_run: Run, tmp_path: Path) -> None:
    first, second = (digest_of_model(open_model(film_run.folder, seed=s)) for s in (0, 1))
    shutil.copytree(film_run.folder, tmp_path / "copy")
    copied = digest_of_model(open_model(tmp_path / "copy"))
    (tmp_path / "copy" / "report.html").write_text("")
    assert digest_of_model(open_model(tmp_path / "copy")) == copied == first != second
    users = tmp_path / "copy" / FOLDER / "users.parquet"
    pl.read_parquet(users).head(100).write_parquet(users)
    assert digest_of_model(open_model(tmp_path / "copy")) != first


def test_options_are_checked_before_any_list(film_run: Run, bundle: Bundle) -> None:
    run, packed = open_model(film_run.folder), open_model(bundle.folder)
    with pytest.raises(QueryError, match=r"--candidates: run .* has no ranker"):
        run.check(FunnelRequest(candidates=5))
    with pytest.raises(QueryError, match="k: expected 1 to 50, the number of candidates, got 60"):
        packed.check(FunnelRequest(k=60))
    packed.check(FunnelRequest(k=60, candidates=60))
    with pytest.raises(QueryError, match="no column 'prize'; did you mean 'price'"):
        packed.check(FunnelRequest(where="prize < 3"))


def test_rows_of_lists_have_the_stages_of_the_model(film_run: Run, bundle: Bundle) -> None:
    rows = open_model(bundle.folder).list_rows(3, stages=True)
    assert (rows.tasks, rows.blended, rows.k) == (("click", "booking"), True, 3)
    rows = open_model(film_run.folder).list_rows(3, stages=True)
    assert (rows.tasks, rows.blended) == ((), False)
