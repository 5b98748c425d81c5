import json
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import BundleError, RunError
from crosstower.funnel.funnel import Funnel
from crosstower.ranking.ranker import Ranker
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.manifest import NAME, BundleManifest, version_of
from crosstower.storage.documents import facts_of
from crosstower.training.run import Run

from ...fixtures.funnels import Runs

TEXT = {".json", ".yaml", ".md", ".html"}
KNOWN = {*TEXT, ".parquet", ".safetensors", ".npy", ".onnx"}


def again(folder: Path) -> None:
    """Make the manifest fit changed files, as an attacker would."""
    plain = json.loads((folder / NAME).read_text())
    files = {name: facts_of(folder / name) for name in plain["files"]}
    manifest = BundleManifest.model_validate(plain).model_copy(update={"files": files})
    manifest = manifest.model_copy(update={"version": version_of(manifest)})
    (folder / NAME).write_text(manifest.model_dump_json())


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_bundle_answers_as_its_runs_do(bundle: Bundle, blended: Runs) -> None:
    runs = Funnel.open(blended.retrieval, blended.ranking, candidates=50)
    for user in (1, 5, 10**9):
        expected = runs.recommend(user, k=20)
        assert bundle.funnel().recommend(user, k=20).equals(expected)


def test_nothing_in_it_is_loaded_as_code(bundle: Bundle) -> None:
    assert {p.suffix for p in bundle.folder.rglob("*") if p.is_file()} <= KNOWN


def test_a_table_that_explodes_is_refused_before_it_is_decoded(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy / "ranking" / "held_out.parquet"
    bomb = pl.select(pl.repeat(value=True, n=40_000_000).alias("click__prediction"))
    bomb.write_parquet(path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    again(copy)
    monkeypatch.setattr(pl, "read_parquet", None)  # not even tried
    with pytest.raises(
        BundleError, match=r"held_out\.parquet: .* would take about .* MB of memory"
    ):
        Bundle.open(copy)
    path.write_bytes(b"PAR1 nonsense PAR1")
    again(copy)
    with pytest.raises(BundleError, match=r"held_out\.parquet: damaged"):
        Bundle.open(copy)


def test_an_index_of_another_model_is_refused(copy: Path) -> None:
    path = next(copy.rglob("index.json"))
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"model": "f" * 64}))
    again(copy)
    with pytest.raises(BundleError, match=r"vectors of the model ffffffffffff, the retrieval"):
        Bundle.open(copy, check=False)
    path.write_text(json.dumps(plain | {"model": None}))
    again(copy)
    with pytest.raises(BundleError, match="of unknown version"):
        Bundle.open(copy, check=False)
    path.unlink()
    with pytest.raises(BundleError, match=r"index\.json: missing"):
        Bundle.open(copy, check=False)


def test_a_stage_of_a_bundle_is_opened_like_a_run(
    cinema: Runs, film_run: Run, tmp_path: Path
) -> None:
    both = make_bundle([cinema.retrieval, cinema.ranking], tmp_path / "both")
    assert Retriever.open(both).run.folder == both.folder / "retrieval"
    assert Ranker.open(both).run.folder == both.folder / "ranking"
    with pytest.raises(RunError, match="both: a bundle; open it first"):
        Retriever.open(both.folder)
    with pytest.raises(RunError, match="run: expected a run folder"):
        Ranker.open(Bundle)  # type: ignore[arg-type]
    only = make_bundle([film_run], tmp_path / "only")
    with pytest.raises(BundleError, match="only: only retrieves; make a bundle with a ranking run"):
        Ranker.open(only)


def test_a_bundle_is_one_line(bundle: Bundle) -> None:
    retrieval, ranking = bundle.manifest.retrieval, bundle.manifest.ranking
    assert retrieval is not None
    assert ranking is not None
    stages = f"retrieval {retrieval.model}, ranking {ranking.model}"
    assert repr(bundle) == f"Bundle('{bundle.folder}': version {bundle.version}; {stages})"
