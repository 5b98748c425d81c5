"""Code in the documentation runs, commands parse, recipes are valid, and links lead somewhere."""

import json
import re
import shlex
import tomllib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from crosstower.blending.utility import Utility
from crosstower.cli.main import app
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.fitting.plan.devices import DEVICES
from crosstower.fitting.plan.formulas import (
    Lookups,
    StepWork,
    WeightTable,
    fewest_devices,
    memory_of,
)
from crosstower.fitting.plan.planning import RESERVED
from crosstower.models.registry import config_of
from crosstower.recipe.recipe import Recipe, Training
from crosstower.recipe.registry import Registry
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.serving.http.schemas import EventsRequest, ItemsRequest, RecommendRequest
from crosstower.serving.http.user_routes import UsersRequest
from crosstower.serving.http.vector_routes import VectorsRequest
from crosstower.serving.retraining.plan import RetrainPlan

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BODIES = {
    "/v1/recommend": RecommendRequest,
    "/v1/events": EventsRequest,
    "/v1/items": ItemsRequest,
    "/v1/users": UsersRequest,
    "/v1/vectors": VectorsRequest,
}
SCHEMA = {"columns": {"user": "categorical"}, "tasks": {"click": "binary"}}


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page and number, text) of the fenced blocks of a language."""
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)
        found += [(f"{page.stem}-{i}", text) for i, text in enumerate(texts)]
    return found


ELSEWHERE = {"python": r"clients-\d+|README-0", "console": r"requests-\d+"}
"""Blocks by language that other tests run: those that need a server, and the quickstart."""


def named(language: str) -> pytest.MarkDecorator:
    left_out = re.compile(ELSEWHERE.get(language, "$"))
    found = [one for one in blocks(language) if not left_out.fullmatch(one[0])]
    return pytest.mark.parametrize("text", [t for _, t in found], ids=[n for n, _ in found])


def test_every_block_is_of_a_language_that_is_checked() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), flags=re.M)
        assert set(fences[::2]) <= {"python", "yaml", "console", "text", "typescript"}, page.name
        assert set(fences[1::2]) <= {""}, page.name


@named("yaml")
def test_a_yaml_file_shown_is_valid(text: str) -> None:
    plain = read_yaml(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # old names of keys warn
        if "experiments" in plain:
            validate(Experiments, plain)
            return
        if "labels" in plain or "gate" in plain:
            validate(RetrainPlan, plain)
            return
        if "values" in plain:
            validate(Utility, plain)
            return
        recipe = validate(Recipe, {"schema": SCHEMA, **plain})
    options = {k: v for k, v in recipe.model.items() if k != "name"}
    validate(config_of(recipe.model["name"]), options, where="model")


def commands(text: str) -> list[list[str]]:
    """Return the words of each command in a console block, comments and variables left out."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]
    words = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
    return [[w for w in one if not re.match(r"CROSSTOWER_\w+=", w)] for one in words]


@cache
def whole_command() -> Any:
    return get_command(app)


def check_arguments(words: list[str]) -> None:
    """Parse the arguments of `crosstower`, without running anything."""
    command: Any = whole_command()
    if words[0].startswith("--"):
        assert any(words == option.opts for option in command.params), words
        return
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, name
        command = command.commands[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # old names of options warn
        command.make_context(command.name, words)


@named("console")
def test_a_command_shown_is_one_that_exists(text: str) -> None:
    assert commands(text)
    for program, *words in commands(text):
        match Path(program).name:
            case "crosstower":
                check_arguments(words)
            case "torchrun":
                assert words[words.index("-m") + 1] == "crosstower"
                check_arguments(words[words.index("-m") + 2 :])
            case "curl":
                (path,) = [f"/v1/{w.partition('/v1/')[2]}" for w in words if "/v1/" in w]
                BODIES[path].model_validate(json.loads(words[words.index("-d") + 1]))
            case name:
                assert name in {
                    "python3",
                    "pip",
                    "pytest",
                    "pre-commit",
                    "sh",
                    "cp",
                    "docker",
                    "kubectl",
                    "torchrun",
                }


def test_commands_in_the_text_exist() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
        for command in re.findall(r"`crosstower ([^`]+)`", text):
            try:
                check_arguments(shlex.split(command.replace("RUN…", "RUN")))
            except Exception as error:
                if type(error).__name__ != "MissingParameter":  # the text may name a command only
                    raise
        for name in re.findall(r"`python -m benchmarks ([a-z_]+)", text):
            assert (ROOT / "benchmarks" / f"{name}.py").is_file(), f"{page.name}: {name}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
@named("python")
def test_python_shown_runs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for registry in Registry.known:
        registry.load()  # built-in entries first: they are registered once
        monkeypatch.setattr(registry, "entries", dict(registry.entries))
        monkeypatch.setattr(registry, "modules", dict(registry.modules))
    exec(compile(text, "block", "exec"), {"__name__": "shown"})


@pytest.mark.slow
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


def test_the_plan_shown_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "scale.md").read_text()
    shown = re.search(r"```console\n\$ (crosstower plan .*)\n```\n\n```text\n(.*?)```", text, re.S)
    assert shown is not None
    _, *words = shlex.split(shown[1].replace("examples/", f"{ROOT}/examples/"))
    app(words, standalone_mode=False)
    assert capsys.readouterr().out.split() == shown[2].split()


def test_the_sizes_of_tables_are_those_of_the_plan() -> None:
    text = (ROOT / "docs" / "scale.md").read_text().split("## Costs")[1]
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| ([\d,.]+) \| (\d+) \|$", text, re.M)
    assert len(rows) == 5
    for ids, width, size, devices in rows:
        fields = (Lookups(int(ids.replace(",", "")) // 26, 1),) * 26
        table = WeightTable("", fields[0].rows * 26, int(width), int(width), 4, fields)
        inputs = 26 * int(width) + 13
        dense = 2 * inputs**2 + inputs * 128 + 128 * 64  # two crosses beside two layers
        work = StepWork((table,), dense, 2, 2.0 * dense, activations=24.0 * inputs)
        held = memory_of(work, batch=65_536, devices=1)
        assert float(size.replace(",", "")) == pytest.approx((held.tables + held.state) / 1e9, 0.01)
        room = DEVICES["h100"].memory_gb * 1e9 * (1 - RESERVED)
        assert fewest_devices(work, room, batch=65_536) == int(devices)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"


def test_the_glossary_has_40_terms_in_order_and_a_link_each() -> None:
    lines = re.findall(
        r"^\| \*\*(.*?)\*\* \|(.*)$", (ROOT / "docs" / "glossary.md").read_text(), re.M
    )
    terms = [term for term, _ in lines]
    assert len(terms) == len(set(terms)) >= 40
    assert terms == sorted(terms, key=str.lower)
    assert all("](" in text for _, text in lines)


def contributing(heading: str) -> list[tuple[str, str]]:
    """Return the rows of the table below a heading of CONTRIBUTING."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (.+?) \| (.+?) \|$", section, flags=re.M)[1:]


def test_the_source_tree_is_shown_in_import_order() -> None:
    shown = [name.strip("`") for name, _ in contributing("The source tree")]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"]
    place = {
        name.strip().rpartition(".")[2]: number
        for number, layer in enumerate(reversed(layers))
        for name in layer.split("|")
    } | {"__init__": len(layers)}
    package = ROOT / "src" / "crosstower"
    names = {p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert sorted(shown) == sorted(names)
    assert [place[name] for name in shown] == sorted(place[name] for name in shown)


def test_files_of_the_newcomers_walk_exist() -> None:
    rows = contributing("Where would I change …?")
    assert len(rows) >= 10
    for concern, file in rows:
        assert (ROOT / file.strip("`")).is_file(), concern


def test_every_training_key_and_its_default_is_documented() -> None:
    (text,) = [t for name, t in blocks("yaml") if name == "training-0"]
    shown = read_yaml(text)["training"]
    assert set(shown) == set(Training.model_fields)
    assert validate(Training, shown) == Training()


def with_columns(**columns: Any) -> dict[str, Any]:
    return {"schema": {**SCHEMA, "columns": {"item_id": "categorical", **columns}}}


PARTS: dict[str, Callable[[Any], tuple[type, Any]]] = {
    "model": lambda of: (Recipe, {"schema": SCHEMA, "model": of}),
    "data": lambda of: (Recipe, {"schema": SCHEMA, "data": of}),
    "split": lambda of: (Recipe, {"schema": SCHEMA, "data": {"path": "rows.csv", "split": of}}),
    "click": lambda of: (Recipe, {"schema": {**SCHEMA, "tasks": {"click": of}}}),
    "tasks": lambda of: (Recipe, {"schema": {**SCHEMA, "tasks": of}}),
    "pooling": lambda of: (
        Recipe,
        with_columns(history={"kind": "sequence", "table": "item_id", "pooling": of}),
    ),
    "training": lambda of: (Training, of),
    "retrieval": lambda of: (Retrieval, {"item": "item_id", "user": "user_id", **of}),
}
"""What a key of an inline recipe belongs to; any other key is a column."""


def test_the_recipes_of_the_migration_page_are_valid() -> None:
    text = (ROOT / "docs" / "migration.md").read_text()
    ours = [row.rsplit(" | ", 1)[1] for row in re.findall(r"^\| .+ \|$", text, re.M)]
    found = {yaml for cell in ours for yaml in re.findall(r"`(\w+: [^`]+)`", cell)}
    found -= {"history: [...]", "schema: {columns: …}"}
    assert len(found) > 25
    for part in found:
        ((key, value),) = read_yaml(part.replace("NAME", "name")).items()
        column = (Recipe, with_columns(**{key: value}))
        kind, plain = PARTS[key](value) if key in PARTS else column
        checked = validate(kind, plain)
        if key == "model":
            options = {k: v for k, v in checked.model.items() if k != "name"}
            validate(config_of(checked.model["name"]), options, where="model")
