import json
from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.serving.export.document import (
    Document,
    Form,
    check_files,
    read_document,
    write_document,
)
from crosstower.serving.export.signature import signature_of
from crosstower.storage.documents import facts_of

from .conftest import LAYOUT


@pytest.fixture
def document(tmp_path: Path) -> Document:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    form = Form(file=path.name, files={path.name: facts_of(path)}, difference=1e-7)
    made = Document(
        crosstower="0.1.0", torch="2.13.0", signature=signature_of(LAYOUT), forms={"onnx": form}
    )
    write_document(tmp_path, made)
    return made


def test_it_is_read_as_it_was_written(document: Document, tmp_path: Path) -> None:
    assert read_document(tmp_path) == document
    check_files(tmp_path, document.forms["onnx"])
    plain = json.loads((tmp_path / "inputs.json").read_bytes())
    assert plain["signature"]["inputs"][0]["fields"] == ["user", "item", "codes"]
    assert plain["signature"]["unseen_code"] == 2


def test_a_folder_without_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no exported model in this folder \(no inputs.json\)"):
        read_document(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 1}', '{"format": "1"}'])
def test_a_damaged_one_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text(content)
    with pytest.raises(RunError, match=r"inputs.json: damaged: .*; export again"):
        read_document(tmp_path)


def test_a_newer_one_is_refused(document: Document, tmp_path: Path) -> None:
    plain = document.model_dump(mode="json") | {"format": 2, "new": True}
    (tmp_path / "inputs.json").write_text(json.dumps(plain))
    with pytest.raises(RunError, match=r"newer Crosstower \(format 2, this one reads 1\)"):
        read_document(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "missing"), (b"weight", "6 bytes of 7"), (b"weighty", "its checksum differs")],
)
def test_a_changed_file_is_refused(
    document: Document, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "model.onnx"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=f"model.onnx: .*{said}"):
        check_files(tmp_path, document.forms["onnx"])
