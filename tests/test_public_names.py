import subprocess
import sys

import pytest

import crosstower


def test_the_public_surface_is_what_we_mean_it_to_be() -> None:
    assert sorted(crosstower.__all__) == [
        "Blend",
        "Bundle",
        "BundleError",
        "CrosstowerError",
        "CrosstowerWarning",
        "DataError",
        "Funnel",
        "Ranker",
        "Recipe",
        "RecipeError",
        "Retriever",
        "Run",
        "RunError",
        "Schema",
        "TrainingError",
        "Utility",
        "World",
        "blend_run",
        "evaluate_funnel",
        "evaluate_policy",
        "fit",
        "load_recipe",
        "make_bundle",
        "register_text_encoder",
        "remove_blend",
    ]
    for name in crosstower.__all__:
        assert getattr(crosstower, name).__name__ == name


def test_dir_lists_the_public_names() -> None:
    assert set(crosstower.__all__) <= set(dir(crosstower))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        crosstower.__getattr__("fitt")


@pytest.mark.parametrize("code", ["import crosstower", "import crosstower.cli.main"])
def test_importing_loads_neither_torch_nor_polars(code: str) -> None:
    check = f"{code}, sys; sys.exit(bool({{'torch', 'polars'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
