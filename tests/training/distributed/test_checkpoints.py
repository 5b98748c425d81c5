import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from crosstower.nn.world import ALONE
from crosstower.training.checkpoint import read_checkpoint
from crosstower.training.distributed.checkpoints import make_ordinary
from crosstower.training.weight_files import files_of, is_by_rows, read_tensors, same_tensors

from ...fixtures import resumed

pytestmark = pytest.mark.slow

Losses = dict[str, list[float]]


def results(folder: Path, work: str) -> Any:
    return json.loads((folder / f"{work}.json").read_bytes())


def difference(one: Losses, other: Losses) -> float:
    assert one.keys() == other.keys()
    pairs = [(a, b) for name in one for a, b in zip(one[name], other[name], strict=True)]
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("writers", ["1", "2"])
@pytest.mark.parametrize("readers", [3, 4])
def test_several_processes_go_on_from_any_number_of_others(
    together: Path, writers: str, readers: int
) -> None:
    found = results(together, f"reading-{readers}")[writers]
    assert difference(found, results(together, "alone")) <= 1e-6


def test_one_process_goes_on_from_several(together: Path) -> None:
    alone = results(together, "alone")
    assert difference(results(together, "writing-2"), alone) <= 1e-6
    assert difference(resumed.read(ALONE, together, 2), alone) <= 1e-6


def test_no_file_holds_the_rows_of_more_than_one_process(together: Path) -> None:
    path = together / "wide_deep-2.safetensors"
    whole, position = read_checkpoint(path)
    assert position.step == resumed.STEPS
    tables = {k: len(v) for k, v in whole.items() if ".tables." in k or k.endswith("wide.weight")}
    assert len(tables) == 3
    for part in files_of(path):
        held = load_file(part)
        assert all(len(held[name]) <= -(-rows // 2) for name, rows in tables.items())


@pytest.mark.parametrize("limit", [0, 3000])
def test_ordinary_files_have_the_same_tensors(together: Path, tmp_path: Path, limit: int) -> None:
    source, path = together / "wide_deep-2.safetensors", tmp_path / "best.safetensors"
    same_tensors(source, path)
    same_tensors(path, tmp_path / "last.safetensors")
    assert is_by_rows(path)
    make_ordinary(path, tmp_path / "last.safetensors", limit=limit)
    before, after = read_checkpoint(source), read_checkpoint(path)
    assert before[1] == after[1]
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][name], tensor) for name, tensor in after[0].items())
    assert path.is_file() == (limit == 0)
    assert not is_by_rows(path)
    last = tmp_path / "last.safetensors"
    assert not is_by_rows(last)
    assert read_tensors(last).keys() == after[0].keys()
    assert not list(tmp_path.glob("*.rows"))
    assert len(files_of(path)) == (1 if limit == 0 else len(set(files_of(path))))


def test_a_loss_that_is_not_finite_is_told_with_its_process(together: Path) -> None:
    words = results(together, "spoil-2")
    assert words.startswith("loss became nan on rank 1 at step 3 (epoch 1)")


def test_a_full_disk_leaves_the_checkpoint_before(together: Path) -> None:
    left = results(together, "filling-2")
    assert "No space left on device" in left["words"]
    assert "the previous file is untouched" in left["words"]
    assert left["step"] == 1
    assert left["folders"] == ["cut-00001-of-00001.rows"]
