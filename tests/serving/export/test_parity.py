"""Every model and every kind of column gives the same logits as ONNX."""

import logging
from pathlib import Path

import numpy as np
import pytest

from crosstower.data.batch import Batch
from crosstower.data.encoders.request_encoder import RequestEncoder
from crosstower.models.registry import model_names
from crosstower.ranking.scorer import Eager, Exported, Scorer
from crosstower.serving.export.exported import export_model, open_exported
from crosstower.serving.export.sample import sample

from ...ranking.test_scorer import EVERYTHING, OF_USER, cleaned, rows_of, scorer_of

pytestmark = pytest.mark.slow

COUNTS = (1, 2, 7, 500)
FEW = ("user", "age", "item", "tags", "target", "wide")
CASES = [("wide_deep", "every column", True), ("dcn_v2", "every column", False)]
CASES += [(name, "few columns", True) for name in model_names()]
CASES += [("two_tower", "few columns", False)]


def own_columns(scorer: Scorer) -> list[str]:
    return [name for name in scorer.encoder.schema.columns if name in OF_USER]


def request_of(scorer: Scorer, count: int) -> Batch:
    """Return encoded candidates of one user."""
    schema, frame = scorer.encoder.schema, rows_of(count, count, users=1)
    own = own_columns(scorer)
    user, items = schema.part(own), schema.part([n for n in schema.columns if n not in own])
    encoder = RequestEncoder(scorer.encoder, own)
    return encoder.encode(cleaned(user, frame.head(1), []), cleaned(items, frame, []))


def whole_rows(scorer: Scorer, count: int) -> Batch:
    """Return encoded rows of several users."""
    frame = rows_of(1, count, users=count)
    return scorer.encoder.encode(cleaned(scorer.encoder.schema, frame, []))


def agrees(exported: Exported, scorer: Scorer, batch: Batch) -> None:
    found = exported.logits(batch)
    expected = Eager(scorer.model).logits(batch)  # type: ignore[arg-type]
    assert list(found) == list(expected)
    for task, logits in expected.items():
        assert found[task].dtype == np.float32
        np.testing.assert_allclose(found[task], logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "columns", "requests"), CASES)
def test_an_export_agrees_with_the_model(
    name: str, columns: str, requests: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = EVERYTHING if columns == "every column" else {n: EVERYTHING[n] for n in FEW}
    scorer = scorer_of(name, chosen, OF_USER)
    layout, own = scorer.encoder.layout, own_columns(scorer)
    export_model(scorer, tmp_path / "exported", user=own if requests else [])
    loud = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert loud == []  # nothing for the terminal
    exported = open_exported(tmp_path / "exported", layout)
    for count in COUNTS:
        agrees(exported, scorer, request_of(scorer, count))
        agrees(exported, scorer, sample(layout, count, shared=[*own, "own"], seed=count))
        if not requests or count == 1:
            agrees(exported, scorer, whole_rows(scorer, count))
