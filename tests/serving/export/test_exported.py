import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder_files import load_encoder
from crosstower.errors import QueryError, RunError
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager, Exported, Scorer
from crosstower.serving.export import exported
from crosstower.serving.export.document import read_document, write_document
from crosstower.serving.export.exported import export_model, largest_difference, open_exported

from ...ranking.test_scorer import OF_ITEM, OF_USER, of_request, scorer_of, sides

COLUMNS = {"user": OF_USER["user"], "attention": OF_USER["attention"]} | OF_ITEM
USER = ["user", "attention"]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return scorer_of("mlp", COLUMNS, OF_USER)


@pytest.fixture(scope="module")
def folder(scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports") / "exported"
    written = export_model(scorer, path, user=USER)
    assert written.path == path / "model.onnx"
    assert written.bytes == written.path.stat().st_size
    assert 0 <= written.difference < 1e-5
    return path


def test_a_scorer_scores_with_it(scorer: Scorer, folder: Path) -> None:
    by_onnx = replace(scorer, model=open_exported(folder, scorer.encoder.layout))
    user, items, whole = sides(scorer, OF_USER)
    found = of_request(by_onnx, USER, user, items)
    assert_frame_equal(found, scorer.score(whole), rel_tol=1e-6, abs_tol=1e-7)
    with pytest.raises(QueryError, match=r"7 rows: .* may differ in attention, user"):
        by_onnx.score(whole)


def test_the_folder_says_all_that_is_needed_elsewhere(scorer: Scorer, folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["encoder", "inputs.json", "model.onnx"]
    encoder = load_encoder(folder / "encoder")
    assert encoder.layout == scorer.encoder.layout
    open_exported(folder, encoder.layout)


def test_an_exported_model_computes_in_float32(scorer: Scorer, folder: Path) -> None:
    model = open_exported(folder, scorer.encoder.layout)
    with pytest.raises(RunError, match="an exported model computes in float32, got 'bfloat16'"):
        replace(scorer, model=model, precision="bfloat16")
    with pytest.raises(RunError, match="already has an exported model"):
        export_model(replace(scorer, model=model), folder.with_name("again"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_folder_without_an_onnx_model_is_refused(scorer: Scorer, copy: Path) -> None:
    document = read_document(copy)
    forms = {"torch_export": document.forms["onnx"]}
    write_document(copy, document.model_copy(update={"forms": forms}))
    with pytest.raises(RunError, match="has no ONNX model, only torch_export; export again"):
        open_exported(copy, scorer.encoder.layout)


def test_a_folder_of_an_older_export_is_opened(scorer: Scorer, copy: Path) -> None:
    plain = json.loads((copy / "inputs.json").read_bytes())
    plain["forms"]["onnx"]["machine"] = None
    plain["forms"]["torch_export"] = plain["forms"]["onnx"]
    (copy / "inputs.json").write_text(json.dumps(plain))
    open_exported(copy, scorer.encoder.layout)


def test_another_layout_is_refused(folder: Path) -> None:
    other = scorer_of("mlp", OF_ITEM, {}).encoder.layout
    with pytest.raises(RunError, match="with other columns, vocabularies or tasks"):
        open_exported(folder, other)


def test_a_changed_file_is_refused(scorer: Scorer, copy: Path) -> None:
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(RunError, match=r"model.onnx: damaged: its checksum differs"):
        open_exported(copy, scorer.encoder.layout)


def test_a_folder_that_is_there_stays(scorer: Scorer, folder: Path) -> None:
    before = (folder / "inputs.json").read_bytes()
    with pytest.raises(RunError, match="already exists; choose another folder"):
        export_model(scorer, folder)
    assert (folder / "inputs.json").read_bytes() == before


def test_a_column_that_is_not_there_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"'usr' is not a column.*did you mean 'user'"):
        export_model(scorer, tmp_path / "exported", user=["usr"])


def test_nothing_is_left_of_an_export_that_fails(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object, **__: object) -> float:
        raise RunError("differs")

    monkeypatch.setattr(exported, "largest_difference", wrong)
    monkeypatch.setattr(exported, "save_onnx", lambda *_: None)
    monkeypatch.setattr(exported, "OnnxRanker", lambda *_: None)
    with pytest.raises(RunError, match="differs"):
        export_model(scorer, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


@dataclass
class Changed:
    """Gives the logits of a model, changed."""

    scorer: Scorer
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]]

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        found = Eager(self.scorer.model).logits(batch)  # type: ignore[arg-type]
        return found | {"stars": self.change(found["stars"])}


def gap(exported: Exported, scorer: Scorer) -> float:
    return largest_difference(exported, scorer.model, scorer.encoder.layout, [])  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["shifted", "nan"])
def test_other_logits_are_refused(scorer: Scorer, what: str) -> None:
    change = {"shifted": lambda x: x + 1.0, "nan": lambda x: x * np.nan}[what]
    with pytest.raises(RunError, match=r"a logit differs by (1|nan) from the model's"):
        gap(Changed(scorer, change), scorer)


def test_the_largest_difference_is_returned(scorer: Scorer) -> None:
    small = Changed(scorer, lambda x: x - np.float32(3e-5))
    assert gap(small, scorer) == pytest.approx(3e-5, rel=0.05)
    other = replace(scorer, model=build(scorer.encoder.layout, {"name": "mlp"}).eval())
    with pytest.raises(RunError, match="differs"):
        gap(Eager(scorer.model), other)  # type: ignore[arg-type]
