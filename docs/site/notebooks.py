"""Pages of the notebooks in docs/notebooks/, from the outputs that are stored in them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

HEAD = """```{{note}}
This page shows the notebook `docs/notebooks/{name}.ipynb` with its stored outputs. Open it in
Jupyter to run it.
```"""


def write_notebooks(notebooks: Path, folder: Path) -> None:
    """Write a page per notebook, with its pictures, into a folder.

    Args:
        notebooks: folder with `.ipynb` files.
        folder: of the pages.

    """
    folder.mkdir(exist_ok=True)
    for path in sorted(notebooks.glob("*.ipynb")):
        text, pictures = notebook_page(json.loads(path.read_text(encoding="utf-8")), path.stem)
        (folder / f"{path.stem}.md").write_text(text, encoding="utf-8")
        for name, content in pictures.items():
            (folder / name).write_bytes(content)


def notebook_page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """Return the text of a page and its pictures by file name.

    The cells stay in their order; code is followed by its outputs.

    Args:
        notebook: the content of an `.ipynb` file; its first cell is Markdown with the title.
        name: of the page, without `.md`.

    """
    parts, pictures = list[str](), dict[str, bytes]()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\]\((\w+)\.ipynb", r"](\1.md", source))
            continue
        parts.append(f"```python\n{source}\n```")
        shown = list[str]()
        for output in cell["outputs"]:
            picture = f"{name}-{len(pictures) + 1}.png"
            if "image/png" in output.get("data", {}):
                pictures[picture] = base64.b64decode("".join(output["data"]["image/png"]))
            shown.append(_shown(output, picture))
        if shown:
            outputs = "\n\n".join(shown)
            parts.append(f"`````{{container}} cell-output\n{outputs}\n`````")
    return "\n\n".join([parts[0], HEAD.format(name=name), *parts[1:]]) + "\n", pictures


def _shown(output: dict[str, Any], picture: str) -> str:
    """Return an output in its richest form: a picture, HTML, Markdown or plain text."""
    if output["output_type"] == "stream":
        return _plain("".join(output["text"]))
    data = {kind: "".join(content) for kind, content in output["data"].items()}
    if "image/png" in data:
        return f"![the figure that the code above draws]({picture})"
    if "text/html" in data:
        html = re.sub(r"<style>.*?</style>", "", data["text/html"], flags=re.S)
        html = re.sub(r"<a href=\"(?!https?:).*?>(.*?)</a>", r"\1", html)  # files of the run
        return f"```{{raw}} html\n{html}\n```"
    return data.get("text/markdown") or _plain(data["text/plain"])


def _plain(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
