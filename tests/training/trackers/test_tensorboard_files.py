"""Event files, read back by TensorBoard's reader."""

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crosstower.training.history import history

from ...fixtures.tracked import tracked_run


def read(folder: Path) -> Any:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return reader


def test_event_files_hold_each_evaluation_once_also_after_a_resume(store: Path) -> None:
    first = tracked_run(store, "training.trackers=[tensorboard]", seeds=2)
    folder = first.folder / "tensorboard"
    assert {path.name for path in (folder / "mlp").iterdir()} == {"seed-0", "seed-1"}
    longer = tracked_run(store, "training.trackers=[tensorboard]", "training.epochs=3", resume=True)
    found = read(folder / "mlp/seed-1")
    records = history(longer, "mlp", 1)
    assert [e.step for e in found.Scalars("train/loss")] == [r["step"] for r in records]
    values = [e.value for e in found.Scalars("valid/click.auc")]
    assert [round(v, 5) for v in values] == [round(r["valid"]["click.auc"], 5) for r in records]
    text = found.Tensors("parameters/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| training.learning_rate | `0.01` |" in text
    whole = read(folder / "summary")
    auc = longer.metrics["tasks"]["click"]["mlp"]["auc"]
    assert round(whole.Scalars("test/click.auc")[-1].value, 5) == round(auc["mean"], 5)
    assert round(whole.Scalars("test/click.auc.sd")[-1].value, 5) == round(auc["sd"], 5)
    assert "report.html" in str(whole.Tensors("files/text_summary")[0])
