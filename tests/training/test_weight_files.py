import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from crosstower.errors import RunError
from crosstower.training import weight_files
from crosstower.training.weight_files import (
    checksum,
    files_of,
    index_of,
    is_stored,
    read_metadata,
    read_tensors,
    remove_stored,
    same_tensors,
    write_tensors,
)

LIMIT = 60


def tensors(seed: int = 0) -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    sizes = {"model.table": (30, 2), "model.bias": (3,), "model.scale": (), "random": (12,)}
    found = {k: torch.randn(size, generator=drawn) for k, size in sizes.items()}
    return found | {"optimizer.0.1.step": torch.tensor(7, dtype=torch.int64)}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], v) for k, v in two.items())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tensors_within_the_limit_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    write_tensors(path, tensors(), {"format": "2"})
    assert names(tmp_path) == ["best.safetensors"]
    assert same(load_file(path), tensors())
    assert (read_metadata(path), files_of(path)) == ({"format": "2"}, [path])


def test_tensors_beyond_the_limit_are_files_and_an_index_of_hugging_face(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    write_tensors(path, tensors(), {"format": "2"}, limit=LIMIT)
    index = json.loads((tmp_path / "best.safetensors.index.json").read_bytes())
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors().values())
    assert set(index["weight_map"]) == set(tensors())
    found: dict[str, Tensor] = {}
    for name in sorted(set(index["weight_map"].values())):  # as any reader of the layout does
        part = load_file(tmp_path / name)
        assert {k for k, v in index["weight_map"].items() if v == name} == set(part)
        assert len(part) == 1 or sum(t.nbytes for t in part.values()) <= LIMIT
        found |= part
    assert same(found, tensors())
    assert same(read_tensors(path), tensors())
    assert set(read_tensors(path, prefix="optimizer.")) == {"optimizer.0.1.step"}
    assert read_metadata(path)["format"] == "2"
    assert names(tmp_path)[0] == "best-00001-of-00003.safetensors"


@pytest.mark.parametrize("before", [0, LIMIT])
@pytest.mark.parametrize("after", [0, LIMIT])
def test_new_tensors_take_the_place_of_old_ones_in_any_form(
    tmp_path: Path, before: int, after: int
) -> None:
    path, other = tmp_path / "last.safetensors", tmp_path / "best.safetensors"
    write_tensors(other, tensors(9), {}, limit=LIMIT)
    write_tensors(path, tensors(), {}, limit=before)
    write_tensors(path, tensors(1), {}, limit=after)
    assert same(read_tensors(path), tensors(1))
    assert path.is_file() == (after == 0)
    assert index_of(path).is_file() == (after == LIMIT)
    assert same(read_tensors(other), tensors(9))
    assert len([n for n in names(tmp_path) if n.startswith("last-")]) == (3 if after else 0)


@pytest.mark.parametrize("limit", [0, LIMIT])
@pytest.mark.parametrize("place", ["", "other"])
def test_linked_tensors_survive_changes_of_their_source(
    tmp_path: Path, limit: int, place: str
) -> None:
    source, path = tmp_path / "best.safetensors", tmp_path / place / "last.safetensors"
    path.parent.mkdir(exist_ok=True)
    write_tensors(path, tensors(3), {}, limit=LIMIT if limit == 0 else 0)
    write_tensors(source, tensors(), {"format": "2"}, limit=limit)
    same_tensors(source, path)
    assert checksum(source) == checksum(path)
    write_tensors(source, tensors(1), {}, limit=limit)
    assert same(read_tensors(path), tensors())
    assert read_metadata(path)["format"] == "2"
    assert checksum(source) != checksum(path)


@pytest.mark.parametrize("limit", [0, LIMIT])
def test_what_is_removed_leaves_no_file(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "best.safetensors"
    write_tensors(path, tensors(), {}, limit=limit)
    assert is_stored(path)
    remove_stored(path)
    assert not is_stored(path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("limit", [0, LIMIT])
def test_a_full_disk_leaves_the_former_tensors_and_nothing_else(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.safetensors"
    write_tensors(path, tensors(), {}, limit=limit)
    before, save, calls = names(tmp_path), weight_files.save_file, list[Path]()

    def full(part: Any, aside: Path, words: Any) -> None:
        if calls or not limit:
            raise OSError(28, "No space left on device")
        calls.append(aside)
        save(part, aside, words)

    monkeypatch.setattr(weight_files, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(path, tensors(1), {}, limit=limit)
    assert names(tmp_path) == before
    assert same(read_tensors(path), tensors())


def test_a_missing_or_damaged_part_is_named(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    write_tensors(path, tensors(), {}, limit=LIMIT)
    part = files_of(path)[1]
    part.write_bytes(part.read_bytes()[:5])
    with pytest.raises(RunError, match=r"best-00002-of-00003\.safetensors: damaged checkpoint"):
        read_tensors(path)
    part.unlink()
    with pytest.raises(RunError, match=r"best-00002-of-00003\.safetensors: damaged checkpoint"):
        read_tensors(path)
    index_of(path).write_text("{}")
    with pytest.raises(RunError, match=r"index\.json: damaged checkpoint"):
        read_metadata(path)


def test_a_damaged_index_keeps_files_that_it_may_name(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    write_tensors(path, tensors(), {}, limit=LIMIT)
    before = names(tmp_path)
    index_of(path).write_text("[]")
    write_tensors(tmp_path / "last.safetensors", tensors(), {})
    assert names(tmp_path) == sorted([*before, "last.safetensors"])
