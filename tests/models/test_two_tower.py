import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout, ListField
from crosstower.errors import RecipeError
from crosstower.models.registry import build
from crosstower.models.two_tower import TwoTower

LAYOUT = Layout(
    (CodeField("user", 9, "user"), CodeField("item", 8, "item")),
    ("price",),
    (),
    (Head("click", "binary"), Head("like", "binary")),
    ("price",),
)


def model(**options: object) -> TwoTower:
    torch.manual_seed(0)
    built = build(LAYOUT, {"name": "two_tower", "item": ["item", "price"], **options}).eval()
    assert isinstance(built, TwoTower)
    return built


def batch(rows: int = 4) -> Batch:
    codes = torch.stack([torch.arange(rows) + 3, torch.arange(rows).flip(0) + 3], 1).int()
    return Batch(codes, torch.randn(rows, 1), {}, torch.zeros(rows, 2))


def test_a_logit_is_the_scaled_cosine_of_both_vectors() -> None:
    two, rows = model(temperature=0.2), batch()
    with torch.no_grad():
        two.bias.copy_(torch.tensor([0.5, -1.0]))
        two.log_temperature[1] += 1.0
    cosine = torch.cosine_similarity(two.queries(rows), two.items(rows))
    logits = two(rows)
    torch.testing.assert_close(logits["click"], cosine / 0.2 + 0.5)
    torch.testing.assert_close(logits["like"], cosine / (0.2 * torch.e) - 1.0)


def test_each_side_sees_its_own_columns_only() -> None:
    two, rows = model(), batch()
    other = Batch(rows.codes.flip(0), rows.numbers, {}, rows.labels)
    mixed = Batch(
        torch.stack([rows.codes[:, 0], other.codes[:, 1]], 1), rows.numbers, {}, rows.labels
    )
    assert torch.equal(two.queries(rows), two.queries(mixed))
    assert torch.equal(two.items(other), two.items(mixed))
    assert not torch.equal(two.items(rows), two.items(mixed))


def test_a_fixed_temperature_stays() -> None:
    assert not model(learn_temperature=False).log_temperature.requires_grad
    assert model().log_temperature.requires_grad


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ([], "name the columns of the item tower"),
        (["user", "item", "price"], "leave at least one to the query tower"),
        (
            ["itm"],
            r"no column 'itm'; did you mean 'item'\?; allowed: user, item, price",
        ),
    ],
)
def test_a_wrong_side_is_explained(item: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        model(item=item)


@pytest.mark.parametrize(("start", "end"), [(0.3, 0.01), (0.002, 0.002)])
def test_a_learnt_temperature_does_not_fall_without_end(start: float, end: float) -> None:
    """Separable data ask for a temperature of 0."""
    two, rows = model(temperature=start, dim=4).train(), batch(2)
    optimizer = torch.optim.Adam([two.log_temperature], lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        (two.scale() * -1.0).backward()  # the steepest wish for a larger scale
        optimizer.step()
    two.eval()
    torch.testing.assert_close(1.0 / two.scale(), torch.tensor(end))
    assert two(rows)["click"].isfinite().all()
    two.train()
    for _ in range(60):  # and it comes back when the gradient says so
        optimizer.zero_grad()
        two.scale().backward()
        optimizer.step()
    assert 1.0 / two.eval().scale() > 10 * end


def test_a_frozen_query_tower_leaves_the_item_tower_to_train() -> None:
    two, rows = model(query_hidden=[4], item_hidden=[4]), batch()
    two.freeze_query_tower()
    sum(logits.sum() for logits in two(rows).values()).backward()  # type: ignore[union-attr]
    given = {name for name, p in two.named_parameters() if p.grad is not None}
    assert not [name for name in given if name.startswith("query_tower")]
    assert {"item_tower.head.weight", "log_temperature", "bias"} <= given
    gradient = two.embed.tables["16"].grad
    assert gradient is not None
    assert gradient._indices()[0].min() >= 9  # the items' rows follow those of nine users


def test_a_model_of_ids_trains_the_rows_of_its_items() -> None:
    layout = Layout(LAYOUT.codes, (), (), LAYOUT.heads)
    two = build(layout, {"name": "two_tower", "item": ["item"], "dim": 16, "normalise": False})
    assert isinstance(two, TwoTower)
    two.freeze_query_tower()
    assert [name for name, p in two.named_parameters() if p.requires_grad] == [
        "log_temperature",
        "bias",
        "embed.tables.16",
    ]


def test_a_frozen_query_tower_that_shares_all_is_refused() -> None:
    history = ListField("had", 8, "item", 3)
    layout = Layout((CodeField("item", 8, "item"),), (), (history,), ())
    for dim, refused in ((16, True), (8, False)):  # the item's embedding itself, or a layer of it
        two = build(layout, {"name": "two_tower", "item": ["item"], "dim": dim})
        assert isinstance(two, TwoTower)
        if refused:
            with pytest.raises(RecipeError, match=r"nothing to train: .*embeddings of item are"):
                two.freeze_query_tower()
        else:
            two.freeze_query_tower()


def test_a_history_that_is_compared_with_the_item_is_refused() -> None:
    history = ListField("seen", 8, "item", 4, "target", target="item")
    layout = Layout(LAYOUT.codes, (), (history,), LAYOUT.heads)
    with pytest.raises(RecipeError, match=r"column 'seen': pooling target compares it with 'item'"):
        build(layout, {"name": "two_tower", "item": ["item"]})


def mixed(**options: object) -> TwoTower:
    layout = Layout(LAYOUT.codes, (), (ListField("had", 8, "item", 3),), ())
    chosen = {"dim": 4, "embedding_dim": 4, "normalise": False, "user_weight": 0.25} | options
    built = build(layout, {"name": "two_tower", "item": ["item"], **chosen}).eval()
    assert isinstance(built, TwoTower)
    return built


def test_a_query_is_the_weighted_sum_of_user_and_history() -> None:
    two = mixed()
    had = torch.tensor([[3, 5, 0], [0, 0, 0]]).int()
    rows = Batch(
        torch.tensor([[4, 0], [2, 0]]).int(), torch.empty(2, 0), {"had": had}, torch.empty(2, 0)
    )
    table, items = two.embed.tables["4"], 9  # users come first; code 2 is an unknown user
    expected = torch.stack(
        [0.25 * table[4] + 0.375 * (table[items + 3] + table[items + 5]), torch.zeros(4)]
    )
    torch.testing.assert_close(two.queries(rows), expected)
    two.queries(rows).square().sum().backward()
    assert two.query_tower.head.history.weight.grad is not None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "options", [{"embedding_dim": 8}, {"query_hidden": [4]}, {"item": ["item", "user"]}]
)
def test_a_mix_of_something_else_than_user_and_history_is_refused(options: dict) -> None:
    with pytest.raises(RecipeError, match="user_weight: needs a query tower of one user column"):
        mixed(**options)


def in_a_graph(*, heads: tuple[Head, ...] = (), **options: object) -> TwoTower:
    lists = (ListField("had", 8, "item", 3), ListField("tags", 5, "tags", 3))
    layout = Layout(LAYOUT.codes, (), lists[: 1 + bool(options.pop("tags", False))], heads)
    chosen = {"dim": 4, "embedding_dim": 4, "graph_layers": 2, "normalise": False} | options
    built = build(layout, {"name": "two_tower", "item": ["item"], **chosen})
    assert isinstance(built, TwoTower)
    return built


def test_both_towers_read_vectors_that_went_through_the_graph() -> None:
    two = in_a_graph(user_weight=1.0)
    assert two.graph is not None
    two.graph.connect(torch.tensor([[3, 4], [9 + 5, 9 + 5]]))  # users 3 and 4 have item 5
    codes = torch.tensor([[3, 5], [4, 6]]).int()
    rows = Batch(codes, torch.empty(2, 0), {"had": torch.zeros(2, 1).int()}, torch.empty(2, 0))
    table, half = two.embed.tables["4"], 0.5**0.5
    expected = torch.stack([table[3] + half * table[14] + (table[3] + table[4]) / 2,
                            table[4] + half * table[14] + (table[3] + table[4]) / 2])  # fmt: skip
    torch.testing.assert_close(two.queries(rows), expected / 3)
    items = torch.stack([2 * table[14] + half * (table[3] + table[4]), table[15]]) / 3
    torch.testing.assert_close(two.items(rows), items)
    torch.testing.assert_close(two.eval().items(rows), items)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": True}, "graph_layers: needs an item tower of one categorical column"),
        ({"item": ["item", "user"]}, "graph_layers: needs an item tower of one categorical"),
        ({"heads": LAYOUT.heads}, "graph_layers: is of retrieval"),
    ],
)
def test_a_graph_of_something_else_than_users_and_items_is_refused(
    options: dict, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        in_a_graph(**options)


def test_a_tower_in_a_graph_cannot_be_frozen() -> None:
    with pytest.raises(RecipeError, match="none stay as they are when others learn"):
        in_a_graph(item_hidden=[4]).freeze_query_tower()
