"""Every public name says what it is, lists its arguments, and has an example that runs."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import is_typeddict

from crosstower.client.responses import Response

from .test_public_names import FACES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = "\n".join(
    block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
)
"""Python of the documentation, which test_docs runs."""

ALIASES = {"crosstower.evaluation.metrics": "metrics", "crosstower.data.datasets.worlds": "worlds"}
SECTIONS = {"kind", "name"}  # discriminators of sections, which have one value each
WITHOUT_EXAMPLE = {
    "FunnelReport", "PolicyReport", "BlendResult", "IndexFacts",  # results of functions shown
    "ImplicitAls", "MilvusIndex", "PgvectorIndex",  # need an optional package
    "Catalogue", "IndexItems",  # used by engines of one's own, as in docs/extending.md
    "Distance", "Sequence", "Text", "Vector",
}  # fmt: skip
WITHOUT_ARGUMENTS = {
    "Bag", "Cross", "Distance", "Numeric", "Sequence", "Text", "Vector",
}  # fmt: skip


def public() -> list[Any]:
    found = []
    for face in FACES:
        module = importlib.import_module(face)
        values = [(name, getattr(module, name)) for name in module.__all__]
        found += [
            pytest.param(face, value, id=f"{face}.{name}")
            for name, value in values
            if not isinstance(value, ModuleType)
        ]
    return found


def is_data(value: Any) -> bool:
    """Return whether a name is the type of a request or a response, which methods show."""
    response = inspect.isclass(value) and issubclass(value, Response)
    return response or is_typeddict(value)


def is_interface(value: Any) -> bool:
    error = inspect.isclass(value) and issubclass(value, Exception | Warning)
    return error or bool(getattr(value, "_is_protocol", False))


def arguments(value: Any) -> list[str]:
    if inspect.isclass(value) and issubclass(value, BaseModel):
        fields = value.model_fields.items()
        return [f.alias or name for name, f in fields if name not in SECTIONS]
    if is_interface(value):
        return []
    if is_typeddict(value):
        return list(value.__annotations__)
    return [name for name in inspect.signature(value).parameters if name not in ("args", "kwargs")]


def texts(value: Any) -> str:
    """Return the docstring of a value, and those of a class's own methods."""
    parts = [value, *vars(value).values()] if inspect.isclass(value) else [value]
    return "\n".join(inspect.getdoc(part) or "" for part in parts)


@pytest.mark.parametrize(("face", "value"), public())
def test_a_public_name_is_documented(face: str, value: Any) -> None:
    name, text = value.__name__, inspect.getdoc(value) or ""
    first = text.split("\n")[0]
    assert first, "no docstring"
    assert len(first) <= 100
    if name not in WITHOUT_ARGUMENTS:
        missing = [a for a in arguments(value) if not re.search(rf"^\s+{a}: ", text, re.M)]
        assert missing == [], "arguments without a description"


@pytest.mark.parametrize(("face", "value"), public())
def test_a_public_name_has_an_example_that_runs(face: str, value: Any) -> None:
    prefix = face.removeprefix("crosstower").removeprefix(".")
    path = ".".join(["ct", ALIASES.get(face, prefix), value.__name__]).replace("..", ".")
    shown = re.search(rf"\b{re.escape(path)}\b", SHOWN) is not None
    exempt = is_interface(value) or is_data(value) or value.__name__ in WITHOUT_EXAMPLE
    assert exempt or shown or ">>>" in texts(value)
