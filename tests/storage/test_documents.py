import hashlib
import json
from pathlib import Path

import pytest

from crosstower.errors import BundleError, RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.storage.documents import FileFacts, facts_of, fault_of, read_document


class Numbered(FrozenModel):
    format: int = 1
    number: int


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.json"


def test_facts_are_size_and_checksum(path: Path) -> None:
    path.write_bytes(b"weights")
    assert facts_of(path) == FileFacts(bytes=7, sha256=hashlib.sha256(b"weights").hexdigest())


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"weights", None),
        (b"weight", "cut short: 6 bytes of 7"),
        (b"weights!", "longer than it was: 8 bytes of 7"),
        (b"weighty", "damaged: its checksum differs"),
        (None, "missing"),
    ],
)
def test_a_file_that_has_changed_is_noticed(
    path: Path, content: bytes | None, fault: str | None
) -> None:
    path.write_bytes(b"weights")
    facts = facts_of(path)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert fault_of(path, facts) == fault


def read(path: Path, error: type[RunError | BundleError] = RunError) -> Numbered:
    return read_document(path, Numbered, newest=1, error=error, again="make it again")


def test_a_document_is_read_back(path: Path) -> None:
    path.write_text(json.dumps({"format": 1, "number": 5}))
    assert read(path) == Numbered(number=5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": 2, "what": 1}', r"newer Crosstower \(format 2, this one reads 1\)"),
        ('{"number": "many"}', "damaged: .*; make it again"),
        ("[]", "damaged"),
        ("{", "damaged"),
        ("", "damaged"),
        (None, "damaged: .*No such file"),
    ],
)
@pytest.mark.parametrize("error", [RunError, BundleError])
def test_what_cannot_be_read_is_refused_in_words(
    path: Path, text: str | None, words: str, error: type[RunError | BundleError]
) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=words) as found:
        read(path, error)
    assert "kept.json" in str(found.value)
