"""One of several processes that write and read rows: RANK FOLDER; see test_row_shards.py."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from crosstower.training.row_shards import read_rows, write_rows
from crosstower.training.weight_files import RowBlock

ROWS = {
    "model.table": torch.arange(14.0).view(7, 2),
    "optimizer.1.0.last": torch.arange(4, dtype=torch.int32),  # of three processes one has none
}
EQUAL = {"model.bias": torch.ones(3), "optimizer.0.1.step": torch.tensor(4.0)}


@contextmanager
def world(rank: int, size: int, folder: Path, name: str) -> Iterator[None]:
    store = f"file://{folder / name}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def block(whole: Tensor, rank: int, size: int) -> RowBlock:
    most = -(-len(whole) // size)
    part = whole[rank * most : (rank + 1) * most].clone()
    return RowBlock(part, min(rank * most, len(whole)), len(whole))


def main(rank: int, folder: Path) -> None:
    for size in (2, 3):
        if rank < size:
            with world(rank, size, folder, f"store-{size}"):
                rows = {name: block(whole, rank, size) for name, whole in ROWS.items()}
                write_rows(folder / f"by-{size}", rows | EQUAL)
    for size in (1, 3):
        for writers in (2, 3):
            if rank < size:
                with world(rank, size, folder, f"store-{size}-{writers}"):
                    zeros = {k: block(torch.zeros_like(v), rank, size) for k, v in ROWS.items()}
                    read_rows(sorted((folder / f"by-{writers}").iterdir()), zeros)
                    for name, whole in ROWS.items():
                        assert torch.equal(zeros[name].rows, block(whole, rank, size).rows)
    if rank == 0:
        (folder / "done").touch()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
