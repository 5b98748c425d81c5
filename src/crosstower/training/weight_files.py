"""Named tensors on disk: one safetensors file, or several and an index from a size on.

The index has Hugging Face's layout: `best.safetensors.index.json` with `metadata` and `weight_map`,
which names the file of each tensor. Where both forms exist, the index counts: a crash between two
steps of a change of form leaves the earlier state readable.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from crosstower.errors import RunError
from crosstower.storage.documents import facts_of
from crosstower.storage.files import replacing, same_file, write_atomic

FILE_BYTES = 2_000_000_000
"""Size from which tensors are divided among several files; a larger tensor has a file of its own.

Hugging Face's hub and many object stores move files of this size without special care.
"""

ROWS = ".rows"
"""Suffix of a folder in which several processes have written rows of the same tensors."""

_SUFFIX = ".safetensors"


def index_of(path: Path) -> Path:
    """Return the path of the index that stands for `path`.

    >>> index_of(Path("best.safetensors")).name
    'best.safetensors.index.json'
    """
    return path.with_name(f"{path.name}.index.json")


@dataclass(frozen=True)
class RowBlock:
    """Rows of a tensor that a process holds: rank r of N has ceil(total / N) from r · that on.

    Args:
        rows: `[R, ...]`, the tensor that the training changes, not a copy.
        start: number of the first row.
        total: rows over all processes.

    """

    rows: Tensor
    start: int
    total: int


@dataclass(frozen=True)
class _Index:
    """An index: metadata of the tensors, and their files relative to its folder."""

    metadata: dict[str, Any]
    places: dict[str, str]
    row_shards: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files, sorted."""
        return tuple(sorted({*self.places.values(), *self.row_shards}))


def is_stored(path: Path) -> bool:
    """Return whether tensors are stored under a path, in either form."""
    return path.is_file() or index_of(path).is_file()


def files_of(path: Path) -> list[Path]:
    """Return the files of the tensors under a path, without the index.

    Raises:
        RunError: nothing is stored, or the index is damaged.

    """
    index = _index(path)
    if index is None:
        if not path.is_file():
            raise RunError(f"{path}: no such checkpoint; train first, or choose another run")
        return [path]
    return [path.parent / name for name in index.files]


def is_by_rows(path: Path) -> bool:
    """Return whether several processes have written the tensors under a path, each its rows."""
    index = _index(path)
    return index is not None and bool(index.row_shards)


def checksum(path: Path) -> str:
    """Return a SHA-256 in hexadecimal digits of the tensors' files, in either form."""
    found = [facts_of(file).sha256 for file in files_of(path)]
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def read_metadata(path: Path) -> dict[str, str]:
    """Return the texts kept with stored tensors, without reading the tensors.

    Raises:
        RunError: the file is missing or damaged.

    """
    index = _index(path)
    if index is not None:
        return {key: str(value) for key, value in index.metadata.items()}
    with _opened(path, files_of(path)[0]) as file:
        return file.metadata() or {}


def read_tensors(path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """Return stored tensors by name, those whose name begins with `prefix`.

    Raises:
        RunError: a file is missing or damaged.

    """
    index = _index(path)
    if index is not None and index.row_shards:
        from crosstower.training.sharded_weight_files import read_whole  # noqa: PLC0415 - rarely needed

        return read_whole(files_of(path), prefix=prefix)
    tensors: dict[str, Tensor] = {}
    for part in files_of(path):
        with _opened(path, part) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            tensors |= {name: file.get_tensor(name) for name in names}
    return tensors


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, limit: int = 0
) -> None:
    """Store tensors under a path, without a copy; a crash leaves the former ones.

    Args:
        path: such as "best.safetensors".
        tensors: by name.
        metadata: texts to keep with them.
        limit: bytes per file (0: `FILE_BYTES`); a larger tensor has a file of its own.

    Raises:
        OSError: the disk is full or the folder cannot be written.
        SafetensorError: likewise.

    """
    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    groups = grouped({name: t.nbytes for name, t in whole.items()}, limit)
    try:
        if len(groups) == 1:
            with replacing(path) as aside:
                save_file(whole, aside, dict(metadata) or None)
            index_of(path).unlink(missing_ok=True)
        else:
            _write_groups(path, whole, groups, metadata)
    finally:
        remove_unused(path.parent)


def _write_groups(
    path: Path, tensors: dict[str, Tensor], groups: list[list[str]], metadata: Mapping[str, str]
) -> None:
    places = dict[str, str]()
    for name, group in zip(free_names(path, len(groups)), groups, strict=True):
        with replacing(path.parent / name) as aside:
            save_file({k: tensors[k] for k in group}, aside, {"format": "pt"})
        places |= dict.fromkeys(group, name)
    size = sum(t.nbytes for t in tensors.values())
    write_index(path, {"total_size": size, **metadata}, {"weight_map": places})


def write_index(path: Path, metadata: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Write the index of stored tensors, which from now on stands for `path`.

    Args:
        path: that the index stands for.
        metadata: texts to keep.
        files: {"weight_map": {tensor: file}}, or {"row_shards": [files]}.

    """
    plain = {"metadata": dict(metadata), **files}
    write_atomic(index_of(path), json.dumps(plain, indent=1).encode())
    path.unlink(missing_ok=True)


def same_tensors(source: Path, path: Path) -> None:
    """Make `path` hold the tensors of `source`, by links; later changes of either leave the other.

    Raises:
        OSError: the disk is full or the folder cannot be written.

    """
    index = _index(source)
    if index is None:
        same_file(source, path)
        index_of(path).unlink(missing_ok=True)
    else:
        names = {name: name for name in index.files}
        if source.parent != path.parent:
            names = dict(zip(index.files, free_names(path, len(index.files)), strict=True))
            for old, new in names.items():
                same_file(source.parent / old, path.parent / new)
        places = {tensor: names[file] for tensor, file in index.places.items()}
        shards = [names[file] for file in index.row_shards]
        files = {"row_shards": shards} if shards else {"weight_map": places}
        write_index(path, index.metadata, files)
    remove_unused(path.parent)


def remove_stored(path: Path) -> None:
    """Remove the files stored under a path, if any, in either form."""
    path.unlink(missing_ok=True)
    index_of(path).unlink(missing_ok=True)
    remove_unused(path.parent)


def free_names(path: Path, count: int) -> list[str]:
    """Return names of new files for the tensors of a path, the number of files in each.

    >>> free_names(Path("best.safetensors"), 2)
    ['best-00001-of-00002.safetensors', 'best-00002-of-00002.safetensors']
    """
    generation = 0
    while True:
        stem = f"{path.stem}-{generation}" if generation else path.stem
        names = [f"{stem}-{n + 1:05d}-of-{count:05d}{_SUFFIX}" for n in range(count)]
        if not any((path.parent / name).exists() for name in names):
            return names
        generation += 1


def remove_unused(folder: Path) -> None:
    """Remove files and folders of tensors that no index of a folder names any more.

    Nothing is removed if an index is damaged, as what it names is unknown.
    """
    try:
        indexes = [_read_index(path) for path in folder.glob(f"*{_SUFFIX}.index.json")]
    except RunError:
        return
    used = {name for index in indexes for name in index.files}
    for path in folder.glob(f"*-of-?????{_SUFFIX}"):
        if path.name not in used:
            path.unlink(missing_ok=True)
    for path in folder.glob(f"*{ROWS}"):
        if not any(name.startswith(f"{path.name}/") for name in used):
            shutil.rmtree(path, ignore_errors=True)


def grouped(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Divide tensors, in order, among files of at most `limit` bytes (0: `FILE_BYTES`).

    >>> grouped({"a": 3, "b": 4, "c": 9, "d": 1}, limit=8)
    [['a', 'b'], ['c'], ['d']]
    """
    most, groups, taken = limit or FILE_BYTES, [list[str]()], 0
    for name, size in sizes.items():
        if groups[-1] and taken + size > most:
            groups.append([])
            taken = 0
        groups[-1].append(name)
        taken += size
    return groups


def _index(path: Path) -> _Index | None:
    return _read_index(index_of(path)) if index_of(path).is_file() else None


def _read_index(path: Path) -> _Index:
    try:
        plain = json.loads(path.read_bytes())
        places, shards = plain.get("weight_map", {}), tuple(plain.get("row_shards", ()))
        return _Index(dict(plain["metadata"]), dict(places), shards)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: {_damage(path, error)}") from error


@contextmanager
def _opened(path: Path, file: Path) -> Generator[Any]:
    try:
        with safe_open(file, framework="pt") as opened:
            yield opened
    except (SafetensorError, OSError) as error:
        raise RunError(f"{file}: {_damage(path, error)}") from error


def _damage(path: Path, error: Exception) -> str:
    return (
        f"damaged checkpoint: {error}; put a copy of the other checkpoint of {path.parent} in its"
        " place, or train again"
    )
