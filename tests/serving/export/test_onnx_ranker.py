import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.export import ExportedProgram

from crosstower.data.layout import Layout
from crosstower.errors import RunError
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager
from crosstower.serving.export import onnx_export as exporting
from crosstower.serving.export.onnx_export import OPSET, save_onnx, traced
from crosstower.serving.export.onnx_ranker import OnnxRanker
from crosstower.serving.export.sample import sample
from crosstower.serving.export.signature import model_inputs, signature_of

from .conftest import LAYOUT, SHARED

pytestmark = pytest.mark.slow

SIGNATURE = signature_of(LAYOUT, SHARED)


@pytest.fixture(scope="module")
def file(program: ExportedProgram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    save_onnx(program, path, SIGNATURE)
    return path


def proto(path: Path) -> Any:
    return importlib.import_module("onnx").load(path)


def shape_of(value: Any) -> tuple[int | str, ...]:
    return tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)


def test_the_file_says_what_the_signature_says(file: Path) -> None:
    model = proto(file)
    assert [(i.name, shape_of(i)) for i in model.graph.input] == [
        (i.name, i.shape) for i in SIGNATURE.inputs
    ]
    assert [(o.name, shape_of(o)) for o in model.graph.output] == [
        (o.name, ("candidates",)) for o in SIGNATURE.outputs
    ]
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]


def test_it_is_a_valid_model_of_standard_operators(file: Path) -> None:
    importlib.import_module("onnx").checker.check_model(file, full_check=True)
    assert {node.domain for node in proto(file).graph.node} == {""}


def test_a_pooled_list_is_one_look_up_without_a_loop(file: Path) -> None:
    assert "Loop" not in {node.op_type for node in proto(file).graph.node}


def test_it_holds_nothing_of_the_source(file: Path) -> None:
    content = file.read_bytes()
    assert b".py" not in content
    assert str(Path.cwd()).encode() not in content


def test_onnxruntime_alone_gives_the_same(file: Path) -> None:
    request = sample(LAYOUT, 6, shared=SHARED)
    session = importlib.import_module("onnxruntime").InferenceSession(file)
    click, codes = session.run(None, model_inputs(request, SHARED))
    found = OnnxRanker(file, SIGNATURE).logits(request)
    np.testing.assert_allclose(found["click"], click, atol=1e-6)
    np.testing.assert_allclose(found["codes"], codes, atol=1e-6)


def test_no_candidates_have_no_logits(file: Path) -> None:
    found = OnnxRanker(file, SIGNATURE).logits(sample(LAYOUT, 2, shared=SHARED)[:0])
    assert {task: logits.shape for task, logits in found.items()} == {"click": (0,), "codes": (0,)}


@pytest.mark.parametrize("part", ["codes", "numbers", "lists"])
def test_a_model_may_lack_a_part_of_the_inputs(part: str, tmp_path: Path) -> None:
    of = {"codes": LAYOUT.codes, "numbers": LAYOUT.numbers, "lists": LAYOUT.lists}
    kept = {name: value if name == part else () for name, value in of.items()}
    layout = Layout(kept["codes"], kept["numbers"], kept["lists"], LAYOUT.heads)  # type: ignore[arg-type]
    model, signature = build(layout, {"name": "dcn_v2"}).eval(), signature_of(layout, SHARED)
    save_onnx(traced(model, layout, SHARED), tmp_path / "model.onnx", signature)
    form = OnnxRanker(tmp_path / "model.onnx", signature)
    for rows in (1, 7):
        request = sample(layout, rows, shared=SHARED)
        expected = Eager(model).logits(request)
        for task, logits in form.logits(request).items():
            assert logits == pytest.approx(expected[task], abs=1e-5)


def test_another_order_of_lists_changes_nothing(file: Path) -> None:
    form, request = OnnxRanker(file, SIGNATURE), sample(LAYOUT, 4, shared=SHARED)
    expected = form.logits(request)["click"]
    backwards = dict(reversed(request.lists.items()))
    request.lists.clear()
    request.lists.update(backwards)
    assert (form.logits(request)["click"] == expected).all()


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_bags_are_those_of_torch(pooling: str) -> None:
    weight, codes = torch.randn(9, 3), torch.tensor([[1, 8, 0, 0], [0, 0, 0, 0], [2, 2, 3, 4]])
    mode = {"sum": 0, "mean": 1}[pooling]
    given = [x.numpy() for x in (weight, codes.flatten(), torch.arange(0, 12, 4))]
    pooled = exporting._bag(*given, False, mode, False, None, False, 0)[0]  # run by ONNX itself
    expected = torch.nn.functional.embedding_bag(codes, weight, mode=pooling, padding_idx=0)
    np.testing.assert_allclose(pooled.value, expected.numpy(), rtol=1e-6)


def test_weights_of_a_large_model_are_in_a_second_file(
    program: ExportedProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD"
    monkeypatch.setattr(place, 10)
    path = tmp_path / "model.onnx"
    save_onnx(program, path, SIGNATURE)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["model.onnx", "model.onnx.data"]
    request = sample(LAYOUT, 3, shared=SHARED)
    assert np.isfinite(OnnxRanker(path, SIGNATURE).logits(request)["click"]).all()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(
    package: str,
    program: ExportedProgram,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.import_module

    def absent(name: str) -> Any:
        if name == package:
            raise ImportError(name)
        return found(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    path = tmp_path / "model.onnx"
    use = partial(save_onnx, program) if package != "onnxruntime" else OnnxRanker
    with pytest.raises(RunError, match=rf"package {package}; .*pip install 'crosstower\[export\]'"):
        use(path, SIGNATURE)


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"model.onnx: cannot be loaded: .*; export again"):
        OnnxRanker(path, SIGNATURE)
