import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from crosstower.cli.bundle import print_bundle
from crosstower.errors import BundleError, RunError
from crosstower.fitting.fit import fit
from crosstower.funnel.funnel import Funnel
from crosstower.retrieval import build_index as building
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.forms import open_form
from crosstower.serving.bundle.manifest import NAME, Manifest, version_of
from crosstower.storage.documents import facts_of

from ...fixtures.funnels import Runs

TEXT = {".json", ".yaml", ".md", ".html"}
KNOWN = {*TEXT, ".parquet", ".safetensors", ".npy", ".onnx"}


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return shutil.copytree(bundle.folder, tmp_path / "copy")


def edit(folder: Path, **fields: Any) -> None:
    """Change the manifest as somebody would by hand."""
    path = folder / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def again(folder: Path) -> None:
    """Make the manifest fit changed files, as an attacker would."""
    plain = json.loads((folder / NAME).read_text())
    files = {name: facts_of(folder / name) for name in plain["files"]}
    manifest = Manifest.model_validate(plain).model_copy(update={"files": files})
    manifest = manifest.model_copy(update={"version": version_of(manifest)})
    (folder / NAME).write_text(manifest.model_dump_json())


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_bundle_answers_as_its_runs_do(bundle: Bundle, blended: Runs) -> None:
    runs = Funnel.open(blended.retrieval, blended.ranking, candidates=50)
    for user in (1, 5, 10**9):
        expected = runs.recommend(user, k=20)
        assert bundle.funnel().recommend(user, k=20).equals(expected)


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


def test_nothing_in_it_is_loaded_as_code(bundle: Bundle) -> None:
    assert {p.suffix for p in bundle.folder.rglob("*") if p.is_file()} <= KNOWN


@pytest.mark.parametrize("name", ["best.safetensors", "items.parquet", "vectors.npy", "blend.json"])
def test_a_damaged_file_is_named(copy: Path, name: str) -> None:
    path = next(copy.rglob(name))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(BundleError, match=rf"{name}: cut short: .* bytes of .*make it again"):
        Bundle.open(copy)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name}: damaged: its checksum is another"):
        Bundle.open(copy)
    path.write_bytes(whole + b"0")
    with pytest.raises(BundleError, match="longer than it was"):
        Bundle.open(copy)
    path.unlink()
    with pytest.raises(BundleError, match=rf"{name}: missing"):
        Bundle.open(copy)


def test_a_manifest_that_cannot_be_read_is_named(copy: Path, tmp_path: Path) -> None:
    path = copy / NAME
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"format": 4}))
    with pytest.raises(BundleError, match=r"newer Crosstower \(format 4, this one reads 3\)"):
        Bundle.open(copy)
    path.write_text(json.dumps(plain | {"format": 2}))
    with pytest.raises(BundleError, match=r"older Crosstower \(format 2, this one reads 3\)"):
        Bundle.open(copy)
    deep = "[" * 100_000
    for text in ("", "[]", "{", deep, json.dumps(plain | {"candidates": "many"})):
        path.write_text(text)
        with pytest.raises(BundleError, match=rf"{NAME}: damaged"):
            Bundle.open(copy)
    with pytest.raises(BundleError, match="no bundle in this folder"):
        Bundle.open(tmp_path / "nowhere")


@pytest.mark.parametrize("form", ["aoti", "torch_export", "pickle", ""])
def test_only_forms_without_native_code_are_opened(copy: Path, form: str) -> None:
    edit(copy, form=form)
    with pytest.raises(BundleError, match=rf"form: expected eager or onnx, got '{form}'; native"):
        Bundle.open(copy)


def test_a_form_is_refused_whoever_asks_for_it(bundle: Bundle, tmp_path: Path) -> None:
    funnel = bundle.funnel()
    with pytest.raises(RunError, match="form: expected eager or onnx, got 'aoti'"):
        open_form(funnel.scorer, "aoti", tmp_path)


CHANGES: dict[str, Any] = {
    "candidates": 51,
    "items": 3,
    "name": "other",
    "index": "ann",
    "reference": {"click": [0.1, 0.2]},
    "blend_by": ["price"],
    "crosstower": "9.9",
    "libraries": {"torch": "1"},
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_meaningful_field_is_part_of_the_version(copy: Path, field: str) -> None:
    edit(copy, **{field: CHANGES[field]})
    with pytest.raises(BundleError, match=r"was changed: its content is of version .*, it says"):
        Bundle.open(copy, check=False)


def test_a_run_of_the_manifest_is_part_of_the_version(copy: Path) -> None:
    plain = json.loads((copy / NAME).read_text())
    edit(copy, ranking=plain["ranking"] | {"weights": "0" * 64})
    with pytest.raises(BundleError, match="was changed"):
        Bundle.open(copy)
    edit(copy, ranking=plain["ranking"], created="2020-01-01T00:00:00+00:00", git_revision="abc")
    assert Bundle.open(copy).version == plain["version"]


@pytest.mark.parametrize("candidates", [0, -1, 10**9, 1e9])
def test_candidates_are_bounded(copy: Path, candidates: float) -> None:
    edit(copy, candidates=candidates)
    with pytest.raises(BundleError, match=r"damaged: Input should be (less|greater) than"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\\b", "", "a/../../b"])
def test_files_lie_within_the_bundle(copy: Path, name: str) -> None:
    plain = json.loads((copy / NAME).read_text())
    edit(copy, files=plain["files"] | {name: {"bytes": 0, "sha256": "0"}})
    with pytest.raises(BundleError, match="files: expected paths within the bundle"):
        Bundle.open(copy)


@pytest.mark.parametrize("check", [True, False])
def test_files_that_nobody_lists_are_refused(copy: Path, check: bool) -> None:
    extra = copy / "ranking" / "extra.bin"
    extra.write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.bin: is not listed in manifest\.json"):
        Bundle.open(copy, check=check)
    extra.unlink()
    weights = next(copy.rglob("best.safetensors"))
    weights.rename(copy.with_name("elsewhere"))
    weights.symlink_to(copy.with_name("elsewhere"))
    with pytest.raises(BundleError, match=r"best\.safetensors: is a symbolic link"):
        Bundle.open(copy, check=check)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(BundleError, match=r"best\.safetensors: is no plain file"):
        Bundle.open(copy, check=check)


def test_a_folder_that_is_a_link_is_refused(copy: Path) -> None:
    (copy / "ranking").rename(copy.with_name("ranking"))
    (copy / "ranking").symlink_to(copy.with_name("ranking"))
    with pytest.raises(BundleError, match="ranking: is a symbolic link"):
        Bundle.open(copy)


def test_a_size_is_compared_without_checksums_too(copy: Path) -> None:
    path = next(copy.rglob("best.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"bytes instead of"):
        Bundle.open(copy, check=False)


def test_cards_are_checked(copy: Path) -> None:
    path = copy / "card.html"
    path.write_text(path.read_text().replace("e", "f", 1))
    with pytest.raises(BundleError, match=r"card\.html: damaged"):
        Bundle.open(copy)


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


def test_an_index_of_another_model_is_refused(copy: Path) -> None:
    path = next(copy.rglob("index.json"))
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"model": "f" * 64}))
    again(copy)
    with pytest.raises(BundleError, match=r"vectors of the model ffffffffffff, the retrieval"):
        Bundle.open(copy, check=False)
    path.write_text(json.dumps(plain | {"model": None}))
    again(copy)
    with pytest.raises(BundleError, match="that nobody named"):
        Bundle.open(copy, check=False)
    path.unlink()
    with pytest.raises(BundleError, match=r"index\.json: missing"):
        Bundle.open(copy, check=False)


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


def test_both_cards_say_what_is_in_it(bundle: Bundle) -> None:
    markdown = (bundle.folder / "card.md").read_text()
    page = (bundle.folder / "card.html").read_text()
    ranking = bundle.manifest.ranking
    assert ranking is not None
    auc = ranking.metrics["tasks"]["click"]["shared_bottom"]["auc"]["mean"]
    for text in (markdown, page):
        parts = ("shared_bottom", "Test metrics of booking", "amenities (bag)", "Recall@10")
        for part in (bundle.version, f"{auc:.4f}", *parts):
            assert part in text
    assert "<script" not in page
    assert "| shared_bottom |" in markdown


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
    words = {"ann": "The approximate index has recall@10", "exact": "The index stays exact: an"}
    assert words[kind] in text


def test_few_items_are_scored_exactly_without_a_measurement(bundle: Bundle) -> None:
    assert bundle.manifest.index == "exact"
    assert bundle.manifest.index_recall is None
