import pytest
from torch.export import ExportedProgram

from crosstower.data.layout import CodeField, Head, Layout, ListField
from crosstower.models.registry import build
from crosstower.recipe.own_columns import ages_name
from crosstower.serving.export.onnx_export import traced

LAYOUT = Layout(
    (CodeField("user", 9, "user"), CodeField("item", 12, "item"), CodeField("codes", 7, "codes")),
    ("age", "price", "price is missing"),
    (
        ListField("seen", 12, "item", 4, "attention"),
        ListField("tags.all", 8, "tags.all", 3),
        ListField("numbers", 6, "numbers", 2, "sum"),
        ListField("path", 12, "item", 4, "bsarec"),
        ListField("had", 12, "item", 4, "hstu", ages=ages_name("had")),
    ),
    (Head("click", "binary"), Head("codes", "regression")),
    ("age", "price", "price"),
)
SHARED = frozenset({"user", "age", "seen", "had"})


@pytest.fixture(scope="session")
def program() -> ExportedProgram:
    return traced(build(LAYOUT, {"name": "mlp", "embedding_dim": 4}).eval(), LAYOUT, SHARED)
