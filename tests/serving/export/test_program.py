import re
import zipfile
from pathlib import Path

import pytest
import torch
from torch.export import ExportedProgram

from crosstower.data.layout import Layout
from crosstower.errors import RunError
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager
from crosstower.serving.export.inputs import signature_of
from crosstower.serving.export.program import TensorRanker, open_program, traced
from crosstower.serving.export.sample import sample

from .conftest import LAYOUT, SHARED

SIGNATURE = signature_of(LAYOUT, SHARED)


def test_no_candidates_have_no_logits(archive: Path) -> None:
    found = open_program(archive, SIGNATURE).logits(sample(LAYOUT, 2, shared=SHARED)[:0])
    assert {task: logits.shape for task, logits in found.items()} == {"click": (0,), "codes": (0,)}


def test_a_file_holds_nothing_of_the_source_and_no_sample(
    archive: Path, program: ExportedProgram
) -> None:
    with zipfile.ZipFile(archive) as file:
        graph = file.read("model/models/model.json").decode()
        assert file.getinfo("model/data/sample_inputs/model.pt").file_size == 0
    assert not re.search(r"\.py|stack_trace|nn_module_stack|crosstower", graph)
    assert program.example_inputs is not None  # a compiler of the same program needs them


def test_look_ups_ask_for_no_sparse_gradient() -> None:
    layout = Layout(LAYOUT.codes, (), (), LAYOUT.heads)
    graph = traced(build(layout, {"name": "logistic_regression"}), layout, frozenset()).graph
    found = [n for n in graph.nodes if n.target is torch.ops.aten.embedding.default]
    assert found
    assert all(len(node.args) == 2 and not node.kwargs for node in found)


@pytest.mark.parametrize("part", ["codes", "numbers", "lists"])
def test_a_model_may_lack_a_part_of_the_inputs(part: str, tmp_path: Path) -> None:
    from crosstower.serving.export.onnx import OnnxRanker, save_onnx
    from crosstower.serving.export.program import save_program

    of = {"codes": LAYOUT.codes, "numbers": LAYOUT.numbers, "lists": LAYOUT.lists}
    kept = {name: value if name == part else () for name, value in of.items()}
    layout = Layout(kept["codes"], kept["numbers"], kept["lists"], LAYOUT.heads)  # type: ignore[arg-type]
    model, signature = build(layout, {"name": "dcn_v2"}).eval(), signature_of(layout, SHARED)
    made = traced(model, layout, SHARED)
    save_program(made, tmp_path / "model.pt2")
    save_onnx(made, tmp_path / "model.onnx", signature)
    for form in (
        open_program(tmp_path / "model.pt2", signature),
        OnnxRanker(tmp_path / "model.onnx", signature),
    ):
        for rows in (1, 7):
            request = sample(layout, rows, shared=SHARED)
            expected = Eager(model).logits(request)
            for task, logits in form.logits(request).items():
                assert logits == pytest.approx(expected[task], abs=1e-5)


def test_another_order_of_lists_changes_nothing(archive: Path) -> None:
    form, request = open_program(archive, SIGNATURE), sample(LAYOUT, 4, shared=SHARED)
    expected = form.logits(request)["click"]
    backwards = dict(reversed(request.lists.items()))
    request.lists.clear()
    request.lists.update(backwards)
    assert (form.logits(request)["click"] == expected).all()


def test_plain_tensors_give_what_the_model_gives() -> None:
    model = build(LAYOUT, {"name": "dcn_v2"}).eval()
    request = sample(LAYOUT, 5, shared=SHARED)
    lists = [request.lists[field.name] for field in LAYOUT.lists]
    with torch.no_grad():
        found = TensorRanker(model, LAYOUT, SHARED)(request.codes, request.numbers, *lists)
        expected = model(request)
    assert [t.tolist() for t in found] == [t.tolist() for t in expected.values()]


def test_a_damaged_file_is_refused(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(RunError, match=r"model.pt2: damaged or missing: .*; export again"):
        open_program(archive, SIGNATURE)
    with pytest.raises(RunError, match=r"nothing.pt2: damaged or missing"):
        open_program(archive.with_name("nothing.pt2"), SIGNATURE)
