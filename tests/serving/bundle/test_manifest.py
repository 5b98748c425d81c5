"""The manifest: every meaningful field is part of the version."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import BundleError
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.manifest import NAME

from .conftest import edit


def test_a_manifest_that_cannot_be_read_is_named(copy: Path, tmp_path: Path) -> None:
    path = copy / NAME
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"format": 4}))
    with pytest.raises(BundleError, match=r"newer Crosstower \(format 4, this one reads 3\)"):
        Bundle.open(copy)
    path.write_text(json.dumps(plain | {"format": 2}))
    with pytest.raises(BundleError, match=r"older Crosstower \(format 2, this one reads 3\)"):
        Bundle.open(copy)
    deep = "[" * 100_000
    for text in ("", "[]", "{", deep, json.dumps(plain | {"candidates": "many"})):
        path.write_text(text)
        with pytest.raises(BundleError, match=rf"{NAME}: damaged"):
            Bundle.open(copy)
    with pytest.raises(BundleError, match="no bundle in this folder"):
        Bundle.open(tmp_path / "nowhere")


CHANGES: dict[str, Any] = {
    "candidates": 51,
    "items": 3,
    "name": "other",
    "index": "ann",
    "reference": {"click": [0.1, 0.2]},
    "blend_by": ["price"],
    "crosstower": "9.9",
    "libraries": {"torch": "1"},
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_meaningful_field_is_part_of_the_version(copy: Path, field: str) -> None:
    edit(copy, **{field: CHANGES[field]})
    with pytest.raises(BundleError, match=r"was changed: its content has version .*, it claims"):
        Bundle.open(copy, check=False)


def test_a_run_of_the_manifest_is_part_of_the_version(copy: Path) -> None:
    plain = json.loads((copy / NAME).read_text())
    edit(copy, ranking=plain["ranking"] | {"weights": "0" * 64})
    with pytest.raises(BundleError, match="was changed"):
        Bundle.open(copy)
    edit(copy, ranking=plain["ranking"], created="2020-01-01T00:00:00+00:00", git_revision="abc")
    assert Bundle.open(copy).version == plain["version"]


@pytest.mark.parametrize("candidates", [0, -1, 10**9, 1e9])
def test_candidates_are_bounded(copy: Path, candidates: float) -> None:
    edit(copy, candidates=candidates)
    with pytest.raises(BundleError, match=r"damaged: Input should be (less|greater) than"):
        Bundle.open(copy)
