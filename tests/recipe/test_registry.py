import sys
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import CrosstowerWarning, RecipeError, RunError
from crosstower.recipe.registry import Registry, itself, require_own


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Registry[float]:
    monkeypatch.setattr(Registry, "known", list(Registry.known))
    return Registry[float]("shape", package="crosstower.recipe.registry")


def test_entries_keep_the_order_of_their_registration(shapes: Registry[float]) -> None:
    shapes.add("square", 4.0, module="a")
    shapes.add("circle", 3.14, module="b")
    assert shapes.names() == ["square", "circle"]
    assert shapes.get("circle") == 3.14


def test_an_unknown_name_is_explained(shapes: Registry[float]) -> None:
    shapes.add("square", 4.0, module="a")
    words = (
        r"model.shape: no shape 'sqare'; did you mean 'square'\?; allowed: square"
        r" \(your own: import its module, or set CROSSTOWER_MODULES\)"
    )
    with pytest.raises(RecipeError, match=words):
        shapes.get("sqare", where="model.shape")


def test_a_name_belongs_to_one_module(shapes: Registry[float]) -> None:
    shapes.add("square", 4.0, module="a")
    shapes.add("square", 4.5, module="a")  # loaded again, as a notebook does
    assert shapes.get("square") == 4.5
    with pytest.raises(RecipeError, match="shape 'square': a has registered this name, b cannot"):
        shapes.add("square", 5.0, module="b")
    assert shapes.get("square") == 4.5


def test_a_decorator_adds_what_its_parts_make(shapes: Registry[float]) -> None:
    def area(name: str, function: Any, *, scale: float = 1.0) -> float:
        return function() * scale

    register_shape = shapes.decorator("register_shape", area, doc="Register a shape.")

    @register_shape("square", scale=4.0)
    def square() -> float:
        return 1.0

    assert (shapes.get("square"), square()) == (4.0, 1.0)
    assert shapes.modules["square"] == square.__module__
    assert (register_shape.__name__, register_shape.__doc__) == (
        "register_shape", "Register a shape."
    )  # fmt: skip
    with pytest.raises(RecipeError, match=r"@register_shape: expected a name, got <function"):
        register_shape(square)  # type: ignore[arg-type]
    register_class = shapes.decorator("register_class", itself, doc="")
    assert register_class("int")(int) is int is shapes.entries["int"]


def test_an_entry_that_does_not_fit_is_not_among_those_allowed(shapes: Registry[float]) -> None:
    shapes.add("square", 4.0, module="a")
    shapes.add("point", 0.0, module="a")
    assert shapes.get("square", fits=lambda area: area > 0) == 4.0
    with pytest.raises(RecipeError, match="no shape 'point'; allowed: square "):
        shapes.get("point", fits=lambda area: area > 0)
    assert shapes.find("point") == 0.0
    assert shapes.find("line") is None


def test_modules_of_the_environment_are_imported_on_look_up(
    shapes: Registry[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "from crosstower.recipe.registry import Registry\n"
        "shapes = Registry.known[-1]\n"
        "shapes.add(__name__, 1.0, module=__name__)\n"
    )
    for name in ("my_shape", "my_other_shape"):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CROSSTOWER_MODULES", "my_shape")
    assert shapes.get("my_shape") == 1.0
    monkeypatch.setenv("CROSSTOWER_MODULES", "my_shape, my_other_shape")
    assert shapes.names() == ["my_shape", "my_other_shape"]
    assert shapes.own(["my_shape", "gone"]) == {"my_shape": "my_shape"}
    for name in ("my_shape", "my_other_shape"):
        sys.modules.pop(name)


def test_the_former_variable_works_with_a_warning(
    shapes: Registry[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_MODELS", "json")
    with pytest.warns(CrosstowerWarning, match="CROSSTOWER_MODELS is now CROSSTOWER_MODULES"):
        shapes.names()


def test_a_module_that_cannot_be_imported_is_named(
    shapes: Registry[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_MODULES", "no_such_module_of_mine")
    words = "CROSSTOWER_MODULES: cannot import 'no_such_module_of_mine' .*PYTHONPATH"
    with pytest.raises(RecipeError, match=words):
        shapes.get("square")


def test_what_a_run_needs_is_required(shapes: Registry[float]) -> None:
    shapes.add("square", 4.0, module="a")
    require_own({"square": "a"}, where="runs/a")
    with pytest.raises(RunError, match=r"runs/a: 'gone' .* by 'my_shapes' .*; import my_sh"):
        require_own({"gone": "my_shapes"}, where="runs/a")
    with pytest.raises(RunError, match="registered by the script that trained it"):
        require_own({"gone": "__main__"}, where="runs/a")
