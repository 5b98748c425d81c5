import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from crosstower.errors import RunError
from crosstower.training.sharded_weight_files import join_rows, read_whole, sizes_of

from ..fixtures.resumed import EQUAL, ROWS

pytestmark = pytest.mark.slow

WHOLE = ROWS | EQUAL


def files(folder: Path, writers: int) -> list[Path]:
    return sorted((folder / f"by-{writers}").iterdir())


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], v) for k, v in two.items())


@pytest.mark.parametrize("writers", [2, 3])
def test_one_process_reads_what_several_wrote(together: Path, writers: int) -> None:
    parts = files(together, writers)
    assert len(parts) == writers
    assert same(read_whole(parts), WHOLE)
    assert set(read_whole(parts, prefix="model.", without={"model.bias"})) == {"model.table"}
    assert sizes_of(parts) == {name: tensor.nbytes for name, tensor in WHOLE.items()}
    held = [load_file(part).get("model.table", torch.empty(0)).numel() for part in parts]
    assert max(held) <= 2 * -(-7 // writers)  # no file holds more than the rows of its process


@pytest.mark.parametrize("writers", [2, 3])
def test_joined_rows_are_an_ordinary_file(together: Path, writers: int, tmp_path: Path) -> None:
    out = tmp_path / "best.safetensors"
    join_rows(files(together, writers), sorted(WHOLE), out, {"format": "2"})
    assert same(load_file(out), WHOLE)
    with safe_open(out, framework="pt") as file:
        assert file.metadata() == {"format": "2"}


def test_a_damaged_part_is_named(together: Path, tmp_path: Path) -> None:
    parts = [tmp_path / path.name for path in files(together, 2)]
    for part, source in zip(parts, files(together, 2), strict=True):
        part.write_bytes(source.read_bytes())
    parts[1].write_bytes(parts[1].read_bytes()[:-9])
    with pytest.raises(RunError, match="damaged checkpoint"):
        read_whole(parts)


@pytest.mark.parametrize("readers", [3, 4])
def test_each_process_reads_its_rows_of_any_number_of_others(together: Path, readers: int) -> None:
    assert json.loads((together / f"reading-{readers}.json").read_bytes())["blocks"] is True
