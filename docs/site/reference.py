"""Pages of every public name, written for autodoc by the groups of docs/make_api.py."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import crosstower as ct

INDEX = """# Python reference

Every public name, by topic. `import crosstower as ct` gives all of them; everything else is private
and may change without notice.

"""


def reference_pages() -> dict[str, str]:
    """Return the text of each page of the reference by its file name."""
    api = _make_api()
    groups: dict[str, list[str]] = {}
    for name in ct.__all__:
        value = getattr(ct, name)
        if not isinstance(value, ModuleType):
            heading, _ = api._group(value.__module__.removeprefix("crosstower."))
            groups.setdefault(heading, []).append(_entry("crosstower", name, value))
    order = list(dict.fromkeys(heading for heading, _ in api.GROUPS.values()))
    pages = {_file(h): f"# {h}\n\n{''.join(groups[h])}" for h in order}
    for face in api.FACES:
        module = getattr(ct, face)
        words = (inspect.getdoc(module) or "").split("\n")[0]
        entries = [_entry(module.__name__, n, getattr(module, n)) for n in module.__all__]
        pages[_file(f"ct {face}")] = f"# ct.{face}\n\n{words}\n\n{''.join(entries)}"
    names = [Path(page).stem for page in pages]
    toc = "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"
    return {"reference/index.md": INDEX + toc, **pages}


def _file(heading: str) -> str:
    return f"reference/{heading.lower().replace(' ', '_')}.md"


def _entry(module: str, name: str, value: Any) -> str:
    if not inspect.isclass(value):
        kind = "autofunction" if callable(value) else "autodata"
        return f"```{{eval-rst}}\n.. {kind}:: {module}.{name}\n```\n\n"
    members = ", ".join(_members(value))
    options = f"   :members: {members}\n" if members else ""
    return f"```{{eval-rst}}\n.. autoclass:: {module}.{name}\n{options}```\n\n"


def _members(value: type) -> list[str]:
    """Return the documented methods and properties that a class of the project defines itself."""
    found = vars(value).items()
    return [
        name
        for name, member in found
        if not name.startswith("_")
        and (inspect.isroutine(member) or isinstance(member, property | classmethod | staticmethod))
        and getattr(member, "__doc__", None)
    ]


def _make_api() -> Any:
    path = Path(__file__).parents[1] / "make_api.py"
    spec = importlib.util.spec_from_file_location("make_api", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module
