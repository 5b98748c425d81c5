import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.training import row_shards_worker as worker
from torch import Tensor

from crosstower.errors import RunError
from crosstower.training.row_shards import join_rows, read_whole, sizes_of

WHOLE = worker.ROWS | worker.EQUAL


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which 2 and 3 processes have written, and 1 and 3 have read."""
    folder = tmp_path_factory.mktemp("rows")
    ranks = [
        subprocess.Popen([sys.executable, worker.__file__, str(rank), str(folder)])
        for rank in range(3)
    ]
    try:
        assert [process.wait(timeout=240) for process in ranks] == [0] * 3
    finally:
        for process in ranks:
            process.kill()
    assert (folder / "done").is_file()
    return folder


def files(folder: Path, writers: int) -> list[Path]:
    return sorted((folder / f"by-{writers}").iterdir())


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], v) for k, v in two.items())


@pytest.mark.parametrize("writers", [2, 3])
def test_one_process_reads_what_several_wrote(written: Path, writers: int) -> None:
    parts = files(written, writers)
    assert len(parts) == writers
    assert same(read_whole(parts), WHOLE)
    assert set(read_whole(parts, prefix="model.", without={"model.bias"})) == {"model.table"}
    assert sizes_of(parts) == {name: tensor.nbytes for name, tensor in WHOLE.items()}
    held = [load_file(part).get("model.table", torch.empty(0)).numel() for part in parts]
    assert max(held) <= 2 * -(-7 // writers)  # no file holds more than the rows of its process


@pytest.mark.parametrize("writers", [2, 3])
def test_joined_rows_are_an_ordinary_file(written: Path, writers: int, tmp_path: Path) -> None:
    out = tmp_path / "best.safetensors"
    join_rows(files(written, writers), sorted(WHOLE), out, {"format": "2"})
    assert same(load_file(out), WHOLE)
    with safe_open(out, framework="pt") as file:
        assert file.metadata() == {"format": "2"}


def test_a_damaged_part_is_named(written: Path, tmp_path: Path) -> None:
    parts = [tmp_path / path.name for path in files(written, 2)]
    for part, source in zip(parts, files(written, 2), strict=True):
        part.write_bytes(source.read_bytes())
    parts[1].write_bytes(parts[1].read_bytes()[:-9])
    with pytest.raises(RunError, match="damaged checkpoint"):
        read_whole(parts)
