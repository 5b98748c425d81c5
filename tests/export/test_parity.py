"""Every model and every kind of column gives the same logits in every form."""

from pathlib import Path

import numpy as np
import pytest

from crosstower.batch import Batch
from crosstower.export.forms import export_model, open_exported
from crosstower.export.sample import sample
from crosstower.models.registry import model_names
from crosstower.scores import Eager, Exported, Ranker, Scorer

from ..test_scores import EVERYTHING, OF_USER, cleaned, rows_of, scorer_of

KINDS = ("onnx", "torch_export")
COUNTS = (1, 2, 7, 500)
CASES = [(name, True) for name in model_names()]
CASES += [(name, False) for name in ("dcn_v2", "two_tower", "wide_deep")]


def request_of(scorer: Scorer, count: int) -> Batch:
    """Return encoded candidates of one user."""
    schema, frame = scorer.encoder.schema, rows_of(count, count, users=1)
    sides = [[n for n in schema.columns if (n in OF_USER) == own] for own in (True, False)]
    user, items = (schema.part(side) for side in sides)
    encoder = Ranker(scorer, [*OF_USER]).encoder
    return encoder.encode(cleaned(user, frame.head(1), []), cleaned(items, frame, []))


def whole_rows(scorer: Scorer, count: int) -> Batch:
    """Return encoded rows of several users."""
    frame = rows_of(1, count, users=count)
    return scorer.encoder.encode(cleaned(scorer.encoder.schema, frame, []))


def agrees(form: Exported, scorer: Scorer, batch: Batch) -> None:
    found = form.logits(batch)
    expected = Eager(scorer.model).logits(batch)  # type: ignore[arg-type]
    assert list(found) == list(expected)
    for task, logits in expected.items():
        assert found[task].dtype == np.float32
        np.testing.assert_allclose(found[task], logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "requests"), CASES)
def test_all_forms_agree_with_the_model(name: str, requests: bool, tmp_path: Path) -> None:
    scorer = scorer_of(name, EVERYTHING, OF_USER)
    layout, user = scorer.encoder.layout, [*OF_USER] if requests else []
    export_model(scorer, tmp_path / "exported", KINDS, user=user)
    for kind in KINDS:
        form = open_exported(tmp_path / "exported", kind, layout)
        for count in COUNTS:
            agrees(form, scorer, request_of(scorer, count))
            agrees(form, scorer, sample(layout, count, shared=[*OF_USER, "own"], seed=count))
            if not requests or count == 1:
                agrees(form, scorer, whole_rows(scorer, count))
