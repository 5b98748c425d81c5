import pytest

from crosstower.data.layout import CodeField, Head, Layout
from crosstower.errors import RecipeError
from crosstower.models.registry import build, config_of, model_names

LAYOUT = Layout((CodeField("a", 5, "a"),), (), (), (Head("click", "binary"),))


def test_models_are_found_by_name() -> None:
    assert model_names() == [
        "autoint",
        "dcn_v2",
        "deepfm",
        "dlrm",
        "esmm",
        "finalmlp",
        "gdcn",
        "logistic_regression",
        "masknet",
        "mlp",
        "mmoe",
        "ple",
        "shared_bottom",
        "two_tower",
        "wide_deep",
        "wukong",
    ]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"name": "dnc_v2"}, "no model 'dnc_v2'; did you mean 'dcn_v2'"),
        ({"name": "mlp", "hiden": [3]}, "model.hiden: unknown key; did you mean 'hidden'"),
        ({"name": "mlp", "dropout": 1}, r"model.dropout: .*less than 1"),
        ({"name": "logistic_regression", "hidden": [3]}, "model.hidden: unknown key"),
        ({"name": "wide_deep", "wide_columns": ["b"]}, "no coded column 'b'.*allowed: a"),
        ({"name": "dcn_v2", "rank": 3}, "rank needs cross: low_rank or mixture"),
        ({"name": "dcn_v2", "experts": 3}, "experts needs cross: mixture"),
    ],
)
def test_a_wrong_model_section_is_explained(model: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build(LAYOUT, model)


def test_a_model_needs_an_input() -> None:
    with pytest.raises(RecipeError, match="the model has no input; declare at least one column"):
        build(Layout((), (), (), LAYOUT.heads), {"name": "mlp"})


def test_options_have_a_json_schema() -> None:
    assert config_of("wide_deep").model_json_schema()["properties"]["combine"]["enum"] == [
        "sum",
        "concat",
    ]
