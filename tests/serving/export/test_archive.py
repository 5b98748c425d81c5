"""Files that would run code when torch loads them, and are refused before."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from crosstower.errors import RunError
from crosstower.serving.export.archive import check_archive

ROOT = "model/"
GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS, SAMPLE = "data/constants/model_constants_config.json", "data/sample_inputs/model.pt"
Parts = dict[str, bytes]


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def rewritten(path: Path, change: Callable[[Parts], None]) -> Path:
    """Change the parts of an archive, in a form that torch still reads."""
    with zipfile.ZipFile(path) as file:
        parts = {n.removeprefix(ROOT): file.read(n) for n in file.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, content in parts.items():
            file.writestr(ROOT + name, content)
    return path


def document(name: str, change: Callable[[Any], None]) -> Callable[[Parts], None]:
    def changed(parts: Parts) -> None:
        plain = json.loads(parts[name])
        change(plain)
        parts[name] = json.dumps(plain).encode()

    return changed


def first_weight(plain: Any) -> Any:
    return next(iter(plain["config"].values()))


def evil_bytes(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Evil(marker), buffer)
    return buffer.getvalue()


def test_what_export_writes_passes(archive: Path) -> None:
    check_archive(archive)
    check_archive(rewritten(archive, lambda parts: None))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", ["weights", "constants", "sample"])
def test_pickles_are_refused_that_torch_would_run(
    archive: Path, tmp_path: Path, place: str
) -> None:
    marker = tmp_path / "ran"

    def change(parts: Parts) -> None:
        if place == "sample":
            parts[SAMPLE] = evil_bytes(marker)
        elif place == "weights":
            parts["data/weights/weight_0"] = evil_bytes(marker)
            document(WEIGHTS, lambda p: first_weight(p).update(use_pickle=True))(parts)
        else:
            parts["data/constants/opaque_obj_0"] = pickle.dumps(Evil(marker))
            entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
            document(CONSTANTS, lambda p: p["config"].update(x=entry | {"tensor_meta": None}))(
                parts
            )

    rewritten(archive, change)
    with pytest.raises(RunError, match=r"not loaded, as .*may run code when it is read"):
        check_archive(archive)
    assert not marker.exists()
    with suppress(Exception):  # whatever torch makes of it in the end
        torch.export.load(archive)
    assert marker.exists()


def node(plain: Any) -> Any:
    return plain["graph_module"]["graph"]["nodes"][1]


def signature(plain: Any) -> Any:
    return plain["graph_module"]["module_call_graph"][0]["signature"]


def deepest_size(plain: Any) -> Any:
    """Return the first symbolic size of the graph."""
    for value in plain.values() if isinstance(plain, dict) else plain:
        if isinstance(value, dict) and "expr_str" in value:
            return value
        if isinstance(value, dict | list) and (found := deepest_size(value)) is not None:
            return found
    return None


SPEC = '[1, {"type": "collections.defaultdict", "context": "os", "children_spec": []}]'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: node(p).update(target="torch.load"), "'target' is 'torch.load'"),
        (lambda p: node(p).update(target="torch.ops.aten.from_file.default"), "from_file"),
        (lambda p: node(p).update(target="_operator.attrgetter"), "attrgetter"),
        (lambda p: node(p).update(target="#evil:op"), "'#evil:op'"),
        (lambda p: node(p).update(name="x = open(1)"), "'name' is 'x = open"),
        (lambda p: node(p).update(metadata={"stack_trace": "a b"}), "'stack_trace' is 'a b'"),
        (lambda p: node(p).update(metadata={"a b": ""}), "'key' is 'a b'"),
        (lambda p: deepest_size(p).update(expr_str="__import__('os')"), "'expr_str' is '__imp"),
        (lambda p: deepest_size(p).update(expr_str="Symbol('s1', cls=x)"), "'expr_str'"),
        (lambda p: signature(p).update(in_spec=SPEC), "'in_spec' is"),
        (lambda p: p.update(guards_code=["print(1)"]), "'guards_code' is 'print"),
    ],
)
def test_text_that_would_be_evaluated_is_refused(
    archive: Path, change: Callable[[Any], None], said: str
) -> None:
    rewritten(archive, document(GRAPH, change))
    with pytest.raises(RunError) as error:
        check_archive(archive)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/constants/custom_obj_0",
        "data/aotinductor/model/x.so",
        "models/other.json",
        "extra/x",
    ],
)
def test_parts_that_are_not_known_are_refused(archive: Path, name: str) -> None:
    rewritten(archive, lambda parts: parts.update({name: b"{}"}))
    with pytest.raises(RunError, match=f"it has a part '{name}'"):
        check_archive(archive)


def test_a_part_that_is_there_twice_is_refused(archive: Path) -> None:
    with (
        zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        file.writestr(ROOT + GRAPH, "{}")
    with pytest.raises(RunError, match=r"not clear|damaged"):
        check_archive(archive)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    with pytest.raises(RunError, match=r"model.pt2: damaged or missing: .*; export again"):
        check_archive(archive)


def test_a_missing_part_is_refused(archive: Path) -> None:
    rewritten(archive, lambda parts: parts.pop(WEIGHTS) and None)
    with pytest.raises(RunError, match="damaged or missing"):
        check_archive(archive)
