"""Offline runs of Weights & Biases, read back from their files."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from crosstower.training.history import history

from ...fixtures.tracked import tracked_run

BLOCK, HEADER = 32_768, 7


def records_of(path: Path) -> list[Any]:
    """Read a transaction log: LevelDB's form, after a header of seven bytes.

    Each piece of a record has its checksum, length and kind: 1 whole, 2 first, 3 middle, 4 last.
    """
    data, place, parts, found = path.read_bytes(), HEADER, b"", []
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:  # the rest of a block that holds no header
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


@pytest.mark.slow
def test_offline_runs_hold_metrics_options_and_the_report(store: Path) -> None:
    run = tracked_run(store, "training.trackers=[wandb]")
    wandb.teardown()  # its service writes the end of a file after `finish`
    folders = sorted((run.folder / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    found: dict[str, list[Any]] = {}
    for folder in folders:
        records = records_of(next(folder.glob("*.wandb")))
        name = next(r.run.display_name for r in records if r.HasField("run"))
        found[name] = records
    assert set(found) == {"tracked", "tracked/mlp/seed-0"}
    training = found["tracked/mlp/seed-0"]
    logged = [
        {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in r.history.item}
        for r in training
        if r.HasField("history")
    ]
    expected = history(run, "mlp", 0)
    assert [row["valid/click.auc"] for row in logged] == [r["valid"]["click.auc"] for r in expected]
    assert [row["_step"] for row in logged] == [r["step"] for r in expected]
    head = next(r.run for r in training if r.HasField("run"))
    options = {i.key: json.loads(i.value_json) for i in head.config.update}
    assert options["training.learning_rate"] == "0.01"
    assert head.run_group == "tracked"
    files = {path.name for path in (run.folder / "wandb").rglob("files/*")}
    assert {"report.html", "metrics.json"} <= files
    assert "requirements.txt" not in files
    environment = [r for r in training if r.HasField("run")]
    assert {r.run.host for r in environment} == {"localhost"}
