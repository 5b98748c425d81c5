from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from crosstower.data.batch import Batch
from crosstower.data.encoders.files import load_encoder
from crosstower.errors import QueryError, RunError
from crosstower.models.registry import build
from crosstower.ranking.scorer import CandidateScorer, Eager, Scorer
from crosstower.serving.export.document import read_document, write_document
from crosstower.serving.export.forms import Reference, export_model, open_exported

from ...ranking.test_scorer import OF_ITEM, OF_USER, scorer_of, sides

COLUMNS = {"user": OF_USER["user"], "attention": OF_USER["attention"]} | OF_ITEM
USER = ["user", "attention"]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return scorer_of("mlp", COLUMNS, OF_USER)


@pytest.fixture(scope="module")
def folder(scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports") / "exported"
    written = export_model(scorer, path, ["torch_export"], user=USER)
    assert [w.kind for w in written] == ["torch_export"]
    assert written[0].path == path / "model.pt2"
    assert written[0].bytes == written[0].path.stat().st_size
    assert 0 <= written[0].difference < 1e-5
    return path


def test_a_scorer_scores_with_it(scorer: Scorer, folder: Path) -> None:
    exported = replace(scorer, model=open_exported(folder, "torch_export", scorer.encoder.layout))
    user, items, whole = sides(scorer, OF_USER)
    found = CandidateScorer(exported, USER).score(user, items)
    assert_frame_equal(found, scorer.score(whole), rel_tol=1e-6, abs_tol=1e-7)
    with pytest.raises(QueryError, match=r"7 rows: .* may differ in attention, user"):
        exported.score(whole)


def test_the_folder_says_all_that_is_needed_elsewhere(scorer: Scorer, folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["encoder", "inputs.json", "model.pt2"]
    encoder = load_encoder(folder / "encoder")
    assert encoder.layout == scorer.encoder.layout
    open_exported(folder, "torch_export", encoder.layout)


def test_an_exported_model_computes_in_float32(scorer: Scorer, folder: Path) -> None:
    form = open_exported(folder, "torch_export", scorer.encoder.layout)
    with pytest.raises(RunError, match="an exported model computes in float32, got 'bfloat16'"):
        replace(scorer, model=form, precision="bfloat16")
    with pytest.raises(RunError, match="has an exported model already"):
        export_model(replace(scorer, model=form), folder.with_name("again"))


def test_a_form_that_is_not_there_is_refused(scorer: Scorer, folder: Path) -> None:
    with pytest.raises(RunError, match="has no form 'onnx'; it has: torch_export"):
        open_exported(folder, "onnx", scorer.encoder.layout)


def test_compiled_code_of_an_unknown_processor_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "exported"
    export_model(scorer, path, ["torch_export"], with_encoder=False)
    document = read_document(path)
    write_document(
        path, document.model_copy(update={"forms": {"aoti": document.forms["torch_export"]}})
    )
    with pytest.raises(RunError, match="does not say for which processor it is"):
        open_exported(path, "aoti", scorer.encoder.layout)


def test_another_layout_is_refused(folder: Path) -> None:
    other = scorer_of("mlp", OF_ITEM, {}).encoder.layout
    with pytest.raises(RunError, match="with other columns, vocabularies or tasks"):
        open_exported(folder, "torch_export", other)


def test_a_changed_file_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "exported"
    export_model(scorer, path, ["torch_export"], with_encoder=False)
    assert not (path / "encoder").exists()
    content = bytearray((path / "model.pt2").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "model.pt2").write_bytes(content)
    with pytest.raises(RunError, match=r"model.pt2: damaged: its checksum is another"):
        open_exported(path, "torch_export", scorer.encoder.layout)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["onxx"], "no form 'onxx'; did you mean 'onnx'.; allowed: onnx, torch_export, aoti"),
        ([], "give one or more of onnx, torch_export, aoti, each once"),
        (["onnx", "onnx"], "each once"),
    ],
)
def test_kinds_are_checked(scorer: Scorer, tmp_path: Path, kinds: list[str], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        export_model(scorer, tmp_path / "exported", kinds)


def test_a_folder_that_is_there_stays(scorer: Scorer, folder: Path) -> None:
    before = (folder / "inputs.json").read_bytes()
    with pytest.raises(RunError, match="is there already; choose another folder"):
        export_model(scorer, folder, ["torch_export"])
    assert (folder / "inputs.json").read_bytes() == before


def test_a_column_that_is_not_there_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"'usr' is no column.*did you mean 'user'"):
        export_model(scorer, tmp_path / "exported", user=["usr"])


def test_nothing_is_left_of_an_export_that_fails(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object, **__: object) -> float:
        raise RunError("differs")

    monkeypatch.setattr(Reference, "difference", wrong)
    with pytest.raises(RunError, match="differs"):
        export_model(scorer, tmp_path / "exported", ["torch_export"])
    assert list(tmp_path.iterdir()) == []


@dataclass
class Changed:
    """Gives the logits of a model, changed."""

    scorer: Scorer
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]]

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        found = Eager(self.scorer.model).logits(batch)  # type: ignore[arg-type]
        return found | {"stars": self.change(found["stars"])}


@pytest.mark.parametrize("what", ["shifted", "nan"])
def test_other_logits_are_refused(scorer: Scorer, what: str) -> None:
    change = {"shifted": lambda x: x + 1.0, "nan": lambda x: x * np.nan}[what]
    reference = Reference(scorer.model, scorer.encoder.layout)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"a logit differs by (1|nan) from the model's"):
        reference.difference(Changed(scorer, change), [])


def test_the_largest_difference_is_told(scorer: Scorer) -> None:
    reference = Reference(scorer.model, scorer.encoder.layout)  # type: ignore[arg-type]
    small = Changed(scorer, lambda x: x - np.float32(3e-5))
    assert reference.difference(small, []) == pytest.approx(3e-5, rel=0.05)
    other = Reference(build(scorer.encoder.layout, {"name": "mlp"}).eval(), reference.layout)
    with pytest.raises(RunError, match="differs"):
        other.difference(Eager(reference.model), [])
