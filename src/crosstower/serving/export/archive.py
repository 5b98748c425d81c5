"""Look into a .pt2 file before torch loads it: nothing in it may run while it is read.

`torch.export.load` of torch 2.13 unpickles weights, constants and sample inputs where the file says
so, hands strings of the graph to SymPy, which evaluates them, and imports modules that its tree
specifications name. Files that `save_program` writes use none of this. What is not of their form is
refused here, so that a file from elsewhere can at worst compute other numbers.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.export.pt2_archive import PT2ArchiveReader

from crosstower.errors import RunError

_GRAPH, _SAMPLE = "models/model.json", "data/sample_inputs/model.pt"
_TABLES = (
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
_OTHERS = r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
_RECORDS = re.compile(
    rf"data/weights/weight_\d+|data/constants/tensor_\d+|{_OTHERS}|"
    + "|".join(map(re.escape, (_GRAPH, _SAMPLE, *_TABLES)))
)
# Strings of the graph: identifiers and dotted names, the operators that it may call, sizes, and
# trees of tuples, lists and dictionaries.
_WORD = re.compile(r"[\w.+-]*")
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b)\w+\.\w+|_operator\.(add|sub|mul|neg|floordiv|mod|getitem)"
)
_SIZE = re.compile(
    r"((Mul|Add|Max|Min|FloorDiv|Mod|Integer|Symbol)\(|\)|, |-?\d+|'s\d+'"
    r"|(positive|nonnegative|integer)=True)+"
)
_TREE = re.compile(
    r'([\[\]{}:, 1]|null|"(type|context|children_spec|null|\[\]|builtins\.(tuple|list|dict))")+'
)
_EQUATION = re.compile(r"[\w.,> -]*")  # of einsum; strings of operators are never evaluated
_FORMS = {
    "target": _OPERATOR,
    "expr_str": _SIZE,
    "in_spec": _TREE,
    "out_spec": _TREE,
    "as_string": _EQUATION,
}


def check_archive(path: Path) -> None:
    """Refuse a .pt2 file that holds more than tensors and a graph of torch's own operators.

    Raises:
        RunError: it is damaged, holds a pickle or text that would be evaluated, or has parts that
            are not known here.

    """
    try:
        with zipfile.ZipFile(path) as file:  # torch has a reader of its own; both must agree
            listed = sorted(name.partition("/")[2] for name in file.namelist())
        with PT2ArchiveReader(str(path)) as archive:
            names = archive.get_file_names()
            if sorted(names) != listed or len(set(names)) != len(names):
                raise _refused(path, "its list of parts is not clear")
            _check_records(path, names)
            contents = {name: archive.read_bytes(name) for name in (_GRAPH, _SAMPLE, *_TABLES)}
        if contents[_SAMPLE]:
            raise _refused(path, "it holds sample inputs, which are a pickle")
        for name in (_GRAPH, *_TABLES):
            _check_strings(path, json.loads(contents[name]))
    except (OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path}: damaged or missing: {reason}; export again") from error


def _check_records(path: Path, names: list[str]) -> None:
    for name in names:
        if not _RECORDS.fullmatch(name):
            raise _refused(path, f"it has a part '{name}'")


def _check_strings(path: Path, document: Any) -> None:
    for key, text in _strings(document):
        if key == "use_pickle":
            raise _refused(path, "some of its tensors are pickles")
        if not _FORMS.get(key, _WORD).fullmatch(text):
            raise _refused(path, f"'{key}' is '{text[:80]}'")


def _strings(document: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, text) of all strings within, keys too, and of each pickle that is announced."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield "key", name
            yield from _strings(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from _strings(value, key)
    elif isinstance(document, str) or (key == "use_pickle" and document is not False):
        yield key, str(document)


def _refused(path: Path, what: str) -> RunError:
    return RunError(
        f"{path}: not loaded, as {what}: such a file may run code when it is read, and none that"
        " 'crosstower export' wrote has that; export again"
    )
