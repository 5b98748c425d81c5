import numpy as np
import pytest
import torch

from crosstower.errors import RecipeError

from .rankers import TWO_TASKS, agrees, dense, double, fields_of, flat, model_of, rows

OPTIONS = {"name": "finalmlp", "hidden": [6, 4], "second_hidden": [8], "gate_hidden": [5]}


def fused(model: torch.nn.Module, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return logits for the inputs of both streams; the fusion is pinned in tests/nn."""
    streams = [dense(mlp, x) for mlp, x in zip(model.mlps, (first, second), strict=True)]
    return double(model.fusion.double()(*map(torch.from_numpy, streams)))


def gated(model: torch.nn.Module, fields: np.ndarray) -> list[np.ndarray]:
    return [double(gate.double()(torch.from_numpy(fields))) for gate in model.gates]


@pytest.mark.parametrize("context", [{}, {"gate": ["a", "x"], "second_gate": ["tags"]}])
def test_each_stream_reads_gated_fields(context: dict[str, list[str]]) -> None:
    model, batch = model_of(OPTIONS | context, TWO_TASKS), rows(TWO_TASKS)
    expected = fused(model, *gated(model, fields_of(model, batch)))
    agrees(model.float(), batch, expected)


def test_without_gates_both_streams_read_the_fields() -> None:
    model, batch = model_of({"name": "finalmlp", "hidden": [6], "gates": False}), rows()
    fields = flat(fields_of(model, batch))
    expected = fused(model, fields, fields)
    agrees(model.float(), batch, expected)


def test_a_gate_reads_the_columns_that_it_is_given() -> None:
    model = model_of(OPTIONS | {"gate": ["a", "x"]})
    names = model.input.names
    assert [names[i] for i in model.gates[0].places] == ["a", "x"]
    assert model.gates[0].learned is None
    assert model.gates[1].learned is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gate": ["tagz"]}, r"model\.gate: no column 'tagz'; did you mean 'tags'\?"),
        ({"second_gate": ["z"]}, r"model\.second_gate: no column 'z'.*allowed: a, b, tags, x, y"),
        ({"fusion_heads": 3}, r"divisor of both last widths \[4, 8\], got 3"),
        ({"gates": False}, "gate_hidden: only with gates: true"),
    ],
)
def test_options_that_do_not_fit_are_errors(options: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        model_of(OPTIONS | options)
