"""Every public name says what it is, lists its arguments, and has an example that runs."""

import ast
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import is_typeddict

import crosstower as ct
from crosstower.client.responses import Response
from crosstower.recipe.frozen import FrozenModel

from .test_public_names import FACES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = "\n".join(
    block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
)
"""Python of the documentation, which test_docs runs."""

ALIASES = {"crosstower.evaluation.metrics": "metrics", "crosstower.data.datasets.worlds": "worlds"}
SECTIONS = {"kind", "name"}  # discriminators of sections, which have one value each


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
    text = inspect.getdoc(value) or ""
    first = text.split("\n")[0]
    assert first, "no docstring"
    assert len(first) <= 100
    missing = [a for a in arguments(value) if not re.search(rf"^\s+{a}: ", text, re.M)]
    assert missing == [], "arguments without a description"


@pytest.mark.parametrize(("face", "value"), public())
def test_a_public_name_has_an_example_that_runs(face: str, value: Any) -> None:
    prefix = face.removeprefix("crosstower").removeprefix(".")
    path = ".".join(["ct", ALIASES.get(face, prefix), value.__name__]).replace("..", ".")
    shown = re.search(rf"\b{re.escape(path)}\b", SHOWN) is not None
    exempt = is_interface(value) or is_data(value)
    assert exempt or shown or ">>>" in texts(value)


DECORATORS = "register_"
CALLED = [
    name
    for name in ct.__all__
    if inspect.isfunction(getattr(ct, name)) and not name.startswith(DECORATORS)
]


@pytest.mark.parametrize("name", [*CALLED, "Bundle", "Funnel", "Ranker", "Retriever", "Run"])
def test_help_shows_how_to_call_what_needs_a_run(name: str) -> None:
    assert re.search(rf"\b{name}(\.open)?\(", inspect.getdoc(getattr(ct, name)) or "")


def classes() -> list[Any]:
    return [p for p in public() if inspect.isclass(p.values[1])]


@pytest.mark.parametrize(("face", "value"), classes())
def test_a_public_class_says_what_its_construction_raises(face: str, value: type) -> None:
    if not is_interface(value) and can_raise(value):
        assert re.search("^Raises:$", inspect.getdoc(value) or "", re.M)


def can_raise(value: type) -> bool:
    """Return whether making an object, or its nested `Config`, has a `raise` of ours.

    The metaclass of a `FrozenModel` reports every wrong argument.
    """
    if issubclass(value, FrozenModel):
        return True
    own = [one for one in value.__mro__ if one.__module__.startswith("crosstower.")]
    nested = [one for base in own for one in vars(base).values() if inspect.isclass(one)]
    return any(raises_at_construction(one) for one in (*own, *nested))


def raises_at_construction(value: type) -> bool:
    """Return whether constructors and validators, or what they call in their file, raise."""
    if not value.__module__.startswith("crosstower."):
        return False
    module = sys.modules[value.__module__]
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    (body,) = [n for n in ast.walk(tree) if is_class(n, value.__qualname__.rpartition(".")[2])]
    methods = {n.name: n for n in body.body if isinstance(n, ast.FunctionDef)}
    todo = [n for n in methods.values() if n.name in CONSTRUCTORS or is_validator(n)]
    seen = set[str]()
    while todo:
        for node in ast.walk(todo.pop()):
            if isinstance(node, ast.Raise):
                return True
            name = called(node)
            if name not in seen:
                seen.add(name)
                todo += [known[name] for known in (functions, methods) if name in known]
    return False


def test_the_rule_of_raises_reads_validators_and_helpers_in_the_file() -> None:
    assert raises_at_construction(ct.models.AutoInt.Config)  # by a validator
    assert raises_at_construction(ct.retrieval.MilvusIndex)  # by a function it calls
    assert not raises_at_construction(ct.nn.CrossFull)


CONSTRUCTORS = {"__new__", "__init__", "__post_init__"}


def is_class(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.ClassDef) and node.name == name


def is_validator(function: ast.FunctionDef) -> bool:
    return any("_validator" in ast.unparse(d) for d in function.decorator_list)


def called(node: ast.AST) -> str:
    """Return the name of a function of the file, or of a method of the object, that is called."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name)):
            return name
        case _:
            return ""
