"""A bundle to change."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.manifest import NAME


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return shutil.copytree(bundle.folder, tmp_path / "copy")


def edit(folder: Path, **fields: Any) -> None:
    """Change the manifest as somebody would by hand."""
    path = folder / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
