"""Tensors whose rows several processes hold, on disk by torch.distributed.checkpoint.

Each process writes its rows to a safetensors file of its own; nothing is pickled. Any number of
processes reads them back, each its own rows. A single process turns them into ordinary files row
block by row block, so that no process ever holds a whole table.
"""

from __future__ import annotations

import json
import mmap
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from crosstower.errors import RunError
from crosstower.training.weight_files import RowBlock

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_rows(folder: Path, tensors: Mapping[str, Tensor | RowBlock]) -> None:
    """Write tensors of all processes to a folder; every process calls it at the same time.

    Args:
        folder: new.
        tensors: equal on all processes, or the rows that this one holds.

    Raises:
        OSError: a process cannot write its file; raised on all of them.

    """
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    whole = {
        name: RowBlock(value.rows.contiguous(), value.start, value.total)
        if isinstance(value, RowBlock)
        else value.contiguous()
        for name, value in tensors.items()
    }
    try:
        save(_distributed(whole), storage_writer=writer)
    except CheckpointException as error:
        rank, (cause, _) = sorted(error.failures.items())[0]
        if isinstance(cause, OSError):
            raise OSError(cause.errno, f"{cause.strerror or cause} (rank {rank})") from error
        raise


def read_rows(files: Sequence[Path], blocks: Mapping[str, RowBlock]) -> None:
    """Fill the rows of this process from files; every process calls it at the same time.

    Args:
        files: of a checkpoint, in any form.
        blocks: to fill; a name that the files do not have stays as it is.

    Raises:
        RunError: a file is damaged, or a tensor has another shape.

    """
    stored = _stored(files)
    known = {name: block for name, block in blocks.items() if name in stored}
    for name, block in known.items():
        shape = [block.total, *block.rows.shape[1:]]
        if list(stored[name].size) != shape:
            raise RunError(
                f"{files[0].parent}: '{name}' has shape {list(stored[name].size)}, expected"
                f" {shape}: weights of another model; train again"
            )
    _load(files, _distributed(known), no_dist=False)


def read_whole(
    files: Sequence[Path], *, prefix: str = "", without: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return whole tensors by name, those whose name begins with `prefix`.

    Args:
        files: of a checkpoint, in any form.
        prefix: of the names.
        without: names to leave out.

    Raises:
        RunError: a file is damaged.

    """
    tensors = {
        name: torch.empty(found.size, dtype=found.properties.dtype)
        for name, found in _stored(files).items()
        if name.startswith(prefix) and name not in without
    }
    _load(files, tensors, no_dist=True)
    return tensors


def row_shapes(files: Sequence[Path]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return the shape and the type of each tensor, without reading it.

    Raises:
        RunError: a file is damaged.

    """
    return {name: (s.size, s.properties.dtype) for name, s in _stored(files).items()}


def sizes_of(files: Sequence[Path]) -> dict[str, int]:
    """Return the bytes of each tensor.

    Raises:
        RunError: a file is damaged.

    """
    stored = _stored(files).items()
    return {name: s.size.numel() * s.properties.dtype.itemsize for name, s in stored}


def join_rows(
    files: Sequence[Path], names: Sequence[str], out: Path, metadata: Mapping[str, str]
) -> None:
    """Write an ordinary safetensors file of whole tensors, in blocks of the rows of a process.

    Args:
        files: of all processes.
        names: of the tensors.
        out: the file; must exist, its content is replaced.
        metadata: texts to keep in it.

    Raises:
        OSError: the disk is full.
        RunError: a file is damaged.

    """
    stored = _stored(files)
    header, place = dict[str, Any]({"__metadata__": dict(metadata)}), 0
    for name in names:
        found = stored[name]
        size = found.size.numel() * found.properties.dtype.itemsize
        header[name] = {
            "dtype": _DTYPES[found.properties.dtype],
            "shape": list(found.size),
            "data_offsets": [place, place + size],
        }
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    with out.open("wb+") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + place)
        file.flush()
        with mmap.mmap(file.fileno(), 0) as mapped:
            tensors = {
                name: _view(mapped, 8 + len(text), header[name], stored[name]) for name in names
            }
            _load(files, {k: t for k, t in tensors.items() if t.numel()}, no_dist=True)
            del tensors
            mapped.flush()


def _view(
    mapped: mmap.mmap, start: int, place: Mapping[str, Any], of: TensorStorageMetadata
) -> Tensor:
    count, dtype = of.size.numel(), of.properties.dtype
    if not count:
        return torch.empty(of.size, dtype=dtype)
    flat = torch.frombuffer(
        mapped, dtype=dtype, count=count, offset=start + place["data_offsets"][0]
    )
    return flat.view(of.size)


class _Listed(FileSystem):
    """A file system that lists given files for every folder."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [str(path) for path in files]

    def ls(self, path: Any) -> list[str]:
        del path
        return self._files


class _Reader(HuggingFaceStorageReader):
    """A reader of given safetensors files, with whole tensors or rows of them."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(str(files[0].parent))
        self.fs = _Listed(files)


def _stored(files: Sequence[Path]) -> dict[str, TensorStorageMetadata]:
    try:
        found = _Reader(files).read_metadata().state_dict_metadata
    except (SafetensorError, OSError) as error:
        raise RunError(_damage(files, error)) from error
    return cast("dict[str, TensorStorageMetadata]", found)


def _load(files: Sequence[Path], tensors: dict[str, Tensor], *, no_dist: bool) -> None:
    try:
        with warnings.catch_warnings():  # of a load without the other processes, which is meant
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            load(tensors, storage_reader=_Reader(files), no_dist=no_dist)
    except CheckpointException as error:
        _, (cause, _) = sorted(error.failures.items())[0]
        raise RunError(_damage(files, cause)) from error


def _damage(files: Sequence[Path], error: BaseException) -> str:
    return (
        f"{files[0].parent}: damaged checkpoint: {error}; put a copy of another checkpoint in its"
        " place, or train again"
    )


def _distributed(tensors: Mapping[str, Tensor | RowBlock]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    mesh = None
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            found[name] = value.detach()
            continue
        kind = value.rows.device.type
        mesh = mesh or init_device_mesh(kind, (torch.distributed.get_world_size(),))
        shape = torch.Size([value.total, *value.rows.shape[1:]])
        stride = torch.empty(shape, device="meta").stride()
        found[name] = DTensor.from_local(
            value.rows.detach(), mesh, [Shard(0)], run_check=False, shape=shape, stride=stride
        )
    return found
