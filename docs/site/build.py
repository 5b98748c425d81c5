"""Build the documentation as a site that can be searched: `python docs/site/build.py`.

Needs `pip install '.[docs]'`. OUT gets one folder a version, so that the versions of a project can
share a site; OUT/index.html leads to the version that was built last. A warning is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from commands import command_pages
from gallery import gallery_page
from leaderboard import leaderboard_page
from notebooks import write_notebooks
from reference import reference_pages
from sphinx.cmd.build import main as sphinx

import crosstower as ct

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={version}/index.html">
<title>Crosstower documentation</title>
<a href="{version}/index.html">Crosstower {version}</a>
"""


def main() -> int:
    """Build the site and return the exit code."""
    parser = argparse.ArgumentParser(prog="python docs/site/build.py", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "site")
    out = parser.parse_args().out
    version = ct.__version__
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder) / "source", Path(folder) / "built"
        write_source(source)
        code = sphinx(["-q", "-W", "--keep-going", "-b", "html", str(source), str(built)])
        if code:
            return code
        for page in source.rglob("*.md"):  # for readers that are programs
            shutil.copy(page, built / page.relative_to(source))
        (built / "llms.txt").write_text(llms(source), encoding="utf-8")
        shutil.rmtree(out / version, ignore_errors=True)
        shutil.copytree(built, out / version, ignore=shutil.ignore_patterns(".doctrees"))
    versions = sorted((p.name for p in out.iterdir() if (p / "index.html").exists()), key=_order)
    (out / "versions.json").write_text(json.dumps(versions[::-1]) + "\n", encoding="utf-8")
    (out / "index.html").write_text(REDIRECT.format(version=version), encoding="utf-8")
    sys.stdout.write(f"{out / version / 'index.html'}\n")
    return 0


def write_source(folder: Path) -> None:
    """Write every page of the site as Markdown, with the configuration of Sphinx."""
    own = shutil.ignore_patterns("site", "notebooks", "results", "*.py", "api.md")
    shutil.copytree(ROOT / "docs", folder, ignore=own)
    write_notebooks(ROOT / "docs" / "notebooks", folder / "notebooks")
    for name in ("static", "templates"):
        shutil.copytree(HERE / name, folder / name)
    for name in ("conf.py", "index.md"):
        shutil.copy(HERE / name, folder / name)
    for name in ("CHANGELOG", "CONTRIBUTING"):
        shutil.copy(ROOT / f"{name}.md", folder / f"{name.lower()}.md")
    results = ROOT / "docs" / "results"
    shutil.copytree(results, folder / "extra" / "results")
    gallery, board = gallery_page(ROOT / "examples", results), leaderboard_page(results)
    (folder / "gallery.md").write_text(gallery, encoding="utf-8")
    (folder / "leaderboard.md").write_text(board, encoding="utf-8")
    for name, text in {**reference_pages(), **command_pages()}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for page in folder.glob("*.md"):
        page.write_text(relinked(page.read_text(encoding="utf-8")), encoding="utf-8")


def relinked(text: str) -> str:
    """Return a page with the links of the repository turned into those of the site.

    >>> relinked("[a](docs/data.md) [b](../examples/feed.yaml) [c](api.md) [d](notebooks/d.ipynb)")
    '[a](data.md) [b](gallery.md#feed) [c](reference/index.md) [d](notebooks/d.md)'
    """
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\]\(notebooks/(\w+)\.ipynb", r"](notebooks/\1.md", text)
    text = re.sub(r"\]\((?:\.\./)?examples/(\w+)\.yaml\)", r"](gallery.md#\1)", text)
    return re.sub(r"\]\(api\.md\)", "](reference/index.md)", text)


def llms(source: Path) -> str:
    """Return an index of the pages for language models (llmstxt.org)."""
    index = (source / "index.md").read_text(encoding="utf-8")
    summary = re.search(r"^# .*?\n\n(.*?)\n\n", index, flags=re.S)
    lines = ["# Crosstower", "", f"> {' '.join(summary[1].split())}" if summary else ""]
    for caption, names in re.findall(r":caption: (.*?)\n(.*?)```", index, flags=re.S):
        lines += ["", f"## {caption}", ""]
        lines += [_line_of(source, name) for name in re.findall(r"^[\w/]+$", names, re.M)]
    return "\n".join(lines) + "\n"


def _line_of(source: Path, name: str) -> str:
    text = (source / f"{name}.md").read_text(encoding="utf-8")
    title = text[2 : text.index("\n")]
    plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", re.sub(r"```.*?```", "", text, flags=re.S))
    prose = next(p for p in plain.split("\n\n")[1:] if re.match(r"[\w`]", p))
    sentence = re.split(r"(?<=[.:]) (?=[A-Z`])", " ".join(prose.split()))[0]
    return f"- [{title}]({name}.md): {sentence}"


def _order(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


if __name__ == "__main__":
    sys.exit(main())
