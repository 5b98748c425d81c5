"""Files of a bundle: all listed, all within it, none damaged."""

import json
import os
from pathlib import Path

import pytest

from crosstower.errors import BundleError
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.manifest import NAME

from .conftest import edit


@pytest.mark.parametrize("name", ["best.safetensors", "items.parquet", "vectors.npy", "blend.json"])
def test_a_damaged_file_is_named(copy: Path, name: str) -> None:
    path = next(copy.rglob(name))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(BundleError, match=rf"{name}: cut short: .* bytes of .*make it again"):
        Bundle.open(copy)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name}: damaged: its checksum differs"):
        Bundle.open(copy)
    path.write_bytes(whole + b"0")
    with pytest.raises(BundleError, match="longer than it was"):
        Bundle.open(copy)
    path.unlink()
    with pytest.raises(BundleError, match=rf"{name}: missing"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\\b", "", "a/../../b"])
def test_files_lie_within_the_bundle(copy: Path, name: str) -> None:
    plain = json.loads((copy / NAME).read_text())
    edit(copy, files=plain["files"] | {name: {"bytes": 0, "sha256": "0"}})
    with pytest.raises(BundleError, match="files: expected paths within the bundle"):
        Bundle.open(copy)


@pytest.mark.parametrize("check", [True, False])
def test_files_that_nobody_lists_are_refused(copy: Path, check: bool) -> None:
    extra = copy / "ranking" / "extra.bin"
    extra.write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.bin: is not listed in manifest\.json"):
        Bundle.open(copy, check=check)
    extra.unlink()
    weights = next(copy.rglob("best.safetensors"))
    weights.rename(copy.with_name("elsewhere"))
    weights.symlink_to(copy.with_name("elsewhere"))
    with pytest.raises(BundleError, match=r"best\.safetensors: is a symbolic link"):
        Bundle.open(copy, check=check)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(BundleError, match=r"best\.safetensors: is not a regular file"):
        Bundle.open(copy, check=check)


def test_a_folder_that_is_a_link_is_refused(copy: Path) -> None:
    (copy / "ranking").rename(copy.with_name("ranking"))
    (copy / "ranking").symlink_to(copy.with_name("ranking"))
    with pytest.raises(BundleError, match="ranking: is a symbolic link"):
        Bundle.open(copy)


def test_a_size_is_compared_without_checksums_too(copy: Path) -> None:
    path = next(copy.rglob("best.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"bytes instead of"):
        Bundle.open(copy, check=False)


def test_cards_are_checked(copy: Path) -> None:
    path = copy / "card.html"
    path.write_text(path.read_text().replace("e", "f", 1))
    with pytest.raises(BundleError, match=r"card\.html: damaged"):
        Bundle.open(copy)
