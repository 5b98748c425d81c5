import torch

from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.registry import build
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.table_devices import device_of, offload_embeddings


def test_tables_move_alone_and_the_model_knows_where_it_computes() -> None:
    """Without a GPU the device without memory stands for one."""
    layout = Layout((CodeField("a", 9, "a"),), ("x",), (), (Head("click", "binary"),))
    model = build(layout, {"name": "mlp"})
    offload_embeddings(model, "meta")
    places = {name: p.device.type for name, p in model.named_parameters()}
    assert {name for name, place in places.items() if place == "meta"} == {"input.embed.tables.16"}
    assert device_of(model) == torch.device("cpu")
    assert device_of(EmbeddingStore(layout.codes, (), dim=4)) == torch.device("cpu")
