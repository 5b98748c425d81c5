import pytest
import torch
from torch.export import ExportedProgram

from crosstower.data.layout import Layout
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager
from crosstower.serving.export.onnx_export import TensorRanker, traced
from crosstower.serving.export.sample import sample

from .conftest import LAYOUT, SHARED


def test_plain_tensors_give_what_the_model_gives() -> None:
    model = build(LAYOUT, {"name": "dcn_v2"}).eval()
    request = sample(LAYOUT, 5, shared=SHARED)
    lists = [request.lists[name] for name in LAYOUT.list_names()]
    with torch.no_grad():
        found = TensorRanker(model, LAYOUT, SHARED)(request.codes, request.numbers, tuple(lists))
        expected = model(request)
    assert [t.tolist() for t in found] == [t.tolist() for t in expected.values()]


@pytest.mark.parametrize("part", ["codes", "numbers", "lists"])
def test_a_model_may_lack_a_part_of_the_inputs(part: str) -> None:
    of = {"codes": LAYOUT.codes, "numbers": LAYOUT.numbers, "lists": LAYOUT.lists}
    kept = {name: value if name == part else () for name, value in of.items()}
    layout = Layout(kept["codes"], kept["numbers"], kept["lists"], LAYOUT.heads)  # type: ignore[arg-type]
    model = build(layout, {"name": "dcn_v2"}).eval()
    made = traced(model, layout, SHARED).module(check_guards=False)
    for rows in (1, 7):
        request = sample(layout, rows, shared=SHARED)
        lists = [request.lists[name] for name in layout.list_names()]
        with torch.no_grad():
            found = made(request.codes, request.numbers, tuple(lists))
        for logits, expected in zip(found, Eager(model).logits(request).values(), strict=True):
            assert logits.numpy() == pytest.approx(expected, abs=1e-5)


def test_a_program_takes_any_number_of_candidates(program: ExportedProgram) -> None:
    forward = program.module(check_guards=False)
    for rows in (1, 2, 300):
        request = sample(LAYOUT, rows, shared=SHARED)
        lists = [request.lists[name] for name in LAYOUT.list_names()]
        with torch.no_grad():
            found = forward(request.codes, request.numbers, tuple(lists))
        assert [t.shape for t in found] == [(rows,), (rows,)]
