"""What the documentation shows is run: recipes are read, Python runs, links lead somewhere."""

import re
from pathlib import Path

import pytest

from crosstower.models.registry import config_of
from crosstower.recipe.recipe import Recipe, Training
from crosstower.recipe.registry import Registry
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCHEMA = {"columns": {"user": "categorical"}, "tasks": {"click": "binary"}}


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page and number, text) of the fenced blocks of a language."""
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)
        found += [(f"{page.stem}-{i}", text) for i, text in enumerate(texts)]
    return found


def named(language: str) -> pytest.MarkDecorator:
    found = blocks(language)
    return pytest.mark.parametrize("text", [t for _, t in found], ids=[n for n, _ in found])


@named("yaml")
def test_a_recipe_shown_is_valid(text: str) -> None:
    recipe = validate(Recipe, {"schema": SCHEMA, **read_yaml(text)})
    options = {k: v for k, v in recipe.model.items() if k != "name"}
    validate(config_of(recipe.model["name"]), options, where="model")


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
@named("python")
def test_python_shown_runs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for registry in Registry.known:
        registry.load()  # built-in entries first: they are registered once
        monkeypatch.setattr(registry, "entries", dict(registry.entries))
        monkeypatch.setattr(registry, "modules", dict(registry.modules))
    exec(compile(text, "block", "exec"), {"__name__": "shown"})


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_the_readme_shows_the_quickstart_and_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"```python\n(.*?)```\n.*?```text\n(.*?)```", readme, flags=re.S)
    assert shown is not None
    program = (ROOT / "examples" / "quickstart.py").read_text()
    assert program.endswith(shown[1])
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "quickstart.py", "exec"), {"__name__": "__main__"})
    # Weights differ in the last digits between machines; words and shapes do not.
    masked = [re.sub(r"\d[\d.]*\s*", "#", out) for out in (capsys.readouterr().out, shown[2])]
    assert masked[0] == masked[1]


def test_the_first_screen_is_short() -> None:
    before_code = (ROOT / "README.md").read_text().split("```python")[0]
    assert len(before_code.split()) < 100


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_training_key_and_its_default_is_documented() -> None:
    (text,) = [t for name, t in blocks("yaml") if name == "training-0"]
    shown = read_yaml(text)["training"]
    assert set(shown) == set(Training.model_fields)
    assert validate(Training, shown) == Training()
