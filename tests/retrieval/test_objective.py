"""The loss of a retrieval recipe: its gradient agrees in expectation with the full softmax's."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Layout
from crosstower.errors import RecipeError
from crosstower.losses.registry import LOSSES, RetrievalStep, register_loss
from crosstower.losses.sampled_softmax import sampled_softmax_loss
from crosstower.models.registry import build
from crosstower.models.two_tower import TwoTower
from crosstower.recipe.retrieval import Retrieval
from crosstower.retrieval.data.pairs import Pairs
from crosstower.retrieval.objective import RetrievalObjective

USERS, ITEMS, DIM = 6, 9, 4
LAYOUT = Layout((CodeField("user", USERS, "user"), CodeField("item", ITEMS, "item")), (), (), ())
CATALOGUE = Batch(
    torch.stack([torch.zeros(ITEMS), torch.arange(ITEMS)], 1).int(),
    torch.empty(ITEMS, 0),
    {},
    torch.empty(ITEMS, 0),
)
POPULARITY = torch.softmax(torch.linspace(1.5, -1.5, ITEMS), 0)


def model(**options: Any) -> TwoTower:
    torch.manual_seed(0)
    chosen = {"name": "two_tower", "item": ["item"], "embedding_dim": DIM, "dim": DIM}
    built = build(LAYOUT, chosen | {"normalise": False, "temperature": 1.0} | options)
    assert isinstance(built, TwoTower)
    with torch.no_grad():
        for table in built.embed.tables.values():
            table.normal_(std=0.6)
    return built


def pairs(users: Tensor, items: Tensor) -> Pairs:
    codes = torch.stack([users, torch.zeros_like(users)], 1).int()
    query = Batch(codes, torch.empty(len(users), 0), {}, torch.empty(len(users), 0))
    return Pairs(query, items, users)


def objective(size: int, top: Tensor | None = None, **section: Any) -> RetrievalObjective:
    return RetrievalObjective(
        Retrieval.model_validate({"item": "item", **section}),
        CATALOGUE,
        batch_size=size,
        top_lists=lambda _model, _k: torch.empty(0, 0) if top is None else top,
        user_rows=torch.tensor([4, 0, 2, 2, 0, 0]),
    )


def gradient(loss: Tensor, towers: TwoTower) -> Tensor:
    (table,) = towers.embed.tables.values()
    (found,) = torch.autograd.grad(loss, [table])
    return found.to_dense()


SIZE, DRAWS = 256, 400


def full_gradient(towers: TwoTower) -> Tensor:
    """Oracle: the slope of the softmax over all items in the vector of user 3, for item 4."""
    query = towers.queries(pairs(torch.tensor([3]), torch.tensor([4])).query)
    items = towers.items(CATALOGUE)
    return (torch.softmax(query @ items.T, 1) @ items - items[4]).flatten().detach()


def sampled_gradient(**section: Any) -> Tensor:
    """Mean slope in the vector of user 3, who asks in row 0 alone, for item 4."""
    towers = model()
    one = objective(SIZE, torch.tensor([[0, 1, 2]] * USERS), **section)
    one.begin_epoch(towers)
    random = torch.Generator().manual_seed(0)
    users = torch.full((SIZE,), 5)
    users[0] = 3
    total = torch.zeros(DIM)
    for step in range(100 + DRAWS):  # the first ones fill the estimates of the stream
        items = torch.multinomial(POPULARITY, SIZE, replacement=True, generator=random)
        items[0] = 4
        slope = gradient(one.loss(towers, pairs(users, items)), towers)[3] * SIZE
        total += slope if step >= 100 else 0.0
    return total / DRAWS


@pytest.mark.parametrize(
    "negatives",
    [
        {"in_batch": True},
        {"in_batch": True, "uniform": 100},
        {"in_batch": False, "uniform": 300},
        {"in_batch": True, "hard": 1, "hard_pool": 3},
    ],
    ids=["in-batch", "mixed", "uniform", "hard"],
)
def test_corrected_gradients_agree_with_the_full_softmax(negatives: dict) -> None:
    torch.manual_seed(0)
    exact = full_gradient(model())
    error = (sampled_gradient(negatives=negatives) - exact).norm() / exact.norm()
    assert error < 0.03


def test_without_the_correction_they_do_not() -> None:
    exact = full_gradient(model())
    error = (sampled_gradient(log_q=False) - exact).norm() / exact.norm()
    assert error > 0.3


def test_the_loss_of_a_batch_is_the_mean_of_its_rows() -> None:
    towers = model().eval()
    one = objective(5, log_q=False)
    batch = pairs(torch.tensor([1, 2, 3, 4, 1]), torch.tensor([4, 4, 7, 8, 0]))
    scores = towers.queries(batch.query) @ towers.items(CATALOGUE[batch.item]).T
    same = batch.item.unsqueeze(0) == batch.item.unsqueeze(1)
    same.fill_diagonal_(fill_value=False)
    expected = nn.functional.cross_entropy(scores.masked_fill(same, -torch.inf), torch.arange(5))
    torch.testing.assert_close(one.loss(towers, batch), expected)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("corrected", [True, False])
def test_the_loss_is_that_of_one_column_a_draw(
    *, masked: bool, in_batch: bool, corrected: bool
) -> None:
    """Oracle: the sum of each row written out draw by draw, in float64."""
    towers = model().eval()
    negatives = {"in_batch": in_batch, "uniform": 4 * ITEMS}
    one = objective(5, negatives=negatives, log_q=corrected, mask_accidental=masked)
    batch = pairs(torch.tensor([1, 2, 3, 4, 1]), torch.tensor([4, 4, 7, 8, 0]))
    torch.manual_seed(3)
    drawn = torch.randint(0, ITEMS, (4 * ITEMS,)).tolist()
    torch.manual_seed(3)
    loss = one.loss(towers, batch)
    scores = (towers.queries(batch.query) @ towers.items(CATALOGUE).T).double()
    share = one.sampler.frequency.probability(torch.arange(ITEMS), batch_size=5)
    often = (4 * share if in_batch else 0.0) + 4 * torch.ones(ITEMS)
    losses = []
    for row, item in enumerate(batch.item.tolist()):
        others = batch.item[torch.arange(5) != row].tolist() if in_batch else []
        terms = [
            scores[row, j].exp() / (often[j] if corrected else 1.0)
            for j in [*others, *drawn]
            if not (masked and j == item)
        ]
        losses.append(-(scores[row, item].exp() / (scores[row, item].exp() + sum(terms))).log())
    torch.testing.assert_close(loss.double(), torch.stack(losses).mean(), rtol=1e-5, atol=1e-6)


def test_one_item_against_itself_is_a_coin_toss() -> None:
    towers = TwoTower(
        Layout((CodeField("user", USERS, "user"), CodeField("item", 1, "item")), (), (), ()),
        TwoTower.Config(item=("item",)),
    )
    only = Retrieval.model_validate(
        {
            "item": "item",
            "negatives": {"in_batch": False, "uniform": 1},
            "mask_accidental": False,
        }
    )
    one = RetrievalObjective(
        only,
        CATALOGUE[:1],
        batch_size=1,
        top_lists=lambda _model, _k: torch.empty(0, 0),
        user_rows=torch.ones(USERS),
    )
    loss = one.loss(towers, pairs(torch.tensor([3]), torch.tensor([0])))
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


def test_positives_that_were_not_drawn_are_nobody_elses_negatives() -> None:
    """Not even at a score of 200, as a temperature of 0.01 gives."""
    queries, items = torch.eye(2) * 200, torch.eye(2).flip(0)
    loss = sampled_softmax_loss(
        queries, items, torch.arange(2), counts=torch.zeros(2), positives_drawn=False
    )
    assert loss.item() == 0.0


def test_the_full_softmax_sees_every_item() -> None:
    towers = model().eval()
    batch = pairs(torch.tensor([1, 2]), torch.tensor([4, 0]))
    scores = towers.queries(batch.query) @ towers.items(CATALOGUE).T
    expected = nn.functional.cross_entropy(scores, batch.item)
    loss = objective(2, objective="full_softmax").loss(towers, batch)
    torch.testing.assert_close(loss, expected)


def test_the_temperature_divides_scores_and_learns() -> None:
    towers = model(normalise=True, temperature=0.1)
    batch = pairs(torch.tensor([1, 2]), torch.tensor([4, 0]))
    scores = towers.queries(batch.query) @ towers.items(CATALOGUE).T / 0.1
    loss = objective(2, objective="full_softmax").loss(towers, batch)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(scores, batch.item))
    loss.backward()
    assert towers.log_temperature.grad is not None
    assert towers.log_temperature.grad.abs() > 0


def test_contrastive_negatives_are_drawn_evenly_and_hits_left_out() -> None:
    towers = model(normalise=True).eval()
    loss_options = {"name": "contrastive", "margin": 0.1, "negative_weight": 3.0}
    one = objective(2, objective=loss_options, negatives={"uniform": 50})
    batch = pairs(torch.tensor([1, 2]), torch.tensor([4, 0]))
    torch.manual_seed(7)
    drawn = torch.randint(0, ITEMS, (50,))
    torch.manual_seed(7)
    loss = one.loss(towers, batch)
    query, items = towers.queries(batch.query), towers.items(CATALOGUE)
    expected = 0.0
    for i, item in enumerate([4, 0]):
        cosines = items[drawn] @ query[i]
        hinge = torch.relu(cosines - 0.1)[drawn != item].sum() / 50
        expected += (1 - items[item] @ query[i] + 3.0 * hinge) / 2
    torch.testing.assert_close(loss, expected)


def test_state_comes_back() -> None:
    one, other = objective(4), objective(4)
    one.loss(model(), pairs(torch.tensor([1, 2]), torch.tensor([4, 0])))
    other.restore({k: v.clone() for k, v in one.state().items()})
    assert one.state()["step"] == 1
    for name, value in one.state().items():
        torch.testing.assert_close(other.state()[name], value)


def test_numbers_of_the_query_are_described() -> None:
    query = Batch(torch.empty(2, 0).int(), torch.tensor([[1.0], [3.0]]), {}, torch.empty(2, 0))
    batch = Pairs(query, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert objective(2).describe(batch) == ["  number 0: min 1, mean 2, max 3"]
    assert objective(2).describe(pairs(torch.tensor([1]), torch.tensor([1]))) == []


def test_a_registered_loss_gets_what_the_batch_is_compared_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    LOSSES.load()
    monkeypatch.setattr(LOSSES, "entries", dict(LOSSES.entries))
    monkeypatch.setattr(LOSSES, "modules", dict(LOSSES.modules))

    @register_loss("one_negative", kinds=("retrieval",))
    def bpr(step: RetrievalStep) -> Tensor:
        drawn = step.candidates()
        positive = (step.scaled_queries * step.vectors(step.positives)).sum(1, keepdim=True)
        assert step.uniform().shape == (7,)
        return -nn.functional.logsigmoid(positive - step.scaled_queries @ drawn.vectors.T).mean()

    @register_loss("shapeless", kinds=("retrieval",))
    def shapeless(step: RetrievalStep) -> Tensor:
        return step.queries

    towers, batch = model(), pairs(torch.tensor([1, 2]), torch.tensor([4, 0]))
    loss = objective(2, objective="one_negative", negatives={"uniform": 7}).loss(towers, batch)
    loss.backward()
    assert 0.0 < loss.item() < 5.0
    with pytest.raises(RecipeError, match=r"loss 'shapeless' must return .* got shape \[2, 4\]"):
        objective(2, objective="shapeless").loss(towers, batch)
    with pytest.raises(RecipeError, match=r"retrieval.objective: for retrieval: no loss 'brp'"):
        objective(2, objective="brp")
